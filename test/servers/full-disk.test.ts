/**
 * Fault model: a real file system has exactly so many pages, or inodes, left and no more, for every small number of them in turn;
 * so whatever is written next fails at each of its steps once. Or it has become read-only. The file systems are small ones in
 * memory, mounted by the tests themselves, which needs root.
 *
 * Expected each time: one error with a stable code and a hint, never the system's own; nothing acknowledged is lost; no write is
 * taken after a refused one; opening while the disk is still full works or is refused by such an error, and spoils nothing;
 * when there is room again it goes on, and nothing half is left.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, directoryStore, runShipper, verifyArchive, type Archive } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup, verifyBackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../support/running-application.ts'
import { FullHome, Told } from './full-home.ts'
import { canMount, type Shortage, SmallDisk } from './small-disk.ts'

const MIB = 1024 * 1024
const SHORTAGES: readonly Shortage[] = ['space', 'inodes']

let folder = ''
let told = new Told()
let disks: { unmount(): void }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-full-disk-'))
  told = new Told()
})

afterEach(async () => {
  for (const disk of disks.toReversed()) disk.unmount()
  disks = []
  await rm(folder, { recursive: true, force: true })
})

function keep<Disk extends { unmount(): void }>(disk: Disk): Disk {
  disks.push(disk)
  return disk
}

describe.skipIf(!canMount)('a home whose disk is full (mounting needs root)', () => {
  const rounds = { space: [0, 1, 2, 3, 5, 8, 13, 21, 34], inodes: [0, 1, 2, 3, 4, 5, 6] }

  test.each(SHORTAGES)('under the log: %s', async (shortage) => {
    const home = keep(new FullHome(join(folder, 'home'), told))
    let refused = 0
    for (const left of rounds[shortage]) {
      const db = await home.open()
      await home.put(db, 10)
      home.logDisk.fill(shortage, left)
      // Enough for several segments, which nothing removes meanwhile.
      if (await home.put(db, 600)) refused += 1
      await closeAndReopen(home, db, home.logDisk)
    }
    console.log(
      `full under the log, ${shortage}: ${String(refused)} of ${String(rounds[shortage].length)} rounds, ${told.toString()}`,
    )
    expect(refused).toBe(rounds[shortage].length)
    expect(told.has('put: ENGINE_LOG_FAILED (unavailable)')).toBe(true)
  })

  test.each([
    { shortage: 'space', refusals: ['CHECKPOINT_UNCONFIRMED'] },
    { shortage: 'inodes', refusals: ['CHECKPOINT_UNCONFIRMED', 'IO_FAILED'] },
  ] as const)('under data and checkpoints: $shortage', async ({ shortage, refusals }) => {
    const home = keep(new FullHome(join(folder, 'home'), told))
    for (const left of rounds[shortage]) {
      const db = await home.open()
      await home.put(db, 10)
      home.disk.fill(shortage, left)
      await home.put(db, 120, 7)
      await closeAndReopen(home, db, home.disk)
    }
    console.log(`full under data and checkpoints, ${shortage}: ${told.toString()}`)
    expect(told.has('put: ENGINE_APPLY_FAILED (unavailable)')).toBe(true)
    for (const code of refusals) expect(told.has(`checkpoint: ENGINE_${code} (unavailable)`)).toBe(true)
  })

  test('that is read-only refuses to open, and opens when it is writable again', async () => {
    const home = keep(new FullHome(join(folder, 'home'), told))
    const db = await home.open()
    await home.put(db, 50)
    await db.close()
    for (const disk of [home.disk, home.logDisk]) {
      await disk.remount('ro')
      await home.open().then(
        () => expect.unreachable('a read-only home opened'),
        (error: unknown) => told.note('open:', error),
      )
      await disk.remount('rw')
      const again = await home.open()
      await home.expectWhole(again)
      expect(await home.put(again, 5)).toBe(false)
      await again.close()
    }
    console.log(`read-only home: ${told.toString()}`)
  })

  async function closeAndReopen(home: FullHome, db: TimberLevel, disk: SmallDisk): Promise<void> {
    await db.close().catch((error: unknown) => told.note('close:', error))
    try {
      const early = await home.open()
      told.note('opened while full')
      await home.expectWhole(early)
      await early.close()
    } catch (error) {
      told.note('open while full:', error)
    }
    disk.free()
    const again = await home.open()
    await home.expectWhole(again)
    expect(await home.put(again, 10, 5)).toBe(false)
    await again.close()
  }
})

describe.skipIf(!canMount)('an archive whose disk is full (mounting needs root)', () => {
  let home = ''
  let db: TimberLevel
  let archive: Archive
  let disk: SmallDisk

  beforeEach(async () => {
    home = join(folder, 'home')
    db = new TimberLevel(home, { log: { segmentBytesMax: 64 * 1024, preallocateBytes: 0 } })
    await db.open()
    await fill(db, 40)
    disk = keep(SmallDisk.mount(join(folder, 'disk'), { bytes: 8 * MIB, inodes: 2000 }))
    archive = await createArchive(directoryStore(join(disk.path, 'archive')), await readHomeIdentity(home))
    await hotbackup({ home, target: { archive } })
  })

  afterEach(() => db.close())

  test.each([
    { what: 'space', break: async (left: number) => disk.fill('space', left), mend: async () => disk.free() },
    {
      what: 'inodes',
      break: async (left: number) => disk.fill('inodes', left),
      mend: async () => disk.free(),
    },
    { what: 'read-only', break: async () => disk.remount('ro'), mend: async () => disk.remount('rw') },
  ])('lets the shipper wait and go on: $what', async ({ what, break: breakDisk, mend }) => {
    const stop = new AbortController()
    const shipper = runShipper({
      logDirectory: homeLayout(home).logDirectory,
      archive,
      name: 'archive',
      identity: await readHomeIdentity(home),
      intervalMs: 10,
      retryMs: { first: 5, max: 20 },
      signal: stop.signal,
    })
    shipper.events$.subscribe((event) => {
      if (event.type === 'ship.retried') told.note(`${event.work}:`, event.error)
    })
    await shipper.flush()
    for (let left = 0; left < 8; left += 1) {
      await breakDisk(left)
      await fill(db, 20)
      if (left % 2 === 0) await db.switchSegment()
      const { lastLsn } = await db.homeStatus()
      // With a little room it may get all of it through; with none it can only wait.
      while (shipper.status().state === 'running' && shipper.status().shippedLsn < lastLsn) await pause(2)
      const { state, failing, shippedLsn } = shipper.status()
      const isStopped = state === 'retrying' && shippedLsn < lastLsn
      expect(isStopped || (left > 0 && what !== 'read-only')).toBe(true)
      for (const { error } of failing) {
        expect(error).toMatchObject({ code: 'ARCHIVE_STORE_FAILED', kind: 'unavailable' })
      }
      await mend()
      expect(await shipper.flush()).toBeGreaterThanOrEqual(lastLsn)
    }
    // What the disk would not let a put tidy up, the next one does: a segment is one.
    await db.switchSegment()
    await fill(db, 20)
    await shipper.flushWhole()
    while (shipper.status().failing.length > 0 || shipper.status().uploadingSegment !== undefined)
      await pause(2)
    stop.abort()
    await shipper.done
    await expectArchiveWhole()
    console.log(`archive, ${what}: ${told.toString()}`)
    expect(told.has('piece: ARCHIVE_STORE_FAILED (unavailable)')).toBe(true)
  })

  test.each(SHORTAGES)('refuses a backup and stays whole: %s', async (shortage) => {
    let refused = 0
    for (let left = 0; left < 12; left += 1) {
      disk.fill(shortage, left)
      await hotbackup({ home, target: { archive } }).catch((error: unknown) => {
        refused += 1
        told.note('backup:', error)
      })
      disk.free()
      expect(await readdir(join(disk.path, 'archive', '.tmp'))).toEqual([])
      for (const { label } of (await archive.catalogue()).backups) {
        expect((await archive.backupManifest(label)).files.length).toBeGreaterThan(0)
      }
    }
    const { backups } = await archive.catalogue()
    await hotbackup({ home, target: { archive } })
    expect((await archive.catalogue()).backups).toHaveLength(backups.length + 1)
    expect(await findings(archive)).toEqual([])
    console.log(`backup into an archive, ${shortage}: ${String(refused)} refused, ${told.toString()}`)
    expect(refused).toBeGreaterThan(3)
  })

  async function expectArchiveWhole(): Promise<void> {
    expect(await readdir(join(disk.path, 'archive', '.tmp'))).toEqual([])
    expect(await findings(archive)).toEqual([])
    const restored = join(folder, 'restored')
    const report = await recover({ from: { archive }, home: restored })
    expect(report.digest?.hex).toBe(digestOf(new Map(await db.iterator().all())))
  }
})

describe.skipIf(!canMount)('a target whose disk is full (mounting needs root)', () => {
  let home = ''
  let db: TimberLevel
  let disk: SmallDisk

  beforeEach(async () => {
    home = join(folder, 'home')
    db = new TimberLevel(home)
    await db.open()
    await fill(db, 60)
    await db.checkpoint()
    await fill(db, 20)
    disk = keep(SmallDisk.mount(join(folder, 'disk'), { bytes: 8 * MIB, inodes: 400 }))
  })

  afterEach(() => db.close())

  test.each(SHORTAGES)('has no backup, or a whole one: %s', async (shortage) => {
    const lefts = shortage === 'space' ? [0, 1, 3, 7, 12, 20, 30, 45, 60] : [0, 1, 2, 3, 4, 5, 6, 8, 10]
    const target = join(disk.path, 'backup')
    let refused = 0
    for (const left of lefts) {
      disk.fill(shortage, left)
      await hotbackup({ home, target }).catch((error: unknown) => {
        refused += 1
        told.note('backup:', error)
      })
      disk.free()
      const found = await readdir(disk.path)
      expect(found).toEqual(found.length === 0 ? [] : ['backup'])
      expect(found.length === 0 ? [] : await verifyBackup(target)).toEqual([])
      await rm(target, { recursive: true, force: true })
    }
    await hotbackup({ home, target })
    expect(await verifyBackup(target)).toEqual([])
    expect((await readdir(home)).filter((name) => name.startsWith('staging.'))).toEqual([])
    console.log(
      `backup target, ${shortage}: ${String(refused)} of ${String(lefts.length)} refused, ${told.toString()}`,
    )
    expect(refused).toBeGreaterThan(3)
    expect([...told.counts.keys()]).toEqual(['backup: HOTBACKUP_NO_SPACE (unavailable)'])
  })

  test('that is read-only takes no backup', async () => {
    await disk.remount('ro')
    await expect(hotbackup({ home, target: join(disk.path, 'backup') })).rejects.toMatchObject({
      code: 'HOTBACKUP_IO_FAILED',
      kind: 'unavailable',
    })
    await disk.remount('rw')
    expect(await readdir(disk.path)).toEqual([])
    await hotbackup({ home, target: join(disk.path, 'backup') })
  })

  test.each(SHORTAGES)(
    'has a recovered home that opens, or one that says it is unfinished: %s',
    async (shortage) => {
      const backup = join(folder, 'backup')
      await hotbackup({ home, target: backup })
      const digest = digestOf(new Map(await db.iterator().all()))
      const lefts = shortage === 'space' ? [0, 1, 3, 7, 12, 20, 30, 45] : [0, 1, 2, 3, 5, 8, 12]
      const restored = join(disk.path, 'restored')
      let refused = 0
      for (const left of lefts) {
        await mkdir(restored)
        disk.fill(shortage, left)
        const report = await recover({ from: { backup }, home: restored }).catch(async (error: unknown) => {
          refused += 1
          told.note('recover:', error)
          await expectUnopened(restored)
          disk.free()
          return recover({ from: { backup }, home: restored })
        })
        disk.free()
        expect(report.digest?.hex).toBe(digest)
        await rm(restored, { recursive: true })
      }
      console.log(
        `recovery target, ${shortage}: ${String(refused)} of ${String(lefts.length)} refused, ${told.toString()}`,
      )
      expect(refused).toBeGreaterThan(3)
    },
  )
})

async function expectUnopened(home: string): Promise<void> {
  const db = new TimberLevel(home, { createIfMissing: false })
  const outcome = await db.open().then(
    () => 'open',
    (error: unknown) => error,
  )
  expect(outcome).not.toBe('open')
  told.note('open:', outcome)
}

async function findings(archive: Archive): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const finding of verifyArchive(archive)) found.push(finding)
  return found
}

let filled = 0

/** Records that do not compress, about 1 KB each. */
async function fill(db: TimberLevel, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    filled += 1
    const value = Array.from({ length: 100 }, (_, at) => Math.imul(filled * 101 + at, 2_654_435_761)).join('')
    await db.put(`record-${String(filled % 200)}`, value.slice(0, 1000), { sync: false })
  }
  await db.put('last', String(filled))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
