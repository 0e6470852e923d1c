import type { TimberlineError } from '@timberline/wal'
import { engineError } from '../errors.ts'

/** What LevelDB says, in the system's words, when the disk refuses although the folder is sound. */
const REFUSALS: readonly (readonly [words: string, systemCode: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Read-only file system', 'EROFS'],
  ['Too many open files', 'EMFILE'],
  ['Too many open files in system', 'ENFILE'],
  ['Permission denied', 'EACCES'],
]

/**
 * The error that tells of a full, locked or read-only disk, if that is what LevelDB says; otherwise `undefined`. It must not pass
 * for damage: a rebuild would only need more of what is not there.
 */
export function refusalOf(error: unknown, dataDirectory?: string): TimberlineError | undefined {
  if (!(error instanceof Error)) return undefined
  const refusal = REFUSALS.find(([words]) => error.message.endsWith(`: ${words}`))
  if (refusal === undefined) return undefined
  return engineError('ENGINE_IO_FAILED', 'the system refused to work on a file of LevelDB', {
    details: { dataDirectory, systemCode: refusal[1] },
    cause: error,
  })
}
