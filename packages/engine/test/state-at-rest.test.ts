/**
 * Fault models: the power fails before or after any single operation on a file, after which of a folder there is only what was synced, or
 * anything between; or the system refuses that operation.
 *
 * Expected: LevelDB opens the folder at a position that had been reached, with just the state at it; never at one before the last that
 * was asked for.
 */
import { appendFileSync, cpSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem, LogRecord } from '@timberline/wal'
import {
  failAt,
  type Fault,
  FaultFileSystem,
  immediateFileSystem,
  MirrorFileSystem,
} from '@timberline/wal/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { oneIn, operationsOf as operationsTo } from '../../../tools/matrix-sample.ts'
import { checkpointLsns } from '../src/checkpoint/checkpoint-manifest.ts'
import { writeDataFromCheckpoint } from '../src/checkpoint/checkpoint-restore.ts'
import { stateDigest, type StateDigest } from '../src/tables/digest.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { newHomeIdentity } from '../src/home/home-identity.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { readVersion } from '../src/leveldb/leveldb-flush.ts'
import { VersionReader } from '../src/leveldb/leveldb-version.ts'
import { replayInto } from '../src/state/replay.ts'
import { openStateAtRest, type StateAtRest } from '../src/state/state-at-rest.ts'
import { openState } from '../src/state/state.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'
import { verifyData } from '../src/state/state-verify.ts'
import { expectedState, operationsOf, visibleState } from './support/home-fixture.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
const BASE = 300
let copies = 0
/** A folder of LevelDB at rest, with transactions 1 to 300 in several tables. */
const base = join(folder, 'base')

function recordOf(lsn: number): LogRecord {
  const payload = encodeTransaction({ operations: operationsOf(lsn) })
  return { lsn, committedAtUs: lsn * 1000, kind: 'entry', payload }
}

async function* records(from: number, through: number): AsyncGenerator<LogRecord[]> {
  for (let lsn = from; lsn <= through; lsn += 1) yield [recordOf(lsn)]
}

function copyOfBase(): string {
  copies += 1
  const directory = join(folder, `copy${String(copies)}`)
  cpSync(base, directory, { recursive: true })
  return directory
}

async function digestOf(state: StateAtRest): Promise<StateDigest> {
  const [digest, ...others] = await state.digests()
  expect(others).toEqual([])
  if (digest === undefined) throw new Error('there is no digest')
  return digest
}

/** What LevelDB finds in a folder. */
async function opened(directory: string): Promise<{ lsn: number; state: Map<string, string> }> {
  await using state = await openState(directory, { createIfMissing: false })
  return { lsn: await state.appliedLsn(), state: await visibleState(state.level) }
}

async function tablesByLevel(directory: string): Promise<number[]> {
  const { version } = await readVersion(new VersionReader(directory, nodeFileSystem), directory)
  return [...version.tables.values()].map(({ level }) => level)
}

beforeAll(async () => {
  const level = new RawLevel(base)
  await level.open({ writeBufferSize: 64 * 1024 })
  await replayInto(level, records(1, BASE))
  await level.compactRange(Buffer.alloc(1), Buffer.alloc(40, 0xff))
  await level.close()
  rmSync(join(base, 'LOCK'))
})

