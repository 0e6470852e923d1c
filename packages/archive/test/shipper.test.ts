import { readConfirmations, TimberlineError, type Log } from '@timberline/wal'
import { failOn, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import {
  type ArchiveStore,
  archiveStatus,
  directoryStore,
  memoryStore,
  runShipper,
  type Shipper,
  type ShipperEvent,
  verifyArchive,
} from '../src/index.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  ARCHIVE,
  CrashFileSystem,
  IDENTITY,
  LOG,
  openTestArchive,
  openTestLog,
  payload,
  settled,
  ship,
} from './support/archive-scene.ts'

const lsns = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

async function findings(archive: Parameters<typeof verifyArchive>[0]): Promise<string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(archive, { strays: true })) found.push(`${code} ${name}`)
  return found
}

async function rolled(log: Log, count: number): Promise<void> {
  await appendRecords(log, count)
  await log.roll()
}

describe('the shipper', () => {
  it('is known to the home before it ships anything, so that no log goes which it lacks', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 1)
    const { shipper, stop } = ship(disk, await openTestArchive(disk))
    const atBegin: unknown[] = []
    shipper.events$.subscribe((event) => {
      if (event.type === 'ship.began') atBegin.push(readConfirmations(LOG, disk))
    })
    await shipper.flush()
    expect(await Promise.all(atBegin)).toMatchObject([[{ segmentNumber: 0 }]])
    await stop()
    await log.close()
  })

  it('that runs only now and then leaves whole segments, and pieces of the active one alone', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const archive = await openTestArchive(disk)
    for (let run = 1; run <= 3; run++) {
      await appendRecords(log, 5)
      const { shipper, stop } = ship(disk, archive)
      expect(await shipper.flushWhole()).toBe(log.durableLsn)
      await stop()
      // A piece of it is in the archive when the segment is sealed, while no shipper runs.
      await rolled(log, 5)
    }
    await appendRecords(log, 5)
    const { shipper, stop } = ship(disk, archive)
    await shipper.flushWhole()
    await stop()
    const { segments, pieces } = await archive.catalogue()
    expect(segments.map(({ segmentNumber }) => segmentNumber)).toEqual([1, 2, 3])
    expect(new Set(pieces.map(({ segmentNumber }) => segmentNumber))).toEqual(new Set([4]))
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(35))
    await log.close()
  })

  it('ships the active segment as pieces', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 10)
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    expect(await shipper.flush()).toBe(10)
    await appendRecords(log, 5)
    expect(await shipper.flush()).toBe(15)
    await stop()
    const records = await archivedRecords(archive)
    expect(records.map(({ lsn }) => lsn)).toEqual(lsns(15))
    expect(records[4]?.payload).toEqual(payload(5))
    expect(await findings(archive)).toEqual([])
    await log.close()
  })

  it('replaces pieces by the whole segment and confirms to the home', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 10)
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    const events: ShipperEvent[] = []
    shipper.events$.subscribe((event) => events.push(event))
    await shipper.flush()
    await rolled(log, 5)
    await appendRecords(log, 3)
    await settled(shipper, 1)
    expect(await shipper.flush()).toBe(18)
    await stop()
    const { segments, pieces } = await archive.catalogue()
    expect(segments).toMatchObject([{ segmentNumber: 1, firstLsn: 1, lastLsn: 15 }])
    expect(new Set(pieces.map((piece) => piece.segmentNumber))).toEqual(new Set([2]))
    expect((await archive.listPieces()).every((piece) => piece.segmentNumber === 2)).toBe(true)
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(18))
    expect(await readConfirmations(LOG, disk)).toMatchObject([
      { name: 'test', segmentNumber: 1, lsn: 18, timeline: 1 },
    ])
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining([
        'ship.began',
        'piece.shipped',
        'segment.uploading',
        'segment.archived',
        'pieces.removed',
        'ship.ended',
      ]),
    )
    expect(await findings(archive)).toEqual([])
    await log.close()
  })

  it('archives a backlog of sealed segments whole, without pieces', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    for (let index = 0; index < 5; index++) await rolled(log, 8)
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    await settled(shipper, 5)
    await stop()
    expect((await archive.catalogue()).segments.map((segment) => segment.segmentNumber)).toEqual([
      1, 2, 3, 4, 5,
    ])
    expect(await archive.listPieces()).toEqual([])
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(40))
    await log.close()
  })

  it('goes on after a stop where it was, without a record twice', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    for (let round = 0; round < 6; round++) {
      await appendRecords(log, 7)
      if (round % 2 === 1) await log.roll()
      const archive = await openTestArchive(disk)
      const { shipper, stop } = ship(disk, archive)
      expect(await shipper.flush()).toBe((round + 1) * 7)
      await stop()
      expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns((round + 1) * 7))
    }
    expect((await (await openTestArchive(disk)).catalogue()).owner?.epoch).toBe(6)
    await log.close()
  })

  it.each([
    ['the first', 0],
    ['one in the middle', 1],
    ['the last', 2],
  ])('puts %s of its pieces again when it is gone, whatever comes behind it', async (_, index) => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const store = memoryStore()
    const archive = await archiveOn(store)
    const before = ship(disk, archive)
    for (let count = 1; count <= 3; count++) {
      await appendRecords(log, 5)
      await before.shipper.flush()
    }
    await before.stop()
    const pieces = await archive.listPieces()
    expect(pieces).toHaveLength(3)
    await store.delete(pieces[index]?.name ?? '')
    await appendRecords(log, 5)
    const after = ship(disk, await archiveOn(store))
    expect(await after.shipper.flush()).toBe(20)
    await after.stop()
    expect((await archivedRecords(await archiveOn(store))).map(({ lsn }) => lsn)).toEqual(lsns(20))
    await log.close()
  })

  it('shows named restore points of pieces and of segments', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 3)
    await log.commit(Buffer.from('before-import'), { kind: 'mark' })
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    await shipper.flush()
    expect((await archive.catalogue()).marks).toMatchObject([{ name: 'before-import', lsn: 4, timeline: 1 }])
    await rolled(log, 1)
    await settled(shipper, 1)
    await stop()
    const { marks, segments } = await archive.catalogue()
    expect(marks).toMatchObject([{ name: 'before-import', lsn: 4 }])
    expect(segments[0]?.marks).toMatchObject([{ name: 'before-import', lsn: 4 }])
    await log.close()
  })

  it('waits for a log that is not there yet, and refuses a folder that is not', async () => {
    const disk = new CrashFileSystem()
    const archive = await openTestArchive(disk)
    const missing = ship(disk, archive)
    await expect(missing.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_LOG_MISSING' })
    await disk.makeDirectory(LOG)
    const { shipper, stop } = ship(disk, archive)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(shipper.status()).toMatchObject({ state: 'retrying', failing: [{ work: 'begin' }] })
    const log = await openTestLog(disk)
    await appendRecords(log, 2)
    expect(await shipper.flush()).toBe(2)
    expect(shipper.status().state).toBe('running')
    await stop()
    expect(shipper.status().state).toBe('ended')
    await log.close()
  })

  it('ends a flush that is asked for before it has begun, also when the log is empty', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(disk, await openTestArchive(disk), { intervalMs: 60_000 })
    expect(await shipper.flush()).toBe(0)
    await stop()
    await log.close()
  })

  it('rejects a flush when it ends before', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 2)
    const store = memoryStore()
    const broken: ArchiveStore = {
      ...store,
      put: (name, content) =>
        name.startsWith('piece/') ? Promise.reject(new Error('bug')) : store.put(name, content),
    }
    const { shipper } = ship(disk, await archiveOn(broken))
    await expect(shipper.flush()).rejects.toThrow('bug')
    expect(shipper.status()).toMatchObject({ state: 'failed' })
    const stopped = new AbortController()
    stopped.abort()
    const never = ship(disk, await archiveOn(memoryStore()), { signal: stopped.signal })
    await expect(never.shipper.flush()).rejects.toMatchObject({ code: 'ARCHIVE_ABORTED' })
    await never.shipper.done
    await log.close()
  })

  it('costs no request while nothing is written', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 2)
    let requests = 0
    const store = memoryStore()
    const counted = Object.fromEntries(
      Object.entries(store).map(([name, value]) => [
        name,
        typeof value === 'function'
          ? (...args: never[]) => (requests++, Reflect.apply(value, store, args))
          : value,
      ]),
    ) as unknown as ArchiveStore
    const { shipper, stop } = ship(disk, await archiveOn(counted))
    await shipper.flush()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const before = requests
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(requests).toBe(before)
    await appendRecords(log, 1)
    await shipper.flush()
    // Look, put, read back, look again.
    expect(requests - before).toBeLessThanOrEqual(4)
    await stop()
    await log.close()
  })
})

