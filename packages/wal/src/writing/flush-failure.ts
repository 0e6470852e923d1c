import { walError, type TimberlineError } from '../errors.ts'
import type { Lsn } from '../records/record.ts'

/**
 * Whether the records of a failed flush can still appear after reopening: `rejected` says never, because none of their bytes
 * are in the file; `unknown` says they may.
 */
export type FlushOutcome = 'rejected' | 'unknown'

/** Where a flush failed. */
export interface FlushPlace {
  readonly path: string
  /** The first record that was to be flushed. */
  readonly lsn: Lsn
  readonly outcome: FlushOutcome
  readonly position?: number
}

/** The one error of a group whose write failed, and of everything queued behind it. */
export function writeFailure(message: string, place: FlushPlace, cause: unknown): TimberlineError {
  return walError('WAL_WRITE_FAILED', message, { cause, details: { ...place } })
}

/** A failed sync is always of unknown outcome: the bytes are in the file as far as readers of this boot can see. */
export function syncFailure(place: Omit<FlushPlace, 'outcome'>, cause: unknown): TimberlineError {
  return walError('WAL_SYNC_FAILED', 'the log could not be synced', {
    cause,
    details: { ...place, outcome: 'unknown' },
  })
}
