import { type OptionRow, wholeNumber } from '../arguments.ts'

/** Options that every command has. */
export const everywhere: readonly OptionRow[] = [
  { name: 'json', help: 'print the outcome as one JSON document on standard output' },
  { letter: 'v', name: 'verbose', help: 'tell each step on standard error' },
  { letter: 'g', name: 'debug', help: 'with an error, print its causes and where they were thrown' },
]

/** `-h`: as with Berkeley DB the home, not help. */
export const homeOption: OptionRow = {
  letter: 'h',
  name: 'home',
  value: 'HOME',
  help: 'folder of the database',
  isRequired: true,
}

/** `-h` where something else may be named in its place. */
export const homeIfAnyOption: OptionRow = { ...homeOption, isRequired: false }

/** `-a`: an archive's address. */
export const archiveOption: OptionRow = {
  letter: 'a',
  name: 'archive',
  value: 'ARCHIVE',
  help: 'address of the archive: a folder, dir:/path, or s3://bucket/prefix',
  isRequired: true,
}

/** `-a` where something else may be named in its place. */
export const archiveIfAnyOption: OptionRow = { ...archiveOption, isRequired: false }

/** What opens an encrypted archive. */
export const identityOption: OptionRow = {
  name: 'identity',
  value: 'FILE',
  help: 'identities of age that open an encrypted archive (TIMBERLINE_IDENTITY)',
}

/** An option that takes an LSN. */
export function lsnOption(row: {
  readonly letter?: string
  readonly name: string
  readonly help: string
}): OptionRow {
  return { ...row, value: 'LSN', parse: wholeNumber('an LSN', { min: 1 }) }
}
