import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { readFully } from './byte-source.ts'
import { systemCode, walError } from '../errors.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './node-file-system.ts'
import { processIsAlive } from './process-identity.ts'

const TEMPORARY = /^\..+\.(\d+)\.[0-9a-f]{12}\.tmp$/

/** The default most that {@link readFileWhole} takes into memory, in bytes. */
export const WHOLE_FILE_BYTES_MAX: number = 64 * 1024 * 1024

/**
 * Puts a file in place whole or not at all, and durably when it resolves: temporary file, sync, rename, sync of the folder.
 * This is the only such code; everything that must not be half there goes through it.
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  await moveInto(path, { bytes, isDurable: true }, fileSystem)
  // From here on the new name survives power loss.
  await fileSystem.syncDirectory(dirname(path))
}

/**
 * Puts a file in place whole or not at all for who looks meanwhile, and waits for no disk. Of a power loss it may come back with its name
 * and without its content, or not at all: for what says nothing any more by then.
 */
export function writeFileUnsynced(path: string, bytes: Uint8Array, fileSystem: FileSystem): Promise<void> {
  return moveInto(path, { bytes, isDurable: false }, fileSystem)
}

async function moveInto(
  path: string,
  content: { readonly bytes: Uint8Array; readonly isDurable: boolean },
  fileSystem: FileSystem,
): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.tmp`,
  )
  try {
    const handle = await fileSystem.open(temporary, 'create')
    try {
      await handle.write(content.bytes, 0)
      // Durable before any name shows it.
      if (content.isDurable) await handle.sync()
    } finally {
      await handle.close()
    }
    await fileSystem.rename(temporary, path)
  } catch (error) {
    await removeIfPresent(temporary, fileSystem)
    throw error
  }
}

/** Removes temporary files that {@link writeFileAtomic} left in a folder when its process died; returns their names. */
export async function removeStaleTemporaries(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<readonly string[]> {
  const removed: string[] = []
  for (const name of await fileSystem.list(directory)) {
    const pid = Number(TEMPORARY.exec(name)?.[1] ?? Number.NaN)
    // A living process may be about to rename its file; a pid that was given out again only delays the cleaning.
    if (Number.isNaN(pid) || processIsAlive(pid)) continue
    await removeIfPresent(join(directory, name), fileSystem)
    removed.push(name)
  }
  return removed
}

/** The whole content of a file; refuses one above `bytesMax` (default 64 MiB) before reading it. */
export async function readFileWhole(
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
  bytesMax: number = WHOLE_FILE_BYTES_MAX,
): Promise<Buffer> {
  const handle = await fileSystem.open(path, 'read')
  try {
    const { bytes } = await handle.status()
    if (bytes > bytesMax) {
      throw walError('WAL_INVALID', 'the file is larger than what may be read whole', {
        details: { path, bytes, bytesMax },
      })
    }
    const content = Buffer.alloc(bytes)
    const read = await readFully(handle, content, 0)
    return content.subarray(0, read)
  } finally {
    await handle.close()
  }
}

/** Removes a file; fine when it is already gone. */
export async function removeIfPresent(
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<boolean> {
  try {
    await fileSystem.remove(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Makes a folder with its missing parents, durably: the names made are synced, and the folder's own name in any case, because
 * the process that made it may have died before it did so.
 */
export async function makeDirectoryDurable(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const holders = [dirname(directory)]
  for (let path = dirname(directory); (await fileSystem.status(path)) === undefined; path = dirname(path)) {
    holders.push(dirname(path))
  }
  await fileSystem.makeDirectory(directory)
  // From the top down: every name on the way to the folder is durable.
  for (const holder of holders.reverse()) await fileSystem.syncDirectory(holder)
}