describe('a shipper whose store fails for a while', () => {
  it('tries again for ever, says so, and then goes on', async () => {
    const disk = new CrashFileSystem()
    const backups = new FaultFileSystem(new CrashFileSystem())
    const log = await openTestLog(disk)
    await appendRecords(log, 5)
    const archive = await archiveOn(directoryStore(ARCHIVE, backups))
    const { shipper, stop } = ship(disk, archive)
    const retried: string[] = []
    shipper.events$.subscribe((event) => {
      if (event.type === 'ship.retried') retried.push(`${event.work} ${event.error.code}`)
    })
    await shipper.flush()
    backups.inject(failOn({ path: ARCHIVE }, 'ENOSPC', { once: false }))
    await rolled(log, 5)
    await appendRecords(log, 5)
    while (retried.length < 5) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(shipper.status()).toMatchObject({ state: 'retrying', shippedLsn: 5 })
    expect(await readConfirmations(LOG, disk)).toMatchObject([{ segmentNumber: 0, lsn: 5 }])
    backups.inject(undefined)
    expect(await shipper.flush()).toBe(15)
    await settled(shipper, 1)
    await stop()
    expect(new Set(retried)).toContain('piece ARCHIVE_STORE_FAILED')
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(15))
    await log.close()
  })

  it('survives any single failure of the store or the log, at any operation', async () => {
    const story = async (faulty: FaultFileSystem): Promise<void> => {
      const log = await openTestLog(faulty.inner)
      await appendRecords(log, 4)
      const archive = await openTestArchive(faulty.inner)
      const { shipper, stop } = ship(faulty, await archiveOn(directoryStore(ARCHIVE, faulty)))
      await flushed(shipper)
      await rolled(log, 4)
      await settled(shipper, 1)
      await appendRecords(log, 1)
      await flushed(shipper)
      await stop()
      expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(9))
      expect(await findings(archive)).toEqual([])
      await log.close()
    }
    const clean = new FaultFileSystem(new CrashFileSystem())
    await story(clean)
    // createArchive opens directly: its own failures belong to its caller.
    const first = clean.operations.findIndex(({ path }) => path.startsWith(LOG)) + 1
    let injected = 0
    const indexes = [...oneIn(2, operationsOf(clean.operations.length).slice(first - 1))]
    const strike = async (index: number): Promise<void> => {
      const faulty = new FaultFileSystem(new CrashFileSystem(), (operation) =>
        operation.index === index ? 'EIO' : undefined,
      )
      await story(faulty)
      injected += faulty.injected.length
    }
    while (indexes.length > 0) await Promise.all(indexes.splice(0, 24).map(strike))
    expect(injected).toBeGreaterThan(50)
  }, 120_000)
})

