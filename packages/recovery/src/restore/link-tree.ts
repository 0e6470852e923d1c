// Folders into another place of the same disk, durably, without moving a byte where the file system has hard links.
import { join } from 'node:path'
import { copyFileDurable, type FileSystem, systemCode } from '@timberline/wal'
import { transferAll } from '../transfer.ts'

/** What systems answer that have no hard links, or no more of them for this file. */
const noLinks: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EXDEV'])

/** Whether a hard link failed because there can be none. */
export function hasNoLinks(error: unknown): boolean {
  return noLinks.has(systemCode(error) ?? '')
}

/** Gives every file below `from` a name at the same place below `to`, which must not exist. */
export async function linkTree(from: string, to: string, fileSystem: FileSystem): Promise<void> {
  await fileSystem.makeDirectory(to)
  const folders = [{ from, to }]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const { from: source, to: target } = folder
    await transferAll(await fileSystem.list(source), async (name) => {
      const pair = { from: join(source, name), to: join(target, name) }
      const status = await fileSystem.status(pair.from)
      if (status?.isDirectory === true) {
        await fileSystem.makeDirectory(pair.to)
        folders.push(pair)
      } else {
        await linkOrCopy(pair, fileSystem)
      }
    })
    // All names in this folder are durable; its own is once its parent is synced, by an earlier turn or the caller.
    await fileSystem.syncDirectory(folder.to)
  }
}

async function linkOrCopy({ from, to }: { from: string; to: string }, fileSystem: FileSystem): Promise<void> {
  try {
    await fileSystem.link(from, to)
  } catch (error) {
    if (!hasNoLinks(error)) throw error
    await copyFileDurable(from, to, { fileSystem })
  }
}
