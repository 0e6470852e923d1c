// Where the log of a backup set in a folder ends, and what may lie behind it.
import { join } from 'node:path'
import {
  type FileSystem,
  listSegments,
  parseSegmentName,
  segmentName,
  systemCode,
  TimberlineError,
} from '@timberline/wal'
import type { BackupManifest } from './backup-manifest.ts'

/** The last segment in a set, and how much of its file belongs to the set. */
export interface LogEnd {
  readonly segmentNumber: number
  readonly bytes: number
}

/**
 * Where the log of a set in a folder ends; `undefined` when it has none. What lies behind, in the same file or in later segments, was left by an
 * update that was cut off, and belongs to no set.
 */
export function logEndOf({ files }: BackupManifest): LogEnd | undefined {
  let end: LogEnd | undefined
  for (const { name, bytes } of files) {
    const segmentNumber = name.startsWith('log/') ? parseSegmentName(name.slice('log/'.length)) : undefined
    if (segmentNumber === undefined || segmentNumber < (end?.segmentNumber ?? 0)) continue
    end = { segmentNumber, bytes }
  }
  return end
}

/**
 * Whether the log goes on behind the end of the set as an update leaves it that was cut off: the last segment longer, others behind it, all
 * of them whole and linked. Readers end where the manifest does, so that is no damage. Anything else there is.
 */
export async function logGoesOn(
  directory: string,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<boolean> {
  const end = logEndOf(manifest)
  const logDirectory = join(directory, 'log')
  if (end === undefined) return false
  try {
    const numbers = (await fileSystem.list(logDirectory)).map((name) => parseSegmentName(name) ?? 0)
    const last = Math.max(...numbers)
    const lengthOf = async (number: number): Promise<number | undefined> =>
      (await fileSystem.status(join(logDirectory, segmentName(number))))?.bytes
    if (last === end.segmentNumber && (await lengthOf(last)) === end.bytes) return false
    const found = (await listSegments(logDirectory, fileSystem, { scan: true })).at(-1)
    return found?.bytes === (await lengthOf(last))
  } catch (error) {
    // What is wrong with it is found file by file.
    if (systemCode(error) === undefined && !(error instanceof TimberlineError)) throw error
    return false
  }
}
