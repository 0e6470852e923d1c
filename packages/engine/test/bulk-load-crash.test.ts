/**
 * Fault models: the process ends before or after any single operation on a file, or the power fails there, after which of LevelDB's
 * folder and of ours there is only what was synced, or all of it; or the process is killed at a moment of chance.
 *
 * Expected: the home opens with the state before the load or the state with all of it, never between; with all of it when
 * the load had resolved. What was committed before is there, and the home goes on.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { FileSystem } from '@timberline/wal'
import { FaultFileSystem, MirrorFileSystem, failAt, immediateFileSystem } from '@timberline/wal/testing'
import type { CrashImage, Fault } from '@timberline/wal/testing'
import { beforeAll, describe, expect, test } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import { testProgram } from '../../../tools/test-programs.ts'
import { readStagedLoad } from '../src/checkpoint/checkpoint-load.ts'
import { readBackupDue } from '../src/home/home-backup-due.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
const program = fileURLToPath(new URL('./support/bulk-load-child.ts', import.meta.url))
const KILLS = process.env['SOAK'] === '1' ? 100 : 8
/** Twice LevelDB's memory below, so that parts of the load are in tables before its end. */
const LOADED = 1500
const options = { writeBufferSize: 64 * 1024, log: { preallocateBytes: 0 }, fileSystem: immediateFileSystem }

function* load(): Generator<readonly [string, string]> {
  for (let number = 0; number < LOADED; number += 1) yield [`k${String(number)}`, 'new'.repeat(30)]
}

type Entries = ReadonlyMap<string, string>
/**
 * In the first LevelDB takes the load itself; in the others it is closed meanwhile, and tables are made beside it. The last has no checkpoint that it
 * could be rebuilt from.
 */
const HOMES: Readonly<Record<string, Entries | undefined>> = {
  'with entries': new Map([...Array(20).keys()].map((number) => [`k${String(number * 100)}`, 'old'])),
  'without an entry': new Map(),
  'that is new': undefined,
}

async function stateOf(db: TimberLevel): Promise<Map<string, string>> {
  return new Map(await db.iterator().all())
}

/** The state before: some of it in a checkpoint, some only in the log; of a new home nothing. */
async function prepare(db: TimberLevel, before: Entries | undefined): Promise<void> {
  await db.open()
  if (before === undefined) return
  const puts = [...before].map(([key, value]) => ({ type: 'put' as const, key, value }))
  await db.batch(puts.slice(0, 10))
  await db.mark('prepared')
  await db.checkpoint()
  await db.batch(puts.slice(10))
}

/** Loads, and has the checkpoint taken that is to hold the load. */
async function loaded(db: TimberLevel): Promise<void> {
  await db.bulkLoad(load())
  await db.checkpoint().catch(() => undefined)
}

/** The same, and tells what was promised. */
async function attempt(db: TimberLevel): Promise<'all' | 'nothing known'> {
  try {
    await loaded(db)
    return 'all'
  } catch {
    return 'nothing known'
  }
}

/** Opens what is left twice, the second time with work in between. */
async function inspect(
  home: string,
  promised: 'all' | 'nothing known',
  where: string,
  before: Entries,
): Promise<'all' | 'none'> {
  const after = new Map([...before, ...load()])
  const db = new TimberLevel(home, options)
  await expect(db.open(), where).resolves.toBeUndefined()
  const state = await stateOf(db)
  const found = state.size === after.size ? 'all' : 'none'
  expect(state, where).toEqual(found === 'all' ? after : before)
  // What was promised is there, and with it the mark of a due backup.
  expect(promised === 'all' ? found : 'all', where).toBe('all')
  expect([(await readBackupDue(home))?.reason, found], where).not.toEqual([undefined, 'all'])
  await db.put('goes on', '1')
  await db.close()
  expect(await readStagedLoad(homeLayout(home)), where).toBeUndefined()
  await db.open()
  expect(await stateOf(db), where).toEqual(new Map([...state, ['goes on', '1']]))
  await db.close()
  return found
}