describe('a state at rest', () => {
  test('comes to where LevelDB comes by the same log, and LevelDB goes on from there', async () => {
    const directory = copyOfBase()
    const state = await openStateAtRest(directory, { tableBytesMax: 100_000 })
    expect(await state.applied()).toEqual({ lsn: BASE, committedAtUs: BASE * 1000 })
    const result = await replayInto(state, records(BASE - 10, 1200))
    expect(result).toMatchObject({ appliedLsn: 1200, records: 900 })
    const digest = await digestOf(state)
    await state.close()
    expect((await tablesByLevel(directory)).filter((level) => level === 0).length).toBeGreaterThan(2)
    const level = new RawLevel(directory)
    await level.open({ createIfMissing: false, writeBufferSize: 64 * 1024 })
    expect(await stateDigest(level, 1200)).toEqual(digest)
    expect(await visibleState(level)).toEqual(expectedState(1200))
    expect(await level.applied()).toEqual({ lsn: 1200, committedAtUs: 1_200_000 })
    const keys = [...expectedState(1200).keys()]
    const values = await level.getMany(keys.map((key) => Buffer.from(key)))
    expect(values.map(String)).toEqual([...expectedState(1200).values()])
    const absent = await level.getMany(keys.map((key) => Buffer.from(`${key}?`)))
    expect(absent.every((value) => value === undefined)).toBe(true)
    // New writes count more than what was added, also when all is sorted together.
    await replayInto(level, records(1201, 1500))
    await level.compactRange(Buffer.alloc(1), Buffer.alloc(40, 0xff))
    expect(await visibleState(level)).toEqual(expectedState(1500))
    await level.close()
    expect(await opened(directory)).toEqual({ lsn: 1500, state: expectedState(1500) })
  })

  test('has each key as the last of any operations left it', async () => {
    const random = seededRandom(9)
    const bytes = [0, 1, 5, 0x61, 0xff]
    const directory = copyOfBase()
    const resting = await openStateAtRest(directory, { tableBytesMax: 30_000 })
    await using plain = await openState(copyOfBase(), { createIfMissing: false })
    for (let lsn = BASE + 1; lsn <= BASE + 40; lsn += 1) {
      const batches = [resting.operationBatch(), plain.level.operationBatch()]
      for (let entry = 0; entry < 50; entry += 1) {
        const key = Buffer.from(
          Array.from({ length: 1 + Math.floor(random() * 5) }, () => bytes[Math.floor(random() * 5)] ?? 0),
        )
        const value = Buffer.alloc(lsn % 13 === 0 && entry === 0 ? 70_000 : Math.floor(random() * 90), entry)
        const isDeletion = random() < 0.3
        for (const batch of batches) {
          if (isDeletion) batch.del(key)
          else batch.put(key, value)
          batch.del(Buffer.from(`key${String((lsn + entry) % 500).padStart(6, '0')}`))
        }
      }
      for (const batch of batches) await batch.write({ lsn, committedAtUs: lsn })
    }
    const digest = await digestOf(resting)
    await resting.close()
    expect(digest).toEqual(await plain.digest())
    await using again = await openState(directory, { createIfMissing: false })
    expect(await stateDigest(again.level, BASE + 40)).toEqual(digest)
  })

  test('is checkpointed as it is, with sound tables, and can be told to be where it is twice', async () => {
    const home = join(folder, 'home')
    const layout = homeLayout(home)
    mkdirSync(layout.logDirectory, { recursive: true })
    cpSync(base, layout.dataDirectory, { recursive: true })
    const state = await openStateAtRest(layout.dataDirectory)
    await replayInto(state, records(BASE + 1, 700))
    const digest = await digestOf(state)
    const { manifest } = await state.checkpoint({
      layout,
      identity: newHomeIdentity(),
      segmentAfter: () => Promise.resolve(4),
      digest,
    })
    await state.close()
    expect(manifest).toMatchObject({ lsn: 700, segmentNumber: 4, digest })
    // The digest had everything in tables; the checkpoint had nothing to add.
    expect((await tablesByLevel(layout.dataDirectory)).filter((level) => level === 0)).toHaveLength(1)
    expect(await verifyData(layout)).toEqual([])
    const restored = join(folder, 'restored')
    await writeDataFromCheckpoint(manifest, layout.tablesDirectory, restored, { mode: 'copy' })
    expect(await opened(restored)).toEqual({ lsn: 700, state: expectedState(700) })
  })

  test('has the digests of all states that it was to remember, whatever came later', async () => {
    const state = await openStateAtRest(copyOfBase(), { tableBytesMax: 50_000 })
    await using plain = await openState(copyOfBase(), { createIfMissing: false })
    const expected: StateDigest[] = [await plain.digest()]
    await state.remember()
    for (const lsn of [301, 450, 900]) {
      const from = (expected.at(-1)?.lsn ?? 0) + 1
      await replayInto(state, records(from, lsn))
      await replayInto(plain.level, records(from, lsn))
      expected.push(await plain.digest())
      if (lsn < 900) await state.remember()
    }
    expect(expected.map(({ lsn }) => lsn)).toEqual([300, 301, 450, 900])
    expect(await state.digests()).toEqual(expected)
    // Told once, they are forgotten.
    expect(await state.digests()).toEqual(expected.slice(-1))
    await state.close()
  })

  test('forgets at its end what nobody asked for, and records that change nothing count', async () => {
    const directory = copyOfBase()
    const forgotten = await openStateAtRest(directory)
    await replayInto(forgotten, records(BASE + 1, 320))
    await forgotten.close()
    expect(await opened(directory)).toEqual({ lsn: BASE, state: expectedState(BASE) })
    const state = await openStateAtRest(directory)
    const mark: LogRecord = {
      lsn: BASE + 1,
      committedAtUs: 5,
      kind: 'mark',
      payload: Buffer.from('release 7'),
    }
    await replayInto(state, arrayOf([mark]))
    expect(await state.digests()).toMatchObject([{ lsn: BASE + 1 }])
    await state.close()
    expect(await opened(directory)).toEqual({ lsn: BASE + 1, state: expectedState(BASE) })
  })

  test('is handed to LevelDB where more tables would make its writers wait, and goes on there', async () => {
    const directory = copyOfBase()
    const state = await openStateAtRest(directory, { tableBytesMax: 1 })
    await replayInto(state, records(BASE + 1, 303))
    await state.remember()
    for (let lsn = 304; lsn <= 325; lsn += 1) await replayInto(state, records(lsn, lsn))
    await state.remember()
    await replayInto(state, records(326, 330))
    // LevelDB sorts what it was given; it has not got thirty of them.
    expect((await tablesByLevel(directory)).filter((level) => level === 0).length).toBeLessThanOrEqual(12)
    const digests = await state.digests()
    await replayInto(state, records(331, 340))
    const home = join(folder, 'handed')
    mkdirSync(home)
    const { manifest } = await state.checkpoint({
      layout: { ...homeLayout(home), dataDirectory: directory },
      identity: newHomeIdentity(),
      segmentAfter: () => Promise.resolve(1),
    })
    expect(manifest.lsn).toBe(340)
    expect(await checkpointLsns(home, nodeFileSystem)).toEqual([340])
    expect(await state.applied()).toEqual({ lsn: 340, committedAtUs: 340_000 })
    await state.close()
    expect(await opened(directory)).toEqual({ lsn: 340, state: expectedState(340) })
    await using plain = await openState(copyOfBase(), { createIfMissing: false })
    const expected: StateDigest[] = []
    for (const lsn of [303, 325, 330]) {
      await replayInto(plain.level, records((expected.at(-1)?.lsn ?? BASE) + 1, lsn))
      expected.push(await plain.digest())
    }
    expect(digests).toEqual(expected)
  })

  test('goes on behind a record of the MANIFEST that was cut, and over a table that none names', async () => {
    const directory = copyOfBase()
    const { manifestName, version } = await readVersion(
      new VersionReader(directory, nodeFileSystem),
      directory,
    )
    appendFileSync(join(directory, manifestName), Buffer.alloc(5000, 1))
    appendFileSync(join(directory, `${String(version.nextFile).padStart(6, '0')}.ldb`), 'half a table')
    const state = await openStateAtRest(directory, { tableBytesMax: 20_000 })
    await replayInto(state, records(BASE + 1, 500))
    await state.digests()
    await state.close()
    // Nothing lies behind the records: the next one would be lost in it.
    const found = await readVersion(new VersionReader(directory, nodeFileSystem), directory)
    expect(found.version.endBytes).toBe(statSync(join(directory, manifestName)).size)
    expect(await opened(directory)).toEqual({ lsn: 500, state: expectedState(500) })
  })

  test('does not begin where there is no state', async () => {
    const directory = join(folder, 'nothing')
    await expect(openStateAtRest(directory)).rejects.toMatchObject({ code: 'ENGINE_CURRENT_DAMAGED' })
  })
})

