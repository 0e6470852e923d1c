/**
 * LevelDB's files moved between the top of a folder and its `data/`, by renames alone. CURRENT is at the top as long as any
 * other file is: a plain LevelDB that opened a folder of tables without CURRENT would take it for new and delete them all;
 * with CURRENT and tables missing it refuses.
 */
import { join } from 'node:path'
import { removeIfPresent } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { leveldbNames } from '../leveldb/leveldb-files.ts'
import type { LeveldbName } from '../leveldb/leveldb-files.ts'
import type { HomeLayout } from '../home/home-layout.ts'

/** From the top into `data/`; goes on where an interrupted move ended. LevelDB's logs must be empty: they are removed. */
export async function moveIntoData(layout: HomeLayout, fileSystem: FileSystem): Promise<void> {
  const { home, dataDirectory } = layout
  await fileSystem.makeDirectory(dataDirectory)
  const move = mover(home, dataDirectory, fileSystem)
  const names = await leveldbNames(home, fileSystem)
  for (const [name, { type }] of names) {
    if (type === 'current') continue
    await move(name, type)
  }
  // All that CURRENT leads to has its new name for good before CURRENT does.
  await fileSystem.syncDirectory(dataDirectory)
  if (names.has('CURRENT')) await fileSystem.rename(join(home, 'CURRENT'), join(dataDirectory, 'CURRENT'))
  await fileSystem.syncDirectory(dataDirectory)
  await fileSystem.syncDirectory(home)
}

/** From `data/` to the top; goes on where an interrupted move ended. */
export async function moveOutOfData(layout: HomeLayout, fileSystem: FileSystem): Promise<void> {
  const { home, dataDirectory } = layout
  const move = mover(dataDirectory, home, fileSystem)
  const names = await leveldbNames(dataDirectory, fileSystem)
  if (names.has('CURRENT')) {
    await fileSystem.rename(join(dataDirectory, 'CURRENT'), join(home, 'CURRENT'))
    // CURRENT is at the top for good before anything that it protects.
    await fileSystem.syncDirectory(home)
  }
  for (const [name, { type }] of names) {
    if (type === 'current') continue
    await move(name, type)
  }
  await fileSystem.syncDirectory(home)
  await fileSystem.removeTree(dataDirectory)
  await fileSystem.syncDirectory(home)
}

type Move = (name: string, type: LeveldbName['type']) => Promise<void>

function mover(from: string, to: string, fileSystem: FileSystem): Move {
  return async (name, type) => {
    const keeps = type === 'table' || type === 'manifest' || type === 'info'
    if (keeps) await fileSystem.rename(join(from, name), join(to, name))
    else await removeIfPresent(join(from, name), fileSystem)
  }
}