describe.each(Object.entries(HOMES))('a bulk load into a home %s', (name, given) => {
  const before = given ?? new Map<string, string>()
  const place = join(folder, name)
  const template = join(place, 'template')
  let operations = 0

  beforeAll(async () => {
    mkdirSync(template, { recursive: true })
    // One that was opened and closed has a checkpoint.
    if (given !== undefined) {
      const db = new TimberLevel(template, options)
      await prepare(db, given)
      await db.close()
    }
    const counted = join(place, 'counted')
    cpSync(template, counted, { recursive: true })
    const clean = new FaultFileSystem(immediateFileSystem)
    const probe = new TimberLevel(counted, { ...options, fileSystem: clean })
    await probe.open()
    const begun = clean.operations.length
    await loaded(probe)
    operations = clean.operations.length - begun
    await probe.close()
  })

  test.each([
    ['crash', 2],
    ['crash-after', 9],
    ['EIO', 9],
  ] satisfies [Fault, number][])(
    'is all there or not at all after a %s at any operation on a file',
    async (fault, share) => {
      const found = { all: 0, none: 0 }
      let struck = 0
      let tried = 0
      for (const index of oneIn(share, operationsOf(operations))) {
        tried += 1
        const home = join(place, `${fault}-${String(index)}`)
        cpSync(template, home, { recursive: true })
        const faulty = new FaultFileSystem(immediateFileSystem)
        const db = new TimberLevel(home, { ...options, fileSystem: faulty })
        await db.open()
        faulty.inject(failAt(faulty.operations.length + index, fault))
        const promised = await attempt(db)
        struck += faulty.injected.length
        await db.close().catch(() => undefined)
        await faulty.releaseHandles()
        found[await inspect(home, promised, `${fault} at operation ${String(index)}`, before)] += 1
        rmSync(home, { recursive: true })
      }
      console.log(`${fault}: ${String(struck)} of ${String(tried)} struck, ${JSON.stringify(found)}`)
      expect(struck).toBeGreaterThan(tried * 0.8)
      // Both outcomes were looked at, so the decision lies in between.
      expect(found.all).toBeGreaterThan(0)
      expect(found.none).toBeGreaterThan(0)
    },
    300_000,
  )

  test('is all there or not at all after a power loss at any operation on a file', async () => {
    const root = join(place, 'disk')
    mkdirSync(root, { recursive: true })
    const mirror = new MirrorFileSystem(root, { real: immediateFileSystem })
    const home = join(root, 'home')
    await mirror.makeDirectory(home)
    await mirror.syncDirectory(root)
    const images = new Map<string, CrashImage>()
    const watched = new FaultFileSystem(mirror)
    const db = new TimberLevel(home, { ...options, fileSystem: watched as FileSystem })
    await prepare(db, given)
    watched.inject(({ index }) => {
      const kept = { seed: index, ownLog: 'gone' } as const
      for (const loss of [
        { ...kept, writes: 'lost', names: 'lost', leveldb: 'synced' },
        { ...kept, leveldb: 'promised' },
      ] as const) {
        const image = mirror.capture(loss)
        images.set(image.fingerprint, image)
      }
      return undefined
    })
    await db.bulkLoad(load())
    const last = mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'synced', ownLog: 'gone' })
    await db.checkpoint()
    watched.inject(undefined)
    await db.close()
    const found = { all: 0, none: 0 }
    for (const [fingerprint, image] of oneIn(2, [...images])) {
      const lost = join(place, 'after-power-loss')
      image.writeTo(lost)
      found[await inspect(join(lost, 'home'), 'nothing known', fingerprint, before)] += 1
      rmSync(lost, { recursive: true })
    }
    console.log(`power loss: ${String(images.size)} states of the disk, ${JSON.stringify(found)}`)
    expect(found.all).toBeGreaterThan(0)
    expect(found.none).toBeGreaterThan(0)
    last.writeTo(join(place, 'resolved'))
    await inspect(join(place, 'resolved/home'), 'all', 'after it resolved', before)
  }, 300_000)
})

describe('a bulk load', () => {
  test(`is all there or not at all in ${String(KILLS)} kills of the process`, async () => {
    const seed = 20_261_126
    const random = seededRandom(seed)
    const home = join(folder, 'killed')
    let loads = 0
    let rebuilt = 0
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const child = spawn(process.execPath, [testProgram(program), home], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let acknowledged = loads
      let timer: NodeJS.Timeout | undefined
      for await (const line of createInterface({ input: child.stdout })) {
        timer ??= setTimeout(() => child.kill('SIGKILL'), 20 + random() * 400)
        acknowledged = Number(line)
      }
      const db = new TimberLevel(home)
      await db.open()
      if (db.opened?.state.rebuilt === true) rebuilt += 1
      const generations = new Set(await db.values().all())
      const where = `seed ${String(seed)}, kill ${String(kill)}`
      // Every load writes all keys with its own number: two numbers would be half a load.
      expect(generations.size, where).toBeLessThanOrEqual(1)
      loads = Number([...generations][0]?.split(' ')[0] ?? 0)
      expect(loads, where).toBeGreaterThanOrEqual(acknowledged)
      await db.close()
    }
    console.log(`kills: ${String(KILLS)}, loads ${String(loads)}, rebuilt ${String(rebuilt)}`)
    expect(loads).toBeGreaterThan(0)
    expect(rebuilt).toBeGreaterThan(0)
  }, 300_000)
})
