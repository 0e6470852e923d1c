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
