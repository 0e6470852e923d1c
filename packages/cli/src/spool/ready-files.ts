// PostgreSQL's list of what waits for its archive: an empty file NAME.ready in archive_status, beside the file NAME itself.
import { join } from 'node:path'
import { nodeFileSystem, systemCode } from '@timberline/wal'

const READY = '.ready'
const HISTORY = /^[0-9A-F]{8}\.history$/

/** Names that wait in a folder, in the order in which PostgreSQL asks: histories of timelines first, then by age. */
export async function readyFiles(folder: string): Promise<readonly string[]> {
  const names = (await statusFiles(folder)).flatMap((file) =>
    file.endsWith(READY) ? [file.slice(0, -READY.length)] : [],
  )
  const isHistory = (name: string): boolean => HISTORY.test(name)
  return [...names.filter(isHistory), ...names.filter((name) => !isHistory(name))]
}

async function statusFiles(folder: string): Promise<readonly string[]> {
  try {
    return await nodeFileSystem.list(join(folder, 'archive_status'))
  } catch (error) {
    // Another system's folder has no such list: nothing is known to wait.
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}
