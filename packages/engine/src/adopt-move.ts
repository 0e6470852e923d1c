/**
 * LevelDB's files moved between the top of a folder and its `data/`, by renames alone. CURRENT is at the top as long as any
 * other file is: a plain LevelDB that opened a folder of tables without CURRENT would take it for new and delete them all;
 * with CURRENT and tables missing it refuses.
 */
import { join } from 'node:path'
import { nodeFileSystem, removeIfPresent } from '@timberline/wal'
import { leveldbNames } from './leveldb-files.ts'
import type { LeveldbName } from './leveldb-files.ts'

/** From the top into `data/`; goes on where an interrupted move ended. LevelDB's logs must be empty: they are removed. */
export async function moveIntoData(home: string, dataDirectory: string): Promise<void> {
  await nodeFileSystem.makeDirectory(dataDirectory)
  const names = await leveldbNames(home, nodeFileSystem)
  for (const [name, { type }] of names) {
    if (type === 'current') continue
    await moveOrRemove(join(home, name), join(dataDirectory, name), type)
  }
  // All that CURRENT leads to has its new name for good before CURRENT does.
  await nodeFileSystem.syncDirectory(dataDirectory)
  if (names.has('CURRENT')) await nodeFileSystem.rename(join(home, 'CURRENT'), join(dataDirectory, 'CURRENT'))
  await nodeFileSystem.syncDirectory(dataDirectory)
  await nodeFileSystem.syncDirectory(home)
}

/** From `data/` to the top; goes on where an interrupted move ended. */
export async function moveOutOfData(home: string, dataDirectory: string): Promise<void> {
  const names = await leveldbNames(dataDirectory, nodeFileSystem)
  if (names.has('CURRENT')) {
    await nodeFileSystem.rename(join(dataDirectory, 'CURRENT'), join(home, 'CURRENT'))
    // CURRENT is at the top for good before anything that it protects.
    await nodeFileSystem.syncDirectory(home)
  }
  for (const [name, { type }] of names) {
    if (type === 'current') continue
    await moveOrRemove(join(dataDirectory, name), join(home, name), type)
  }
  await nodeFileSystem.syncDirectory(home)
  await nodeFileSystem.removeTree(dataDirectory)
  await nodeFileSystem.syncDirectory(home)
}

async function moveOrRemove(from: string, to: string, type: LeveldbName['type']): Promise<void> {
  if (type === 'table' || type === 'manifest' || type === 'info') await nodeFileSystem.rename(from, to)
  else await removeIfPresent(from, nodeFileSystem)
}
