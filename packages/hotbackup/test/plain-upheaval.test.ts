/**
 * A copy of a LevelDB folder whose owner does, at one moment of the copy after the other, all that it ever does to its files: it
 * begins a new log, writes the old one into a table, merges tables, appends to the MANIFEST and removes what it needs no more.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeFileSystem, type FileSystem } from '@timberline/wal'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { plainBackup } from '../src/index.ts'
import { makeFastFolder } from './fixture.ts'
import { stateOf } from './hot-plain-copies.ts'

let folder = ''
let db: ClassicLevel
let written = 0

beforeEach(async () => {
  folder = await makeFastFolder()
  db = new ClassicLevel(join(folder, 'application'))
  await db.open()
  written = 0
  for (let n = 0; n < 3; n += 1) await upheaval()
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The next transaction: one key of its own, and one that all of them write. */
async function write(): Promise<void> {
  written += 1
  const n = String(written)
  await db.batch([
    { type: 'put', key: `k${n.padStart(4, '0')}`, value: n },
    { type: 'put', key: 'last', value: n },
  ])
}

/** Everything that is in the log goes into a table, and all tables into one; a transaction before and one behind that. */
async function upheaval(): Promise<void> {
  await write()
  await db.compactRange('a', 'z')
  await write()
}

/** The file system, with something happening before operations on files of the database. */
function disturbed(happening: (operation: string, path: string) => Promise<void>): FileSystem {
  return {
    ...nodeFileSystem,
    open: async (path, mode) => happening('open', path).then(() => nodeFileSystem.open(path, mode)),
    list: async (path) => happening('list', path).then(() => nodeFileSystem.list(path)),
    link: async (from, to) => happening('link', from).then(() => nodeFileSystem.link(from, to)),
  }
}

/** The copy is the state after one of the transactions; resolves with its number. */
async function prefixOf(target: string): Promise<number> {
  const reading = stateOf(target)
  // A copy that names a file which it lacks does not open, or cannot be read.
  await expect(reading).resolves.toBeInstanceOf(Map)
  const state = await reading
  const last = Number(state.get('last'))
  const keys = Array.from({ length: last }, (_, n) => `k${String(n + 1).padStart(4, '0')}`)
  expect([...state.keys()]).toEqual([...keys, 'last'])
  return last
}

describe('a hot copy of a LevelDB folder in upheaval', () => {
  it('holds a prefix with all that was written before it, whatever comes before any one operation', async () => {
    const copied = async (index: number): Promise<boolean> => {
      const target = join(folder, `copy-${String(index)}`)
      const before = written
      let operations = 0
      const fileSystem = disturbed(async () => {
        operations += 1
        if (operations === index) await upheaval()
      })
      await plainBackup({ folder: db.location, target, fileSystem })
      expect(await prefixOf(target), `operation ${String(index)}`).toBeGreaterThanOrEqual(before)
      return operations >= index
    }
    let index = 1
    while (await copied(index)) index += 1
    expect(index).toBeGreaterThan(15)
  })

  it('looks again as long as the MANIFEST moves, and takes no vanished table for damage', async () => {
    let disturbances = 0
    const fileSystem = disturbed(async (operation, path) => {
      if (operation !== 'link' || !path.endsWith('.ldb') || disturbances === 8) return
      disturbances += 1
      await upheaval()
    })
    const target = join(folder, 'copy')
    const { tries } = await plainBackup({ folder: db.location, target, fileSystem })
    expect(tries).toBe(9)
    expect(await prefixOf(target)).toBe(written)
  })
})
