import { openWanted, readConfirmations, segmentName } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { FaultFileSystem } from '@timberline/wal/testing'
import { type ArchiveStore, directoryStore, memoryStore, type ShipperEvent } from '../src/index.ts'
import { Demand } from '../src/shipping/demand.ts'
import { completeShipperOptions } from '../src/shipping/shipper-options.ts'
import { Backlog } from '../src/shipping/backlog.ts'
import { claimReign, newClaimant } from '../src/shipping/reign.ts'
import {
  appendRecords,
  ARCHIVE,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  LOG,
  openTestLog,
  ship,
} from './support/archive-scene.ts'

/** So long that nothing goes by itself within a test: a quarter of it is the shortest pause. */
const HOUR_MS = 3_600_000

async function confirmedLsn(disk: CrashFileSystem): Promise<number> {
  const [confirmation] = await readConfirmations(LOG, disk)
  return confirmation?.lsn ?? 0
}

async function until(isTrue: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** A store whose puts of pieces wait at a gate, and that counts how many are under way. */
function gatedStore(): {
  store: ArchiveStore
  gate: { open: () => void }
  counts: { now: number; most: number }
} {
  const inner = memoryStore()
  const counts = { now: 0, most: 0 }
  const gate = { open: (): void => undefined }
  const opened = new Promise<void>((resolve) => (gate.open = resolve))
  const store: ArchiveStore = {
    ...inner,
    async put(name, content) {
      if (!name.includes('piece')) return inner.put(name, content)
      counts.now += 1
      counts.most = Math.max(counts.most, counts.now)
      await opened
      counts.now -= 1
      return inner.put(name, content)
    },
  }
  return { store, gate, counts }
}

describe('a shipper', () => {
  it('ships at once what somebody waits for, and confirms it, however long its interval is', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const archive = await archiveOn(memoryStore())
    const { shipper, stop } = ship(disk, archive, { intervalMs: HOUR_MS })
    await appendRecords(log, 3)
    await shipper.flush()
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    for (const lsn of [4, 5, 6]) {
      await appendRecords(log, 1)
      await wanted.write(lsn)
      await until(async () => (await confirmedLsn(disk)) === lsn)
    }
    expect(await archivedRecords(archive)).toHaveLength(6)
    await wanted.close()
    await stop()
    await log.close()
  })

  it('keeps its interval for what nobody waits for', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(disk, await archiveOn(memoryStore()), { intervalMs: HOUR_MS })
    await appendRecords(log, 3)
    await shipper.flush()
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    await wanted.write(3)
    await appendRecords(log, 2)
    await until(() => shipper.status().durableLsn === 5)
    // One more turn of everything that a note could have set going.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(shipper.status().shippedLsn).toBe(3)
    await wanted.close()
    await stop()
    await log.close()
  })

  it('has one piece under way however many wait, and takes all of them with the next', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const { store, gate, counts } = gatedStore()
    const { shipper, stop } = ship(disk, await archiveOn(store), { intervalMs: HOUR_MS })
    const pieces: ShipperEvent[] = []
    shipper.events$.subscribe((event) => event.type === 'piece.shipped' && pieces.push(event))
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    await appendRecords(log, 1)
    await wanted.write(1)
    await until(() => counts.now === 1)
    for (let lsn = 2; lsn <= 100; lsn++) {
      await appendRecords(log, 1)
      await wanted.write(lsn)
    }
    await until(() => shipper.status().durableLsn === 100)
    gate.open()
    await until(async () => (await confirmedLsn(disk)) === 100)
    expect(pieces).toHaveLength(2)
    expect(counts.most).toBe(1)
    await wanted.close()
    await stop()
    await log.close()
  })

  it('asks a folder for the same few operations for each piece, however many there were', async () => {
    const disk = new CrashFileSystem()
    const counted = new FaultFileSystem(disk)
    const log = await openTestLog(disk, { now: () => 1_764_012_345_000_000 })
    const archive = await archiveOn(directoryStore(ARCHIVE, counted))
    const { shipper, stop } = ship(disk, archive, { intervalMs: HOUR_MS })
    await appendRecords(log, 1)
    await shipper.flush()
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    for (let lsn = 2; lsn <= 40; lsn++) {
      const before = counted.operations.length
      await appendRecords(log, 1)
      await wanted.write(lsn)
      await until(async () => (await confirmedLsn(disk)) === lsn)
      // A part of a bundle, read back through the handle that wrote it, and the journal's next place.
      const kinds = counted.operations.slice(before).map(({ kind }) => kind)
      expect(kinds).toEqual(['write', 'sync', 'read', 'status'])
    }
    await wanted.close()
    await stop()
    await log.close()
  })
})

