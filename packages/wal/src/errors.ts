/**
 * What a caller can do about an error; a new kind is needed only when somebody would act differently on it.
 *
 * - `corruption`: stop; verify, then repair from the archive or restore.
 * - `gap`: a needed piece of log or backup is missing; fetch it or choose another target.
 * - `unavailable`: the environment refused (disk full, I/O error, store unreachable); mend it, reopen, try again.
 * - `invalid`: the call is wrong; mend the call.
 * - `conflict`: somebody else owns the thing or wrote something different there.
 * - `closed`: the object was closed; open it again.
 * - `aborted`: the caller's own signal asked to stop.
 */
export type ErrorKind = 'corruption' | 'gap' | 'unavailable' | 'invalid' | 'conflict' | 'closed' | 'aborted'

/** One row of a package's table of errors: what it means is its comment there; `hint` is the user's next step. */
export interface ErrorRow {
  readonly kind: ErrorKind
  readonly hint: string
}

/** Values that make an error concrete (paths, LSNs, positions); JSON-safe. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export interface TimberlineErrorInit {
  readonly code: string
  readonly kind: ErrorKind
  readonly hint?: string
  readonly details?: ErrorDetails
  readonly cause?: unknown
}

/**
 * The one error class of all Timberline packages. `code` is stable and may be tested; `message` is for people and may
 * change; `hint` is the next step.
 */
export class TimberlineError extends Error {
  readonly code: string
  readonly kind: ErrorKind
  readonly hint: string
  readonly details: ErrorDetails

  constructor(message: string, init: TimberlineErrorInit) {
    super(describe(message, init.details), init.cause === undefined ? undefined : { cause: init.cause })
    this.name = init.kind === 'aborted' ? 'AbortError' : 'TimberlineError'
    this.code = init.code
    this.kind = init.kind
    this.hint = init.hint ?? ''
    this.details = init.details ?? {}
  }
}

/**
 * Makes the function by which a package throws the errors of its table, so that a code without a row does not compile.
 *
 * @example
 * const walError = errorsFrom({ WAL_CLOSED: { kind: 'closed', hint: 'open the log again' } })
 * throw walError('WAL_CLOSED', 'the log is closed', { details: { directory } })
 */
export function errorsFrom<Code extends string>(
  table: Readonly<Record<Code, ErrorRow>>,
): (code: Code, message: string, more?: { details?: ErrorDetails; cause?: unknown }) => TimberlineError {
  return (code, message, more = {}) => new TimberlineError(message, { code, ...table[code], ...more })
}

function describe(message: string, details: ErrorDetails | undefined): string {
  const pairs = Object.entries(details ?? {}).filter(([, value]) => value !== undefined)
  return pairs.length === 0
    ? message
    : `${message}: ${pairs.map(([key, value]) => `${key}=${String(value)}`).join(' ')}`
}

/** Makes an error of one package's table. */
export type ErrorMaker<Code extends string> = (
  code: Code,
  message: string,
  more?: { details?: ErrorDetails; cause?: unknown },
) => TimberlineError

/** Every code this package throws; codes are never reused and never renamed. */
export type WalCode =
  | 'WAL_CORRUPT'
  | 'WAL_GAP'
  | 'WAL_FOREIGN'
  | 'WAL_FORMAT'
  | 'WAL_RECORD_TOO_LARGE'
  | 'WAL_INVALID'
  | 'WAL_CLOSED'
  | 'WAL_FAILED'
  | 'WAL_WRITE_FAILED'
  | 'WAL_SYNC_FAILED'
  | 'WAL_IO_FAILED'
  | 'WAL_CONFIRMATION_DAMAGED'
  | 'WAL_ABORTED'

/** Makes the errors of this package. */
export const walError: ErrorMaker<WalCode> = errorsFrom<WalCode>({
  // Bytes that were durable once are not what was written: a device error, or a program that wrote into the folder.
  WAL_CORRUPT: {
    kind: 'corruption',
    hint: 'Stop writing here; get the named segment back from the archive or a backup, or restore.',
  },
  // A segment or LSN that the caller needs is not in the folder: it was removed, or copied without its neighbours.
  WAL_GAP: {
    kind: 'gap',
    hint: 'Fetch the missing segment from the archive, or start from an LSN that is there.',
  },
  // The segment belongs to another environment or timeline: a folder was mixed up or copied over another.
  WAL_FOREIGN: {
    kind: 'conflict',
    hint: 'Check the folder: these segments were written by another environment or timeline.',
  },
  // The segment has a format version that this release does not know.
  WAL_FORMAT: { kind: 'invalid', hint: 'Read it with the release that wrote it, or a newer one.' },
  // A record above recordBytesMax; nothing was written.
  WAL_RECORD_TOO_LARGE: { kind: 'invalid', hint: 'Split the record, or raise recordBytesMax.' },
  // An argument outside its documented bounds.
  WAL_INVALID: { kind: 'invalid', hint: 'Mend the argument named in the message.' },
  // A call on a log that was closed.
  WAL_CLOSED: { kind: 'closed', hint: 'Open the log again.' },
  // A call on a log that stopped after a failed write or sync; `cause` is that failure.
  WAL_FAILED: { kind: 'closed', hint: 'Mend what the cause names, then open the log again.' },
  // The device refused a write; details.outcome says whether the records can still appear after reopening.
  WAL_WRITE_FAILED: {
    kind: 'unavailable',
    hint: 'Free space or mend the device, reopen the log; with outcome "unknown" look whether the records are there.',
  },
  // The device refused a sync; it is never retried, because the system may have dropped the data.
  WAL_SYNC_FAILED: {
    kind: 'unavailable',
    hint: 'Mend the device, reopen the log and look whether the records are there.',
  },
  // The system refused a file operation while the log was opened, closed or pruned; no record is lost by it.
  WAL_IO_FAILED: { kind: 'unavailable', hint: 'See the cause; mend the device, then open the log again.' },
  // A confirmation file cannot be read; while it cannot, nothing may be removed on the strength of it.
  WAL_CONFIRMATION_DAMAGED: {
    kind: 'corruption',
    hint: 'Remove the named file; the archive it belongs to writes a new one.',
  },
  // The caller's signal asked to stop.
  WAL_ABORTED: { kind: 'aborted', hint: 'Nothing to mend: the caller asked to stop.' },
})

/** The system's error code (`ENOENT`, `ENOSPC`, …) of a caught value, if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/**
 * Runs what a caller asked for, so that it fails only with errors that have a code and a next step: those of the system are
 * wrapped, once, at a package's boundary. Errors of other libraries keep the codes that their users look for.
 */
export async function withSystemErrors<Result>(
  work: () => Promise<Result>,
  wrap: (systemCode: string, cause: unknown) => Error,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    const code = systemCode(cause)
    if (cause instanceof TimberlineError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw cause
    throw wrap(code, cause)
  }
}

/** The boundary for what the owner of a log asked for outside of a commit. */
export function atLogBoundary<Result>(directory: string, work: () => Promise<Result>): Promise<Result> {
  return withSystemErrors(work, (code, cause) =>
    walError('WAL_IO_FAILED', 'the system refused to work on a file of the log', {
      details: { directory, systemCode: code },
      cause,
    }),
  )
}
