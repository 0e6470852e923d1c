/** What every open of LevelDB leaves behind: a folder whose names and newest MANIFEST are durable, or a database that is closed again. */
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { FaultFileSystem, failOn } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { openState } from '../src/state/state.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

test('CURRENT, the MANIFEST and their names are durable when a new state is open', async () => {
  const dataDirectory = join(folder, 'new')
  const disk = new FaultFileSystem(nodeFileSystem)
  const state = await openState(dataDirectory, { createIfMissing: true, fileSystem: disk })
  await state.close()
  const synced = disk.operations.filter(({ kind }) => kind === 'sync').map(({ path }) => path)
  expect(synced).toContain(join(dataDirectory, 'CURRENT'))
  expect(synced.some((path) => path.includes('MANIFEST-'))).toBe(true)
  const folders = disk.operations.filter(({ kind }) => kind === 'syncDirectory').map(({ path }) => path)
  expect(folders).toContain(dataDirectory)
})

test('a folder that cannot be synced is closed again', async () => {
  const dataDirectory = join(folder, 'refused')
  const disk = new FaultFileSystem(nodeFileSystem, failOn({ kind: 'syncDirectory', path: 'refused' }, 'EIO'))
  await expect(openState(dataDirectory, { createIfMissing: true, fileSystem: disk })).rejects.toMatchObject({
    code: 'EIO',
  })
  // LevelDB's lock is free.
  await (await openState(dataDirectory, { createIfMissing: false })).close()
})