describe('a shipper in a hurry', () => {
  it('does not flush the log again as far as its writer says that it is durable', async () => {
    const disk = new CrashFileSystem()
    const home = new FaultFileSystem(disk)
    const syncs = (): number =>
      home.operations.filter(({ kind, path }) => kind === 'sync' && path === `${LOG}/${segmentName(1)}`)
        .length
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(home, await archiveOn(memoryStore()), { intervalMs: HOUR_MS })
    await appendRecords(log, 1)
    await shipper.flush()
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    await wanted.write(40)
    await appendRecords(log, 1)
    await until(async () => (await confirmedLsn(disk)) === 2)
    const before = syncs()
    expect(before).toBeGreaterThan(0)
    for (let lsn = 3; lsn <= 40; lsn++) {
      await appendRecords(log, 1)
      await until(async () => (await confirmedLsn(disk)) === lsn)
    }
    expect(syncs()).toBe(before)
    await wanted.close()
    await stop()
    await log.close()
  })

  it('finds a claim when a part of an open bundle stands, and tells nobody of it', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const store = directoryStore(ARCHIVE, disk)
    const archive = await archiveOn(store)
    const { shipper } = ship(disk, archive, { intervalMs: HOUR_MS })
    await appendRecords(log, 1)
    await shipper.flush()
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    await appendRecords(log, 1)
    await wanted.write(2)
    await until(async () => (await confirmedLsn(disk)) === 2)
    await claimReign(await archiveOn(store), newClaimant('other'), IDENTITY.timeline)
    await appendRecords(log, 1)
    await wanted.write(3)
    await until(() => shipper.status().state === 'failed' || shipper.status().shippedLsn === 3)
    expect(shipper.status().shippedLsn).toBe(2)
    await expect(shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    expect(await confirmedLsn(disk)).toBe(2)
    await wanted.close()
    await log.close()
  })
})

describe('a look at the log', () => {
  it('waits for the end of a round of pieces while somebody may wait for commits, and asks then what is wanted', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    const archive = await archiveOn(memoryStore())
    const options = { logDirectory: LOG, archive, name: 'test', identity: IDENTITY, fileSystem: disk }
    const demand = new Demand({ ...completeShipperOptions(options), gatherMs: HOUR_MS })
    const place = { nextSegment: 1, nextLsnBefore: 0, archivedSegment: 0, pieced: undefined, lost: undefined }
    const backlog = new Backlog({ ...place, pieces: new Map() })
    const step = { segmentNumber: 1, position: 0, endPosition: 300, firstLsn: 1, lastLsn: 1, marks: [] }
    backlog.note({ type: 'bytes', ...step, lastCommittedAtUs: 1 })
    await demand.gather(false, backlog)
    expect(demand.isUrgent(backlog)).toBe(false)
    let end = (): void => undefined
    const round = demand.round(() => new Promise<void>((resolve) => (end = resolve)))
    let isTime = false
    const gathered = demand.gather(true, backlog).then(() => (isTime = true))
    await wanted.write(1)
    // Far more than commits gather when no round is under way.
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(isTime).toBe(false)
    end()
    await round
    await gathered
    expect(demand.isUrgent(backlog)).toBe(true)
    await demand.close()
    await wanted.close()
    await log.close()
  })

  it('is certain to be followed by another one only while somebody waits and the archive moves', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const wanted = await openWanted({ directory: LOG, timeline: IDENTITY.timeline }, disk)
    const archive = await archiveOn(memoryStore())
    const options = { logDirectory: LOG, archive, name: 'test', identity: IDENTITY, fileSystem: disk }
    const demand = new Demand(completeShipperOptions(options))
    const place = { nextSegment: 1, nextLsnBefore: 0, archivedSegment: 0, pieced: undefined, lost: undefined }
    const backlog = new Backlog({ ...place, pieces: new Map() })
    const step = { segmentNumber: 1, position: 0, endPosition: 300, firstLsn: 1, lastLsn: 1, marks: [] }
    backlog.note({ type: 'bytes', ...step, lastCommittedAtUs: 1 })
    await wanted.write(2)
    // An archive that does not answer is asked when the bell rings, not again and again.
    for (let count = 0; count < 3; count++) expect(await demand.gather(true, backlog)).toBe(false)
    for (const tail of backlog.tails()) backlog.pieceShipped(tail)
    expect(await demand.gather(true, backlog)).toBe(true)
    expect(await demand.gather(true, backlog)).toBe(false)
    backlog.note({
      type: 'bytes',
      ...step,
      position: 300,
      endPosition: 600,
      firstLsn: 2,
      lastLsn: 2,
      lastCommittedAtUs: 2,
    })
    for (const tail of backlog.tails()) backlog.pieceShipped(tail)
    // It has all that is wanted.
    expect(await demand.gather(true, backlog)).toBe(false)
    await demand.close()
    await wanted.close()
    await log.close()
  })
})
