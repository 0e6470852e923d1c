// Looks at the files of a prefix: which names there are, and what their headers say. Nothing else of them is read.
import { join } from 'node:path'
import { readFully, systemCode, TimberlineError } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import { decodeParityHeader } from './parity-header.ts'
import type { FoundFiles, FoundParity, FoundVolume } from './series-check.ts'
import { decodeVolumeHeader, volumeDamaged, VOLUME_HEADER_BYTES } from './volume-header.ts'
import { parseVolumeName } from './volume-names.ts'

/** Where the volumes of a series are. */
export interface SeriesPlace {
  readonly prefix: string
  /** Folders, in the order in which they are filled. */
  readonly dirs: readonly string[]
}

/**
 * Finds the volumes and parity volumes of a prefix, with their headers.
 *
 * @throws ARCHIVE_VOLUMES_ABSENT when one of the folders is not there
 */
export async function scanSeries(place: SeriesPlace, fileSystem: FileSystem): Promise<FoundFiles> {
  const volumes: FoundVolume[] = []
  const parities: FoundParity[] = []
  for (const directory of place.dirs) {
    for (const name of await namesIn(directory, fileSystem)) {
      const parsed = parseVolumeName(place.prefix, name)
      if (parsed === undefined) continue
      const path = join(directory, name)
      if (parsed.type === 'volume')
        volumes.push({ ...parsed, path, ...(await headerOf(path, decodeVolumeHeader, fileSystem)) })
      else parities.push({ ...parsed, path, ...(await headerOf(path, decodeParityHeader, fileSystem)) })
    }
  }
  return { volumes, parities }
}

async function namesIn(directory: string, fileSystem: FileSystem): Promise<readonly string[]> {
  try {
    return await fileSystem.list(directory)
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) throw error
    throw archiveError('ARCHIVE_VOLUMES_ABSENT', 'there is no such folder', { details: { directory } })
  }
}

async function headerOf<Header extends { readonly fileBytes: number }>(
  path: string,
  decode: (name: string, bytes: Buffer) => Header,
  fileSystem: FileSystem,
): Promise<{ readonly header: Header | undefined; readonly damage?: Error }> {
  const handle = await fileSystem.open(path, 'read')
  try {
    const bytes = Buffer.alloc(VOLUME_HEADER_BYTES)
    const got = await readFully(handle, bytes, 0)
    const header = decode(path, bytes.subarray(0, got))
    if ((await handle.status()).bytes === header.fileBytes) return { header }
    throw volumeDamaged(path, 'its length is not the one in its header')
  } catch (error) {
    if (!(error instanceof TimberlineError) || error.code === 'ARCHIVE_FORMAT') throw error
    return { header: undefined, damage: error }
  } finally {
    await handle.close()
  }
}
