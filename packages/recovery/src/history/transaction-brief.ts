// What a report says about one transaction, so that a person can tell whether it is the one they mean.
import { decodeTransaction } from '@timberline/engine'
import type { LogRecord, Lsn, RecordKind } from '@timberline/wal'

/** A record as a report names it. */
export interface TransactionBrief {
  readonly lsn: Lsn
  readonly committedAtUs: number
  readonly kind: RecordKind
  /** The metadata of the transaction, when it has some. */
  readonly meta?: unknown
  /** The name of the restore point, for a mark. */
  readonly name?: string
  /** How many keys the transaction wrote or removed. */
  readonly operations?: number
  /** Set when the payload is none of the engine's; such a record cannot be applied. */
  readonly unreadable?: true
}

/** Describes a record for a report. */
export function briefOf({ lsn, committedAtUs, kind, payload }: LogRecord): TransactionBrief {
  const brief = { lsn, committedAtUs, kind }
  if (kind === 'mark') return { ...brief, name: payload.toString('utf8') }
  if (kind === 'note') return brief
  try {
    const { operations, meta } = decodeTransaction(payload)
    return { ...brief, operations: operations.length, ...(meta === undefined ? {} : { meta }) }
  } catch {
    // A report must not fail for the record that is dropped; applying an unreadable one does fail.
    return { ...brief, unreadable: true }
  }
}