describe('a table that is added', () => {
  /** Several tables: most by their size, one because a digest asks. */
  async function advance(directory: string, fileSystem: FileSystem): Promise<void> {
    const state = await openStateAtRest(directory, { fileSystem, tableBytesMax: 8000 })
    try {
      for (let lsn = BASE + 1; lsn <= 380; lsn += 1) await replayInto(state, records(lsn, lsn))
      await state.digests()
    } finally {
      await state.close()
    }
  }

  /** The folder is at the end of one of the tables, with the state there. */
  async function expectSound(directory: string, where: string): Promise<number> {
    const found = await opened(directory)
    expect(found.state, where).toEqual(expectedState(found.lsn))
    return found.lsn
  }

  test('is there as a whole or not at all after a power loss at any operation, and stays once it was asked for', async () => {
    const root = join(folder, 'disk')
    mkdirSync(root)
    cpSync(base, join(root, 'data'), { recursive: true })
    const mirror = await MirrorFileSystem.over(root, { real: immediateFileSystem })
    const watched = new FaultFileSystem(mirror)
    const images = new Map<string, () => void>()
    const place = join(folder, 'after-power-loss')
    watched.inject(({ index }) => {
      for (const loss of [
        { writes: 'lost', names: 'lost' },
        { writes: 'kept', names: 'lost' },
        { seed: index },
      ] as const) {
        const image = mirror.capture({ ...loss, leveldb: 'synced', ownLog: 'gone' })
        images.set(image.fingerprint, () => image.writeTo(place))
      }
      return undefined
    })
    await advance(join(root, 'data'), watched)
    const last = mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'synced', ownLog: 'gone' })
    const found = new Set<number>()
    for (const [fingerprint, write] of images) {
      write()
      found.add(await expectSound(join(place, 'data'), fingerprint))
      rmSync(place, { recursive: true })
    }
    console.log(`power loss: ${String(images.size)} states of the disk, at ${[...found].join(', ')}`)
    expect(found.size).toBeGreaterThan(2)
    last.writeTo(place)
    expect(await expectSound(join(place, 'data'), 'after the digest')).toBe(380)
  })

  test('is durable with its name before the MANIFEST names it', async () => {
    const clean = new FaultFileSystem(nodeFileSystem)
    await advance(copyOfBase(), clean)
    const changes = clean.operations.filter(({ kind }) => ['write', 'sync', 'syncDirectory'].includes(kind))
    let records = 0
    for (const [at, { kind, path }] of changes.entries()) {
      if (kind !== 'write' || !path.includes('MANIFEST')) continue
      const before = changes.slice(Math.max(at - 3, 0), at).map((change) => change.kind)
      expect(before).toEqual(['write', 'sync', 'syncDirectory'])
      expect(changes[at + 1]).toMatchObject({ kind: 'sync', path })
      records += 1
    }
    expect(records).toBe(5)
  })

  test.each(['ENOSPC', 'EIO', 'short', 'EIO-after'] satisfies Fault[])(
    'fails with %s at any operation, and leaves the state as it was or as it was to be',
    async (fault) => {
      const clean = new FaultFileSystem(nodeFileSystem)
      await advance(copyOfBase(), clean)
      let failed = 0
      const numbers = oneIn(6, operationsTo(clean.operations.length))
      for (const number of numbers) {
        const directory = copyOfBase()
        const faulty = new FaultFileSystem(nodeFileSystem, failAt(number, fault))
        const outcome = await advance(directory, faulty).then(
          () => 'done',
          () => 'failed',
        )
        if (outcome === 'failed') failed += 1
        await faulty.releaseHandles()
        const lsn = await expectSound(directory, `${fault} at operation ${String(number)}`)
        expect(outcome === 'done' ? lsn : 380).toBe(380)
      }
      console.log(`${fault}: ${String(failed)} of ${String(numbers.length)} failed`)
      // Readers ask again where a read is short, and closing fails too late to matter.
      expect(failed).toBeGreaterThan(numbers.length / (fault === 'short' ? 10 : 2))
    },
  )
})

async function* arrayOf(records: readonly LogRecord[]): AsyncGenerator<LogRecord[]> {
  yield [...records]
}