/** A flush whose own look at the log failed may be asked for again. */
async function flushed(shipper: Shipper): Promise<void> {
  try {
    await shipper.flush()
  } catch (error) {
    if (!(error instanceof TimberlineError) || error.code !== 'ARCHIVE_LOG_FAILED') throw error
    await shipper.flush()
  }
}

describe('fencing', () => {
  it('lets the newer of two shippers win; the older one stops before it archives anything further', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 5)
    const older = ship(disk, await openTestArchive(disk), { name: 'older' })
    await older.shipper.flush()
    const newer = ship(disk, await openTestArchive(disk), { name: 'newer' })
    await newer.shipper.flush()
    const before = (await (await openTestArchive(disk)).listPieces()).length
    const flushed = older.shipper.flush()
    await appendRecords(log, 5)
    await expect(older.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED', kind: 'conflict' })
    await flushed.catch(() => undefined)
    expect(await newer.shipper.flush()).toBe(10)
    await newer.stop()
    const archive = await openTestArchive(disk)
    const { pieces, owner } = await archive.catalogue()
    expect(owner).toMatchObject({ epoch: 2 })
    expect(pieces.slice(before).every(({ epoch }) => epoch === 2)).toBe(true)
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(10))
    await log.close()
  })

  it('never counts a piece that was under way when another took over, at any moment of the take-over', async () => {
    // The old shipper's put stands still right before its object appears, while the new one goes `steps` store calls far.
    for (let steps = 0; steps < 24; steps++) {
      const disk = new CrashFileSystem()
      const log = await openTestLog(disk)
      await appendRecords(log, 5)
      const store = memoryStore()
      let release = (): void => undefined
      const gate = new Promise<void>((resolve) => (release = resolve))
      let isHeld = false
      let held = (): void => undefined
      const reached = new Promise<void>((resolve) => (held = resolve))
      const slow: ArchiveStore = {
        ...store,
        async put(name, content) {
          if (isHeld && name.startsWith('piece/')) {
            held()
            await gate
          }
          return store.put(name, content)
        },
      }
      const older = ship(disk, await archiveOn(slow), { name: 'older' })
      await older.shipper.flush()
      isHeld = true
      await appendRecords(log, 3)
      await reached
      let calls = 0
      const stepping = Object.fromEntries(
        Object.entries(store).map(([name, value]) => [
          name,
          typeof value === 'function'
            ? (...args: never[]) => {
                if (++calls === steps) release()
                return Reflect.apply(value, store, args)
              }
            : value,
        ]),
      ) as unknown as ArchiveStore
      const newer = ship(disk, await archiveOn(stepping), { name: 'newer' })
      await appendRecords(log, 3)
      await newer.shipper.flush()
      release()
      // A put that ended before the claim counts, and then the old one learns of the claim with its next work.
      await appendRecords(log, 3)
      await expect(older.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
      expect(await newer.shipper.flush()).toBe(14)
      await newer.stop()
      const archive = await archiveOn(store)
      expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(lsns(14))
      // What the old one confirmed to the home is held.
      await log.close()
    }
  }, 60_000)
})

