import { TimberlineError } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import { systemCodeOf } from '../stores/system-failure.ts'

/** What was thrown in a shipper, as an error with a code where it is one of the system's or of the stop signal. */
export function asShipperError(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof TimberlineError) return error
  if (
    signal.aborted &&
    (error === signal.reason || (error instanceof Error && error.name === 'AbortError'))
  ) {
    return archiveError('ARCHIVE_ABORTED', 'the shipper was stopped', { cause: error })
  }
  const systemCode = systemCodeOf(error)
  if (systemCode === undefined) return error
  // Stores wrap their own: this one is the log's folder.
  return archiveError('ARCHIVE_LOG_FAILED', 'the log could not be read or written to', {
    details: { systemCode },
    cause: error,
  })
}

/** Whether another try may succeed without anybody's help. */
export function isTransient(error: unknown): error is TimberlineError {
  return error instanceof TimberlineError && error.kind === 'unavailable'
}

/** The pause after so many failed tries, in milliseconds: doubled from the first up to the most. */
export function retryDelayMs(
  tries: number,
  { first, max }: { readonly first: number; readonly max: number },
): number {
  return Math.min(max, first * 2 ** Math.min(tries - 1, 20))
}

/** Whether an error only says that the caller asked to stop. */
export function isAborted(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
