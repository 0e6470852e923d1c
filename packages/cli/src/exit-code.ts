import type { ErrorKind, TimberlineError } from '@timberline/wal'

/** One row of the table of exit codes, as the help prints it. */
export interface ExitRow {
  readonly code: number
  readonly meaning: string
}

const byKind = {
  corruption: 3,
  gap: 4,
  unavailable: 5,
  invalid: 6,
  conflict: 7,
  closed: 8,
  aborted: 130,
} as const satisfies Record<ErrorKind, number>

/** What each exit code means; scripts may rely on it. */
export const exitTable: readonly ExitRow[] = [
  { code: 0, meaning: 'done, and nothing found amiss' },
  {
    code: 1,
    meaning:
      'done, and something was found: damage by verify, a failed drill, a difference; or not found: a file by archive get',
  },
  { code: 2, meaning: 'the command line was not understood; nothing was done' },
  { code: byKind.corruption, meaning: 'corruption: stop; verify, then repair from the archive or restore' },
  { code: byKind.gap, meaning: 'gap: a needed piece of log or backup is missing; choose another target' },
  { code: byKind.unavailable, meaning: 'unavailable: disk full, input/output error, no answer; try again' },
  { code: byKind.invalid, meaning: 'invalid: a path, an address or an argument is wrong' },
  { code: byKind.conflict, meaning: 'conflict: somebody else owns the thing, or something else is there' },
  { code: byKind.closed, meaning: 'closed: the log stopped after a failed write' },
  { code: byKind.aborted, meaning: 'stopped by the user' },
]

/** The exit code that an error ends the command with. */
export function exitCodeOf(error: TimberlineError): number {
  return error.code === 'CLI_USAGE' ? 2 : byKind[error.kind]
}

/** Whether a value from outside is a kind of error. */
export function isErrorKind(value: unknown): value is ErrorKind {
  return typeof value === 'string' && Object.hasOwn(byKind, value)
}