describe('a log that does not belong to the archive', () => {
  async function archived(): Promise<{ disk: CrashFileSystem; backups: ArchiveStore }> {
    const disk = new CrashFileSystem()
    const backups = memoryStore()
    const log = await openTestLog(disk)
    await rolled(log, 5)
    await appendRecords(log, 5)
    const { shipper, stop } = ship(disk, await archiveOn(backups))
    await settled(shipper, 1)
    await shipper.flush()
    await stop()
    await log.close()
    return { disk, backups }
  }

  async function refused(disk: CrashFileSystem, backups: ArchiveStore, more: object = {}): Promise<string> {
    const before = await contentOf(backups)
    const { shipper } = ship(disk, await archiveOn(backups), more)
    const error: unknown = await shipper.done.catch((cause: unknown) => cause)
    // A refused shipper has changed nothing.
    expect(await contentOf(backups)).toEqual(before)
    return error instanceof TimberlineError ? error.code : String(error)
  }

  it('is refused when it is of another environment', async () => {
    const { disk, backups } = await archived()
    const archive = await archiveOn(backups)
    const identity = { environmentId: 'f1'.repeat(16), timeline: 1 }
    expect(() => runShipper({ logDirectory: LOG, archive, name: 'x', identity })).toThrow(
      expect.objectContaining({ code: 'ARCHIVE_FOREIGN_ENVIRONMENT' }),
    )
    const foreign = new CrashFileSystem()
    await (await openTestLog(foreign, { identity })).close()
    expect(await refused(foreign, backups)).toBe('ARCHIVE_LOG_FOREIGN')
    expect(await refused(disk, backups, { identity: { ...IDENTITY, timeline: 2 } })).toBe(
      'ARCHIVE_LOG_FOREIGN',
    )
  })

  it('is refused when its timeline comes from nowhere, and taken when it forks from a known one', async () => {
    const { backups } = await archived()
    const identity = { ...IDENTITY, timeline: 2 }
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk, { identity, nextLsn: 8, nextSegmentNumber: 3 })
    await appendRecords(log, 4)
    expect(await refused(disk, backups, { identity })).toBe('ARCHIVE_TIMELINE_UNKNOWN')
    const parent = { timeline: 1, forkLsn: 7 }
    const archive = await archiveOn(backups)
    const { shipper, stop } = ship(disk, archive, { identity: { ...identity, parent } })
    expect(await shipper.flush()).toBe(11)
    await stop()
    expect((await archive.catalogue()).timelines).toMatchObject([
      { timeline: 1 },
      { timeline: 2, parent: 1, forkLsn: 7 },
    ])
    expect((await archivedRecords(archive, 1)).map(({ lsn }) => lsn)).toEqual(lsns(10))
    expect((await archivedRecords(archive, 2)).map(({ lsn }) => lsn)).toEqual([8, 9, 10, 11])
    await log.close()
  })

  it('is refused when it is another history of the same timeline', async () => {
    const { backups } = await archived()
    for (const [sealed, active] of [
      [5, 9],
      [6, 9],
      [5, 0],
    ] as const) {
      const disk = new CrashFileSystem()
      const log = await openTestLog(disk)
      await rolled(log, sealed)
      await appendRecords(log, active)
      expect(await refused(disk, backups)).toBe('ARCHIVE_CONFLICT')
      await log.close()
    }
  })

  it('is refused when it is an older copy, or has lost its end', async () => {
    const disk = new CrashFileSystem()
    const backups = memoryStore()
    const log = await openTestLog(disk)
    await rolled(log, 5)
    await appendRecords(log, 3)
    const early = disk.crash({ names: 'kept', writes: 'kept' })
    const older = await openTestLog(early)
    await appendRecords(older, 4)
    const oldest = early.crash({ names: 'kept' })
    const again = await openTestLog(oldest)
    await appendRecords(again, 4)
    const { shipper, stop } = ship(oldest, await archiveOn(backups))
    await shipper.flush()
    await stop()
    const behind = oldest.crash({ names: 'kept' })
    const [last] = (await behind.list(LOG)).filter((name) => name === 'log.0000000002')
    const handle = await behind.open(`${LOG}/${last}`, 'write')
    await handle.truncate(96)
    await handle.sync()
    await handle.close()
    expect(await refused(behind, backups)).toBe('ARCHIVE_AHEAD')
    await behind.remove(`${LOG}/${last}`)
    expect(await refused(behind, backups)).toBe('ARCHIVE_AHEAD')
  })

  it('is shipped on, and named, when segments between archive and log are gone', async () => {
    const { disk, backups } = await archived()
    const log = await openTestLog(disk)
    await rolled(log, 1)
    await rolled(log, 5)
    await rolled(log, 5)
    await appendRecords(log, 2)
    await log.close()
    for (const number of [1, 2, 3]) await disk.remove(`${LOG}/log.000000000${number}`)
    const archive = await archiveOn(backups)
    const { shipper, stop } = ship(disk, archive)
    const lost: ShipperEvent[] = []
    shipper.events$.subscribe((event) => event.type === 'log.lost' && lost.push(event))
    await settled(shipper, 4)
    await shipper.flush()
    await stop()
    expect(lost).toEqual([{ type: 'log.lost', fromSegment: 3, throughSegment: 3 }])
    const status = await archiveStatus({ logDirectory: LOG, archive, fileSystem: disk })
    expect(status.segments.map(({ segmentNumber, state }) => `${segmentNumber} ${state}`)).toEqual([
      '1 archived',
      '2 lost',
      '3 lost',
      '4 archived',
      '5 active',
    ])
    expect(status.holes).toEqual([{ fromLsn: 11, throughLsn: 16 }])
    expect(await findings(archive)).toMatchObject([expect.stringContaining('ARCHIVE_GAP')])
  })
})

