import { randomBytes } from 'node:crypto'
import { link, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../src/checkpoint/checkpoint-tables.ts'
import { stateDigest, type StateDigest } from '../src/tables/digest.ts'
import type { ManifestTable } from '../src/leveldb/leveldb-edit.ts'
import { flushConfirmed } from '../src/leveldb/leveldb-flush.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { VersionReader } from '../src/leveldb/leveldb-version.ts'
import { openState } from '../src/state/state.ts'
import { HashThread, HashThreadLost } from '../src/tables/hash-thread.ts'
import { digestTables, digestsOfTables } from '../src/tables/table-digest.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
let levels = 0
let links = 0

interface Opened {
  readonly level: RawLevel
  readonly directory: string
}

interface Tables {
  readonly live: readonly ManifestTable[]
  /** The folder of links to them. */
  readonly place: string
}

async function openLevel(options: { compression?: boolean } = {}): Promise<Opened> {
  levels += 1
  const directory = join(folder, `level${levels}`)
  const level = new RawLevel(directory)
  // Small memory and small tables: many of both, in several levels.
  await level.open({ writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024, ...options })
  return { level, directory }
}

/** All that was written, as tables that stay. */
async function flushed({ level, directory }: Opened): Promise<Tables> {
  const reader = new VersionReader(directory, nodeFileSystem)
  links += 1
  const place = {
    dataDirectory: directory,
    tablesDirectory: join(folder, `links${links}`),
    fileSystem: nodeFileSystem,
  }
  const confirmed = await flushConfirmed(level, reader, place)
  const { found } = await linkVersion(confirmed, reader, { ...place, published: new Map() })
  const live = [...found.version.tables.values()].toSorted((a, b) => a.number - b.number)
  return { live, place: place.tablesDirectory }
}

function digestOf({ live, place }: Tables): Promise<StateDigest> {
  return digestTables(live, place, nodeFileSystem)
}

/** Short keys over few bytes, those of LevelDB’s own suffixes among them: many are prefixes of others, many are written again. */
function keyOf(random: () => number): Buffer {
  const bytes = [0, 1, 5, 0x61, 0xff]
  return Buffer.from(
    Array.from({ length: 1 + Math.floor(random() * 9) }, () => bytes[Math.floor(random() * 5)] ?? 0),
  )
}

function valueOf(random: () => number, step: number): Buffer {
  if (step % 997 === 0) return Buffer.alloc(300_000, step)
  const bytes = Math.floor(random() * 120)
  return random() < 0.5
    ? Buffer.alloc(bytes, step)
    : Buffer.from(Array.from({ length: bytes }, () => random() * 256))
}

describe('the digest of tables', () => {
  test('is the same by a thread of its own, and without one that is lost on the way', async () => {
    const random = seededRandom(8)
    const opened = await openLevel()
    for (let step = 0; step < 3000; step += 1) {
      await opened.level.put(keyOf(random), valueOf(random, step * 7 + 1))
    }
    const { live, place } = await flushed(opened)
    const expected = await stateDigest(opened.level, 0)
    const threads: HashThread[] = []
    for (const isLost of [false, true]) {
      const beginThread = (): HashThread => {
        const thread = new HashThread()
        threads.push(thread)
        if (isLost) void thread.close()
        return thread
      }
      const sequences = [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
      const at = { directory: place, fileSystem: nodeFileSystem, beginThread }
      expect(await digestsOfTables(live, at, sequences)).toEqual([expected, expected])
    }
    expect(threads).toHaveLength(2)
    for (const thread of threads) await expect(thread.room()).rejects.toBeInstanceOf(HashThreadLost)
    await opened.level.close()
  })

  test('of much is hashed by a thread, and what is damaged there is told as ever', async () => {
    const opened = await openLevel()
    for (let step = 0; step < 60; step += 1) {
      await opened.level.put(Buffer.from(`key ${String(step)}`), Buffer.from(randomBytes(600_000)))
    }
    const tables = await flushed(opened)
    expect(await digestOf(tables)).toEqual(await stateDigest(opened.level, 0))
    await truncate(join(tables.place, (await readdir(tables.place)).at(-1) ?? ''), 1000)
    await expect(digestOf(tables)).rejects.toMatchObject({ code: 'ENGINE_TABLE_DAMAGED' })
    await opened.level.close()
  })

  test.each(['packed', 'plain'])('of %s blocks is what LevelDB’s iterator gives', async (packing) => {
    const opened = await openLevel({ compression: packing === 'packed' })
    const { level } = opened
    const random = seededRandom(5)
    const depths = new Set<number>()
    for (let round = 0; round < 6; round += 1) {
      for (let step = 0; step < 4; step += 1) {
        const batch = level.operationBatch()
        for (let entry = 0; entry < 400; entry += 1) {
          const key = keyOf(random)
          if (random() < 0.2) batch.del(key)
          else batch.put(key, valueOf(random, entry + step * 400))
        }
        await batch.write({ lsn: round * 4 + step + 1, committedAtUs: 1 })
      }
      if (round === 2) await level.compactRange(Buffer.alloc(1), Buffer.alloc(9, 0xff))
      const tables = await flushed(opened)
      for (const table of tables.live) depths.add(table.level)
      const lsn = round * 4 + 4
      const digest = await digestOf(tables)
      expect(digest).toEqual(await stateDigest(level, lsn))
    }
    expect([...depths]).toEqual(expect.arrayContaining([0, 2]))
    await level.close()
  })

  test('of nothing is that of nothing', async () => {
    const { level, directory } = await openLevel()
    expect(await digestTables([], directory, nodeFileSystem)).toEqual(await stateDigest(level, 0))
    await level.close()
  })

  test('leaves out the engine’s own zone, and has an LSN only from the applied position', async () => {
    const opened = await openLevel()
    await opened.level.put(Buffer.alloc(15, 0xff), Buffer.from('a user’s'))
    await opened.level.put(Buffer.alloc(20, 0xff), Buffer.from('the engine’s'))
    const digest = await digestOf(await flushed(opened))
    expect(digest).toMatchObject({ lsn: 0, entries: 1 })
    expect(digest).toEqual(await stateDigest(opened.level, 0))
    await opened.level.close()
  })

  test('knows the newest of two entries of a key that ends two tables of one level', async () => {
    const opened = await openLevel()
    const [older] = (await written(opened, 'old')).live
    const { live: both, place } = await written(opened, 'new')
    const newer = both.find(({ number }) => number !== older?.number)
    if (older === undefined || newer === undefined) throw new Error('no table was made')
    for (const order of [
      [older, newer],
      [newer, older],
    ]) {
      const live = order.map((table) => ({ ...table, level: 1 }))
      const { hex } = await digestOf({ live, place })
      expect(hex).toBe((await stateDigest(opened.level, 0)).hex)
    }
    await opened.level.close()
  })

  test('refuses damaged tables by name, or reads something else out of them', async () => {
    const opened = await openLevel()
    for (let key = 0; key < 300; key += 1)
      await opened.level.put(Buffer.from(`key ${key}`), Buffer.alloc(100, key))
    const tables = await flushed(opened)
    const sound = await digestOf(tables)
    const place = join(folder, 'damaged')
    await mkdir(place)
    const [name = ''] = await readdir(tables.place)
    const content = await readFile(join(tables.place, name))
    const random = seededRandom(8)
    const codes = new Set<unknown>()
    for (let trial = 0; trial < 100; trial += 1) {
      const damaged = Buffer.from(content)
      const at = Math.floor(random() * content.length)
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at)
      await writeFile(join(place, name), damaged)
      codes.add(await digestOf({ ...tables, place }).then(({ hex }) => hex === sound.hex, codeOf))
    }
    // What nothing reads (a checksum, the directory of a block) makes no other state.
    expect(codes).toEqual(new Set([true, false, 'ENGINE_TABLE_DAMAGED']))
    await truncate(join(place, name), 100)
    await expect(digestOf({ ...tables, place })).rejects.toMatchObject({
      code: 'ENGINE_TABLE_DAMAGED',
    })
    await opened.level.close()
  })
})

describe('the digest of a state', () => {
  test('has what is still in LevelDB’s memory, goes on being one beside its sorting, and leaves nothing behind', async () => {
    const directory = join(folder, 'state')
    await using state = await openState(directory, { createIfMissing: true })
    for (let lsn = 1; lsn <= 3; lsn += 1) {
      const batch = state.level.operationBatch()
      for (let key = 0; key < 500; key += 1)
        batch.put(Buffer.from(`${key % (lsn * 200)}`), Buffer.alloc(50, lsn))
      await batch.write({ lsn, committedAtUs: lsn })
      // What an interrupted one left is in nobody's way.
      await mkdir(`${directory}-digest`, { recursive: true })
      await link(join(directory, 'CURRENT'), `${directory}-digest/000005.ldb`).catch(() => undefined)
      expect(await state.digest()).toEqual(await stateDigest(state.level, lsn))
      expect(await readdir(folder)).not.toContain('state-digest')
    }
  })
})

async function written(opened: Opened, value: string): Promise<Tables> {
  await opened.level.put(Buffer.from('the key'), Buffer.from(value))
  return flushed(opened)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error
}
