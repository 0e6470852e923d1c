/** Tables of a load, made small so that all levels, the overlapping ones and LevelDB's sorting are reached; LevelDB reads them back. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { FaultFileSystem, failOn } from '@timberline/wal/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { TableSet } from '../src/bulk-load/bulk-load-table-set.ts'
import { TableLoad } from '../src/bulk-load/bulk-load-tables.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { VersionReader } from '../src/leveldb/leveldb-version.ts'
import { OperationWindow } from '../src/tables/operation-window.ts'
import { APPLIED_KEY, LOADING } from '../src/reserved-keys.ts'
import type { AppliedPosition } from '../src/reserved-keys.ts'
import { openState } from '../src/state/state.ts'
import { nextTurn } from '../src/turns.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
let count = 0
let dataDirectory = ''

beforeEach(async () => {
  dataDirectory = join(folder, String((count += 1)))
  mkdirSync(dataDirectory)
  const state = await openState(dataDirectory, { createIfMissing: true })
  await state.level.operationBatch().write({ lsn: 3, committedAtUs: 30 })
  await state.flush()
  await state.close()
})

const LIMITS = { windowBytes: 4000, laterWindowBytes: 8000, windowEntries: 1000, overlappingMax: 4 }

async function loaded(
  entries: Iterable<readonly [string, string]>,
  limits: object = LIMITS,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const load = await TableLoad.of({ dataDirectory, fileSystem }, limits)
  for (const [key, value] of entries) {
    load.add({ key, value })
    if (load.isFull) await load.flush()
  }
  await load.end()
}

async function readBack(): Promise<Map<string, string>> {
  const level = new RawLevel(dataDirectory)
  await level.open()
  const found = new Map<string, string>()
  for await (const [key, value] of level.iterator({ lt: APPLIED_KEY })) {
    // By key as well: LevelDB looks level by level then, and must find the newest first.
    expect((await level.get(key))?.equals(value)).toBe(true)
    found.set(key.toString(), value.toString())
  }
  expect(await level.applied()).toEqual(LOADING)
  await level.close()
  return found
}

async function levels(): Promise<number[]> {
  const found = await new VersionReader(dataDirectory, nodeFileSystem).read()
  const tables = [...(found?.version.tables.values() ?? [])].filter(({ isOwn }) => !isOwn)
  return tables.toSorted((a, b) => a.number - b.number).map(({ level }) => level)
}

function* scattered(entries: number, keys: number): Generator<readonly [string, string]> {
  const random = seededRandom(20_261_127)
  for (let number = 0; number < entries; number += 1) {
    yield [`k${String(Math.floor(random() * keys))}`, `${String(number)} `.repeat(8)]
  }
}

test('tables and their names are durable before the MANIFEST names any of them', async () => {
  const disk = new FaultFileSystem(nodeFileSystem)
  const entries = Array.from({ length: 60 }, (_, at) => [`k${String(at)}`, 'v'.repeat(200)] as const)
  await loaded(entries, { ...LIMITS, overlappingMax: 11 }, disk)
  const changes = disk.operations.filter(({ kind }) => ['write', 'sync', 'syncDirectory'].includes(kind))
  const named = changes.findIndex(({ kind, path }) => kind === 'write' && path.includes('MANIFEST'))
  const written = changes.filter(({ kind, path }) => kind === 'write' && path.endsWith('.ldb'))
  const tables = new Set(written.map(({ path }) => path))
  expect(tables.size).toBeGreaterThan(2)
  const synced = changes.slice(0, named).filter(({ kind }) => kind === 'sync')
  expect(new Set(synced.map(({ path }) => path))).toEqual(tables)
  expect(changes.slice(named - 1).map(({ kind }) => kind)).toEqual(['syncDirectory', 'write', 'sync'])
})

/** A device that flushes nothing until it is told to, and what came to it. */
class HeldDevice {
  readonly written = new Set<string>()
  readonly syncedFolders: string[] = []
  goOn: () => void = () => undefined
  readonly #told = new Promise<void>((resolve) => {
    this.goOn = resolve
  })
  readonly fileSystem: FileSystem = {
    ...nodeFileSystem,
    syncDirectory: (path) => {
      this.syncedFolders.push(path)
      return nodeFileSystem.syncDirectory(path)
    },
    open: async (path, mode) => {
      const handle = await nodeFileSystem.open(path, mode)
      const write = handle.write.bind(handle)
      const sync = handle.sync.bind(handle)
      handle.write = async (source, position) => {
        await write(source, position)
        this.written.add(path)
      }
      handle.sync = async () => {
        await this.#told
        await sync()
      }
      return handle
    },
  }
}