async function contentOf(store: ArchiveStore): Promise<Record<string, string>> {
  const content: Record<string, string> = {}
  for await (const { name } of store.list('')) content[name] = (await store.get(name)).toString('base64')
  return content
}

describe('archiveStatus', () => {
  it('says for each segment where it is, and how far the archive lags', async () => {
    const disk = new CrashFileSystem()
    let clock = 1_764_000_000_000_000
    const log = await openTestLog(disk, { now: () => (clock += 1000) })
    await rolled(log, 5)
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    await settled(shipper, 1)
    await appendRecords(log, 4)
    await shipper.flush()
    await stop()
    await rolled(log, 6)
    await appendRecords(log, 3)
    const status = await archiveStatus({
      logDirectory: LOG,
      archive,
      fileSystem: disk,
      now: () => clock + 2_000_000,
    })
    expect(
      status.segments.map(({ segmentNumber, state, piecedLsn }) => [segmentNumber, state, piecedLsn]),
    ).toEqual([
      [1, 'archived', undefined],
      [2, 'sealed', 9],
      [3, 'active', undefined],
    ])
    expect(status).toMatchObject({ localLsn: 18, archivedLsn: 9, holes: [], lag: { transactions: 9 } })
    expect(status.lag.seconds).toBeGreaterThan(2)
    expect(status.lag.seconds).toBeLessThan(2.1)
    expect(status.lag.bytes).toBeGreaterThan(9 * 200)
    const alone = await archiveStatus({ archive })
    expect(alone.segments.map(({ state }) => state)).toEqual(['archived', 'archived'])
    expect(alone).toMatchObject({ archivedLsn: 9, lag: { transactions: 0, seconds: 0 } })
    await log.close()
  })
})
