import { setTimeout as wait } from 'node:timers/promises'
import type { AbstractSnapshot } from 'abstract-level'
import type { WindowReader } from '../commit/conflict-window.ts'
import { codeOf, engineError } from '../errors.ts'
import type { ReadSet } from '../commit/read-set.ts'
import type { Operation } from '../records/transaction-codec.ts'
import { TransactionLevel } from './transaction-level.ts'
import type { TransactionBase, TransactionEncodings } from './transaction-level.ts'
import { COMMIT_GUARD } from '../commit/write-options.ts'
import type { WriteOptions } from '../commit/write-options.ts'

/** Options of `db.transaction`. */
export interface TransactionOptions {
  /** Kept with the transaction in the log: plain values, dates and bytes. */
  readonly meta?: unknown
  /** How often the function is called again after a conflict; default 10, from 0 to 1,000. */
  readonly retries?: number | undefined
  /** False: ordered, not yet durable. Default true. */
  readonly sync?: boolean | undefined
  /** As of any write. */
  readonly durability?: WriteOptions['durability']
  /** Ends the retrying. */
  readonly signal?: AbortSignal | undefined
}

/** What transactions need of the database. */
export interface TransactionHost {
  readonly base: TransactionBase
  readonly encodings: TransactionEncodings
  snapshot(): AbstractSnapshot
  beginReader(snapshot: AbstractSnapshot): WindowReader
  endReader(reader: WindowReader): void
  conflict(reader: WindowReader, reads: ReadSet): number | undefined
  /** Resolves once everything appended so far is readable. */
  settled(): Promise<void>
  /** Commits operations in bytes, through the database's hooks and events. */
  commit(operations: Operation[], options: WriteOptions): Promise<void>
}

/** The work of a transaction; it may run more than once, so it does nothing outside. */
export type TransactionBody<K, V, Result> = (transaction: TransactionLevel<K, V>) => Promise<Result> | Result

const RETRIES_DEFAULT = 10
const RETRIES_MAX = 1000
const PAUSE_MS_MAX = 50

/**
 * Runs a transaction: serializable, by optimism. The function reads a snapshot; its writes are committed as one, if nothing it
 * read was changed by another commit meanwhile, and otherwise it runs again on a fresh snapshot. What it throws aborts the
 * transaction, without a trace.
 *
 * @throws ENGINE_TRANSACTION_CONFLICT after the last retry
 */
export async function runTransaction<K, V, Result>(
  host: TransactionHost,
  body: TransactionBody<K, V, Result>,
  options: TransactionOptions = {},
): Promise<Result> {
  const retries = checkRetries(options.retries ?? RETRIES_DEFAULT)
  for (let conflicts = 0; ; conflicts += 1) {
    options.signal?.throwIfAborted()
    try {
      return await attempt(host, body, options)
    } catch (error) {
      if (!isConflict(error) || conflicts >= retries) throw error
      // The other commit is in the log, but perhaps not yet in the snapshot that the next run would take.
      await host.settled()
      await pause(conflicts)
    }
  }
}

async function attempt<K, V, Result>(
  host: TransactionHost,
  body: TransactionBody<K, V, Result>,
  options: TransactionOptions,
): Promise<Result> {
  const snapshot = host.snapshot()
  const reader = host.beginReader(snapshot)
  const transaction = new TransactionLevel<K, V>(host.base, snapshot, host.encodings)
  try {
    await transaction.open()
    const result = await body(transaction)
    // From here on no call on the transaction may change what is being committed.
    await transaction.close()
    await commit(host, { transaction, reader, options })
    return result
  } finally {
    host.endReader(reader)
    await transaction.close()
    await snapshot.close()
  }
}

async function commit<K, V>(
  host: TransactionHost,
  work: { transaction: TransactionLevel<K, V>; reader: WindowReader; options: TransactionOptions },
): Promise<void> {
  const { transaction, reader, options } = work
  // Having written nothing, it read one consistent state: that is its place in the order.
  if (transaction.overlay.isEmpty) return
  const guard = (): void => {
    const lsn = host.conflict(reader, transaction.reads)
    if (lsn === undefined) return
    throw engineError('ENGINE_TRANSACTION_CONFLICT', 'another commit changed what the transaction had read', {
      details: { snapshotLsn: reader.lsn, conflictLsn: lsn },
    })
  }
  const { meta, sync, durability } = options
  await host.commit(transaction.overlay.operations(), { meta, sync, durability, [COMMIT_GUARD]: guard })
}

function isConflict(error: unknown): boolean {
  return codeOf(error) === 'ENGINE_TRANSACTION_CONFLICT'
}

/** The more conflicts, the longer: of many that want the same key, one gets through at a time. */
async function pause(conflicts: number): Promise<void> {
  if (conflicts === 0) return
  await wait(Math.random() * Math.min(2 ** conflicts, PAUSE_MS_MAX))
}

function checkRetries(retries: number): number {
  if (Number.isSafeInteger(retries) && retries >= 0 && retries <= RETRIES_MAX) return retries
  throw engineError('ENGINE_OPTION_INVALID', 'retries is out of bounds', {
    details: { retries, least: 0, most: RETRIES_MAX },
  })
}