/** Enough for whatever is not waiting for the device. */
async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await nextTurn()
}

function put(tables: TableSet, key: string, position?: AppliedPosition): Promise<void> {
  const window = new OperationWindow()
  window.put(Buffer.from(key), Buffer.alloc(10))
  return tables.write(window, position)
}

test('a table is made while the device takes the one before, and the next waits for that', async () => {
  const device = new HeldDevice()
  const tables = await TableSet.of({ dataDirectory, fileSystem: device.fileSystem })
  await put(tables, 'first')
  let isSecondIn = false
  const second = put(tables, 'second').then(() => (isSecondIn = true))
  while (device.written.size < 2) await nextTurn()
  await someTurns()
  expect(isSecondIn).toBe(false)
  device.goOn()
  await second
  await put(tables, 'third', LOADING)
  await tables.add()
  expect([...(await readBack()).keys()]).toEqual(['first', 'second', 'third'])
})

test('the MANIFEST waits until the device has the last table', async () => {
  const device = new HeldDevice()
  const tables = await TableSet.of({ dataDirectory, fileSystem: device.fileSystem })
  await put(tables, 'only', LOADING)
  const adding = tables.add()
  await someTurns()
  // The step before the MANIFEST.
  expect(device.syncedFolders).toEqual([])
  device.goOn()
  await adding
  expect(device.syncedFolders).toEqual([dataDirectory])
  expect([...(await readBack()).keys()]).toEqual(['only'])
})

test('a table that the device refuses later is not named, and nothing is open any more', async () => {
  const disk = new FaultFileSystem(nodeFileSystem, failOn({ kind: 'sync' }, 'EIO'))
  const tables = await TableSet.of({ dataDirectory, fileSystem: disk })
  await put(tables, 'only', LOADING)
  await expect(tables.add()).rejects.toMatchObject({ code: 'EIO' })
  await tables.settled()
  const kinds = disk.operations.filter(({ path }) => path.endsWith('.ldb')).map(({ kind }) => kind)
  expect(kinds.at(-1)).toBe('close')
  expect(await levels()).toEqual([])
})

describe('tables of a load', () => {
  test.each([
    [50, 'one table'],
    [700, 'a level for each table, and the last where tables may overlap'],
    [1200, 'more tables than levels'],
    [6000, 'so many that LevelDB takes the rest'],
  ])('hold the last value of each key: %i entries, %s', async (entries) => {
    await loaded(scattered(entries, 400))
    expect(await readBack()).toEqual(new Map(scattered(entries, 400)))
  })

  test('take the free levels from the deepest on, then the one where tables may overlap', async () => {
    await loaded(scattered(1200, 400), { ...LIMITS, overlappingMax: 11 })
    const found = await levels()
    expect(found.slice(0, 6)).toEqual([6, 5, 4, 3, 2, 1])
    expect(new Set(found.slice(6))).toEqual(new Set([0]))
  })

  test('end with a number of entries too', async () => {
    await loaded(scattered(100, 400), { ...LIMITS, windowEntries: 30 })
    expect(await levels()).toEqual([6, 5, 4, 0])
    expect(await readBack()).toEqual(new Map(scattered(100, 400)))
  })

  test('are not part of the database before the end', async () => {
    const load = await TableLoad.of({ dataDirectory, fileSystem: nodeFileSystem }, LIMITS)
    for (const [key, value] of scattered(300, 400)) {
      load.add({ key, value })
      if (load.isFull) await load.flush()
    }
    await load.settled()
    expect(await levels()).toEqual([])
    const level = new RawLevel(dataDirectory)
    await level.open()
    expect(await level.applied()).toEqual({ lsn: 3, committedAtUs: 30 })
    await level.close()
  })
})
