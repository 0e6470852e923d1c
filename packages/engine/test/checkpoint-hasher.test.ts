// Which tables of a checkpoint are hashed when: new ones are left alone while the next checkpoint may follow and drop them, so what is asked
// here is whether the hasher has opened a table, never how long it took.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { CrashFileSystem, FaultFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { CheckpointHasher } from '../src/checkpoint/checkpoint-hasher.ts'
import { newestCheckpoint } from '../src/checkpoint/checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from '../src/checkpoint/checkpoint-manifest.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { nextTurn } from '../src/turns.ts'

const layout = homeLayout('/home')
/** Longer than any test. */
const NEVER_MS = 2 ** 31 - 1

const table = (name: string): CheckpointTable => ({ name: `${name}.ldb`, bytes: name.length })
const hashed = (name: string): CheckpointTable => ({
  ...table(name),
  sha256: createHash('sha256').update(name).digest('hex'),
})

function manifestOf(...tables: CheckpointTable[]): CheckpointManifest {
  return {
    format: 1,
    environmentId: '00'.repeat(16),
    timeline: 1,
    lsn: 7,
    committedAtUs: 1,
    segmentNumber: 1,
    current: 'MANIFEST-000001\n',
    manifestName: 'MANIFEST-000001',
    manifestBase64: '',
    tables,
    createdAtUs: 1,
  }
}

async function diskWith(...names: string[]): Promise<FaultFileSystem> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(layout.tablesDirectory)
  for (const name of names) {
    const handle = await disk.open(join(layout.tablesDirectory, `${name}.ldb`), 'create')
    await handle.write(Buffer.from(name), 0)
    await handle.close()
  }
  return new FaultFileSystem(disk)
}

function isOpened(disk: FaultFileSystem, name: string): boolean {
  const path = join(layout.tablesDirectory, `${name}.ldb`)
  return disk.operations.some((operation) => operation.kind === 'open' && operation.path === path)
}

test('new tables are left alone while the next checkpoint may drop them; one that outlived a checkpoint is hashed at once', async () => {
  const disk = await diskWith('000001', '000002')
  const hasher = new CheckpointHasher(layout, disk, NEVER_MS)
  hasher.begin(manifestOf(table('000001')), () => undefined)
  for (let turn = 0; turn < 100; turn += 1) await nextTurn()
  expect(isOpened(disk, '000001')).toBe(false)
  expect(await hasher.stop()).toEqual(manifestOf(table('000001')))
  hasher.begin(manifestOf(table('000001'), table('000002')), () => undefined)
  const written = async (): Promise<unknown> => (await newestCheckpoint(layout.home, disk))?.tables
  while ((await written()) === undefined) await nextTurn()
  expect(await written()).toEqual([hashed('000001'), table('000002')])
  for (let turn = 0; turn < 100; turn += 1) await nextTurn()
  expect(isOpened(disk, '000002')).toBe(false)
  expect(await hasher.stop()).toEqual(manifestOf(hashed('000001'), table('000002')))
})

test('whoever waits for the hashes need not wait for tables to grow old', async () => {
  const hasher = new CheckpointHasher(layout, await diskWith('000001', '000002'), NEVER_MS)
  let count = 0
  hasher.begin(manifestOf(table('000001'), hashed('000002')), (tables) => (count = tables))
  await hasher.settled()
  expect(count).toBe(1)
  expect(await hasher.stop()).toEqual(manifestOf(hashed('000001'), hashed('000002')))
})

test('new tables are hashed by themselves once the checkpoint has stood for a while', async () => {
  const disk = await diskWith('000001')
  const hasher = new CheckpointHasher(layout, disk, 1)
  const count = await new Promise((resolve) => {
    hasher.begin(manifestOf(table('000001')), resolve)
  })
  expect(count).toBe(1)
  expect((await newestCheckpoint(layout.home, disk))?.tables).toEqual([hashed('000001')])
})

test('once stopped it writes no manifest: the next checkpoint takes over what was learned', async () => {
  const disk = await diskWith('000001', '000002')
  const hasher = new CheckpointHasher(layout, disk, 0)
  const open = disk.open.bind(disk)
  let stopped: Promise<CheckpointManifest | undefined> = Promise.resolve(undefined)
  disk.open = (path, mode) => {
    if (path.endsWith('000002.ldb')) stopped = hasher.stop()
    return open(path, mode)
  }
  hasher.begin(manifestOf(table('000001'), table('000002')), () => undefined)
  while (!isOpened(disk, '000002')) await nextTurn()
  expect((await stopped)?.tables).toEqual([hashed('000001'), table('000002')])
  expect(await newestCheckpoint(layout.home, disk)).toBeUndefined()
})
