import { errorsFrom, TimberlineError } from '@timberline/wal'
import type { ErrorDetails } from '@timberline/wal'

/** Every code that the command itself throws; those of the packages pass through it unchanged. */
export type CliCode =
  | 'CLI_USAGE'
  | 'CLI_DIRECTORY_ELSEWHERE'
  | 'CLI_ARCHIVING_OFF'
  | 'CLI_FILE_MISSING'
  | 'CLI_FILE_EXISTS'
  | 'CLI_LOAD_FORMAT'
  | 'CLI_LOAD_INCOMPLETE'
  | 'CLI_LOAD_NOT_EMPTY'
  | 'CLI_RECOVERY_UNMEASURED'
  | 'CLI_METRICS_UNAVAILABLE'
  | 'CLI_INTERRUPTED'
  | 'CLI_SYSTEM'
  | 'CLI_UNEXPECTED'

/** Makes the errors of the command. */
export const cliError: (
  code: CliCode,
  message: string,
  more?: { details?: ErrorDetails; cause?: unknown },
) => TimberlineError = errorsFrom<CliCode>({
  // The command line cannot be understood; nothing was done.
  CLI_USAGE: { kind: 'invalid', hint: 'see the help of the command: timberline COMMAND --help' },
  // -d or -l names a folder that is not where this home keeps its data or its log.
  CLI_DIRECTORY_ELSEWHERE: {
    kind: 'invalid',
    hint: 'leave -d and -l out; the folders of a home are data and log inside it',
  },
  // A recovered home does not archive until told, so that it cannot write into the line of its original.
  CLI_ARCHIVING_OFF: {
    kind: 'conflict',
    hint: 'if this home is to go on in place of the original, run `timberline archive init -h HOME -a ARCHIVE`',
  },
  // A file that the command reads is not there.
  CLI_FILE_MISSING: { kind: 'invalid', hint: 'check the path' },
  // A file that the command would create is there already; nothing is overwritten.
  CLI_FILE_EXISTS: { kind: 'conflict', hint: 'choose another path, or move the file away' },
  // A backup is to depend on how long a recovery would take, and no drill has measured that in this archive.
  CLI_RECOVERY_UNMEASURED: {
    kind: 'invalid',
    hint: 'run `timberline drill -a ARCHIVE` once, and from time to time',
  },
  // The loopback port for metrics is taken or not allowed.
  CLI_METRICS_UNAVAILABLE: { kind: 'unavailable', hint: 'choose another port, or 0 for a free one' },
  // A line of the input is not of the dump format.
  CLI_LOAD_FORMAT: { kind: 'invalid', hint: 'load what `timberline dump` wrote; the line is in the message' },
  // The input ends without the closing line, or counts other entries than were read: it was cut off.
  CLI_LOAD_INCOMPLETE: {
    kind: 'corruption',
    hint: 'what was read is loaded; dump again and load into a new home',
  },
  // The home holds entries, and --merge was not given.
  CLI_LOAD_NOT_EMPTY: {
    kind: 'conflict',
    hint: 'load into a new home, or add --merge to overwrite key by key',
  },
  // The user stopped the command (Ctrl-C, SIGTERM).
  CLI_INTERRUPTED: { kind: 'aborted', hint: 'run the command again; it begins anew or goes on where it can' },
  // The operating system refused a file operation that no package explains.
  CLI_SYSTEM: { kind: 'unavailable', hint: 'mend what the message names and try again' },
  // A mistake in Timberline itself.
  CLI_UNEXPECTED: { kind: 'invalid', hint: 'please report it with the output of the same command with -g' },
})

/** Gives any thrown value a code: errors of packages unchanged, the system's as CLI_SYSTEM, all else as unexpected. */
export function asTimberlineError(error: unknown, signal?: AbortSignal): TimberlineError {
  if (error instanceof TimberlineError) return error
  if (signal?.aborted === true && (error === signal.reason || nameOf(error) === 'AbortError')) {
    return cliError('CLI_INTERRUPTED', 'stopped', { cause: error })
  }
  const inner = codedCause(error)
  if (inner !== undefined) return inner
  const message = error instanceof Error ? error.message : String(error)
  return cliError(isSystemError(error) ? 'CLI_SYSTEM' : 'CLI_UNEXPECTED', message, { cause: error })
}

/** abstract-level wraps what a database throws while it opens; what the user needs is inside. */
function codedCause(error: unknown): TimberlineError | undefined {
  let cause = error
  for (let depth = 0; depth < 8 && cause instanceof Error; depth++) {
    cause = cause.cause
    if (cause instanceof TimberlineError) return cause
  }
  return undefined
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^E[A-Z0-9]+$/.test(String(error.code))
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined
}
