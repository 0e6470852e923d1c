import type { AbstractSnapshot } from 'abstract-level'
import type { Engine } from '../commit/engine.ts'
import type { Operation } from '../records/transaction-codec.ts'
import type { TransactionBase, TransactionEncodings } from './transaction-level.ts'
import type { TransactionHost } from './transaction-runner.ts'
import type { WriteOptions } from '../commit/write-options.ts'

/** The public side of a database, as transactions use it: their commits run its hooks and emit its events. */
interface HostLevel {
  snapshot(): AbstractSnapshot
  batch(operations: Operation[], options: object): Promise<void>
}

const BUFFERS = Object.freeze({ keyEncoding: 'buffer', valueEncoding: 'buffer' })

/** What transactions of one database work on. */
export function transactionHost(
  level: object,
  engine: Engine,
  encodings: TransactionEncodings,
): TransactionHost {
  const host = level as HostLevel
  const { keyEncoding = 'utf8', valueEncoding = 'utf8' } = encodings
  return {
    base: level as TransactionBase,
    encodings: { keyEncoding, valueEncoding },
    snapshot: () => host.snapshot(),
    beginReader: (snapshot) => engine.beginReader(snapshot),
    endReader: (reader) => {
      engine.endReader(reader)
    },
    conflict: (reader, reads) => engine.conflict(reader, reads),
    settled: () => engine.appliedThrough(Number.MAX_SAFE_INTEGER),
    commit: (operations, options: WriteOptions) => host.batch(operations, { ...options, ...BUFFERS }),
  }
}
