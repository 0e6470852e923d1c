/*
 * Merging of pieces. Fault model: power fails at any operation of log, shipper or store while pieces are merged, or another
 * shipper takes the archive over before or after any put or removal of a piece. Held: every shipped record is in the catalogue's pieces at
 * each moment, and a restarted shipper leaves no covered piece over.
 */
import { crashAt, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { oneIn, operationsOf, strikesAll } from '../../../tools/matrix-sample.ts'
import {
  type ArchiveStore,
  countingStore,
  memoryStore,
  type PieceRef,
  type StoreCounts,
  verifyArchive,
} from '../src/index.ts'
import { pieceName } from '../src/layout.ts'
import { mergeableRuns } from '../src/shipping/piece-levels.ts'
import { isWithin } from '../src/shipping/segment-content.ts'
import type { Voyage } from '../src/shipping/ship-begin.ts'
import { runsToMerge } from '../src/shipping/ship-merge.ts'
import {
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  openTestArchive,
  openTestLog,
  payload,
  ship,
} from './support/archive-scene.ts'

const SECOND_US = 1_000_000
const BEGIN_US = 1_764_000_000 * SECOND_US

/** A log whose every commit is ten seconds after the one before, shipped commit by commit. */
async function story(
  fileSystem: FaultFileSystem | CrashFileSystem,
  { store, shipped = () => undefined }: { store?: ArchiveStore; shipped?: (lsn: number) => void } = {},
): Promise<void> {
  let now = BEGIN_US
  const log = await openTestLog(fileSystem, { now: () => now, segmentBytesMax: 1024 * 1024 })
  const archive = store === undefined ? await openTestArchive(fileSystem) : await archiveOn(store)
  const { shipper, stop } = ship(fileSystem, archive, { intervalMs: 1000 })
  try {
    for (let count = 0; count < 9; count++) {
      now += 10 * SECOND_US
      await log.commit(payload(log.nextLsn))
      shipped(await shipper.flush())
    }
  } finally {
    await stop().catch(() => undefined)
    await log.close().catch(() => undefined)
  }
}

function piece(second: number): PieceRef {
  const place = { timeline: 1, segmentNumber: 1, position: second, endPosition: second + 1, epoch: 1 }
  const lsns = { firstLsn: second + 1, lastLsn: second + 1 }
  return {
    ...place,
    ...lsns,
    lastCommittedAtUs: BEGIN_US + second * SECOND_US,
    name: `${second}`,
    storedBytes: 1,
  }
}

describe('runs of pieces to merge', () => {
  it('leave a few dozen of a day of pieces of one second', () => {
    let pieces: PieceRef[] = []
    let most = 0
    for (let second = 0; second < 86_400; second++) {
      const added = piece(second)
      pieces.push(added)
      for (const run of mergeableRuns(pieces, added.lastCommittedAtUs)) {
        const from = pieces.indexOf(run[0])
        const last = run.at(-1) ?? run[0]
        const { endPosition, lastLsn, lastCommittedAtUs } = last
        pieces = pieces.toSpliced(from, run.length, { ...run[0], endPosition, lastLsn, lastCommittedAtUs })
      }
      most = Math.max(most, pieces.length)
    }
    expect(pieces[0]?.position).toBe(0)
    expect(pieces.every((one, at) => one.position === (pieces[at - 1]?.endPosition ?? 0))).toBe(true)
    expect(pieces.length).toBeLessThan(80)
    expect(most).toBeLessThan(90)
  })

  it('never go over a hole, nor into the slot of the newest piece', () => {
    const pieces = [piece(0), piece(1), piece(3), piece(4), piece(30), piece(31)]
    const runs = mergeableRuns(pieces, pieces.at(-1)?.lastCommittedAtUs ?? 0)
    expect(runs.map((run) => run.map(({ position }) => position))).toEqual([
      [0, 1],
      [3, 4],
    ])
  })
})

/** The story of a process that dies between a merged piece and the removal of those in it. */
async function untilRemoval(plain: ArchiveStore, disk: CrashFileSystem): Promise<void> {
  const store: ArchiveStore = { ...plain, delete: () => Promise.reject(new Error('the process is gone')) }
  await expect(story(disk, { store })).rejects.toThrow('the process is gone')
}

describe('merging', () => {
  it('is decided by pieces that stand, not by one that is under way', () => {
    const names = [0, 1, 2].map((at) => {
      const place = { timeline: 1, segmentNumber: 1, position: at * 10, endPosition: at * 10 + 10, epoch: 1 }
      return pieceName({
        ...place,
        firstLsn: at + 1,
        lastLsn: at + 1,
        lastCommittedAtUs: BEGIN_US + at * 40_000_000,
      })
    })
    const fold = { countedPieces: (pieces: readonly PieceRef[]) => pieces }
    const run = (names: readonly string[], standing: number): number => {
      const parts = {
        backlog: { piecedPosition: () => standing },
        pieces: new Map([[1, names.map((name) => ({ name }))]]),
        shipment: { archive: { journal: { fold } } },
      }
      return runsToMerge(parts as unknown as Voyage, 1).flat().length
    }
    const [first = '', second = '', third = ''] = names
    const near = second.replace(String(BEGIN_US + 40_000_000), String(BEGIN_US + 1))
    expect(run([first, near, third], 30)).toBe(2)
    // The third piece, whose slot ends that of the others, is under way.
    expect(run([first, near, third], 20)).toBe(0)
  })

  it('removes nothing for a longer piece that is damaged', async () => {
    const plain = memoryStore()
    const disk = new CrashFileSystem()
    await untilRemoval(plain, disk)
    const archive = await archiveOn(plain)
    const before = await archive.listPieces()
    const longest = before.reduce((a, b) => (b.endPosition - b.position > a.endPosition - a.position ? b : a))
    const inside = before.filter((one) => one.name !== longest.name && isWithin(one, longest))
    expect(inside.length).toBeGreaterThan(1)
    const bytes = await plain.get(longest.name)
    bytes.writeUInt8(bytes.readUInt8(80) ^ 1, 80)
    await plain.delete(longest.name)
    await plain.put(longest.name, bytes)
    const removed: string[] = []
    const watched: ArchiveStore = {
      ...plain,
      put: (name, content) =>
        name.startsWith('piece/') ? Promise.reject(new Error('no more room')) : plain.put(name, content),
      delete: async (name) => void removed.push(name),
    }
    const { shipper, stop } = ship(disk, await archiveOn(watched), { intervalMs: 1000 })
    await shipper.flush().catch(() => undefined)
    await stop().catch(() => undefined)
    expect(removed).toEqual([])
  })

  it('holds every record at each moment of a merge, and leaves nothing over after a crash', async () => {
    const plain = memoryStore()
    let heldLsn = 0
    let looks = 0
    const look = async (): Promise<void> => {
      looks++
      // As of the beginning of the look: pieces are shipped beside a merge.
      const heldBefore = heldLsn
      const held = await archivedRecords(await archiveOn(plain))
      expect(held.length).toBeGreaterThanOrEqual(heldBefore)
      expect(held.every(({ lsn }, at) => lsn === at + 1)).toBe(true)
    }
    let wrong: unknown
    const watched: ArchiveStore = {
      ...plain,
      async put(name, content) {
        if (name.startsWith('piece/')) await look().catch((error: unknown) => (wrong ??= error))
        return plain.put(name, content)
      },
      async delete(name) {
        await plain.delete(name)
        await look().catch((error: unknown) => (wrong ??= error))
      },
    }
    await story(new CrashFileSystem(), { store: watched, shipped: (lsn) => (heldLsn = lsn) })
    expect(wrong).toBeUndefined()
    expect(looks).toBeGreaterThan(9)

    const clean = new FaultFileSystem(new CrashFileSystem())
    await story(clean)
    const count = clean.operations.length
    let crashes = 0
    const crashed = async (index: number): Promise<void> => {
      const disk = new CrashFileSystem({ seed: index })
      const faulty = new FaultFileSystem(disk, crashAt(index))
      let shipped = 0
      await story(faulty, { shipped: (lsn) => (shipped = lsn) }).catch(() => undefined)
      crashes += faulty.isCrashed ? 1 : 0
      const restarted = disk.crash(index)
      const log = await openTestLog(restarted)
      const archive = await openTestArchive(restarted)
      const { shipper, stop } = ship(restarted, archive, { intervalMs: 1000 })
      await log.commit(payload(log.nextLsn))
      await shipper.flush()
      await stop()
      const records = await archivedRecords(archive)
      expect(records.length).toBeGreaterThanOrEqual(shipped)
      expect(records.map(({ lsn }) => lsn)).toEqual(Array.from({ length: log.durableLsn }, (_, at) => at + 1))
      for await (const finding of verifyArchive(archive, { strays: true })) expect(finding).toBeUndefined()
      await log.close()
    }
    // Most of each story is waiting, so many go side by side. The same operations come again with each piece.
    const moments = [...oneIn(5, operationsOf(count))]
    const tried = moments.length
    const worker = async (): Promise<void> => {
      for (let one = moments.shift(); one !== undefined; one = moments.shift()) await crashed(one)
    }
    await Promise.all(Array.from({ length: 24 }, worker))
    expect(crashes).toBeGreaterThan(tried * 0.8)
  }, 120_000)

  it('loses nothing to a shipper that takes over at any moment of it', async () => {
    let fenced = 0
    const removedLate: string[] = []
    let isOver = false
    const stride = strikesAll ? 1 : 2
    for (let moment = 1; !isOver; moment += stride) {
      const disk = new CrashFileSystem()
      const plain = memoryStore()
      let steps = 0
      let isTakenAtPut = false
      const step = async (): Promise<void> => {
        if (++steps !== moment) return
        const newer = ship(disk, await archiveOn(plain), { name: 'newer', intervalMs: 1000 })
        await newer.shipper.flush()
        await newer.stop()
      }
      const store: ArchiveStore = {
        ...plain,
        async put(name, content) {
          if (!name.startsWith('piece/')) return plain.put(name, content)
          await step()
          const outcome = await plain.put(name, content)
          await step()
          isTakenAtPut ||= steps >= moment
          return outcome
        },
        async delete(name) {
          // An owner that lost the archive before its longer piece counted removes nothing for it.
          if (isTakenAtPut) removedLate.push(name)
          await step()
          await plain.delete(name)
        },
      }
      let shipped = 0
      await story(disk, { store, shipped: (lsn) => (shipped = lsn) }).catch(() => fenced++)
      isOver = steps < moment
      const records = await archivedRecords(await archiveOn(plain))
      expect(records.length).toBeGreaterThanOrEqual(shipped)
      expect(records.every(({ lsn }, at) => lsn === at + 1)).toBe(true)
      for await (const finding of verifyArchive(await archiveOn(plain))) expect(finding).toBeUndefined()
    }
    expect(removedLate).toEqual([])
    expect(fenced * stride).toBeGreaterThan(15)
  }, 60_000)

  it('lets a reader whose catalogue is older read on', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const reader = await archiveOn(store)
    const seen: PieceRef[] = []
    const watched: ArchiveStore = {
      ...store,
      async delete(name) {
        if (seen.length === 0) seen.push(...(await reader.listPieces()))
        await store.delete(name)
      },
    }
    await story(disk, { store: watched })
    const left = new Set((await reader.listPieces()).map(({ name }) => name))
    const gone = seen.filter(({ name }) => !left.has(name))
    expect(gone.length).toBeGreaterThan(1)
    for (const one of gone) {
      let bytes = 0
      for await (const chunk of reader.fetchPiece(one)) bytes += chunk.length
      expect(bytes).toBe(one.endPosition - one.position)
    }
  })
})

describe('requests', () => {
  it('are those of docs/archiving.md for a piece, a segment and a heartbeat', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const store = countingStore(memoryStore())
    const { shipper, stop } = ship(disk, await archiveOn(store), { intervalMs: 3_600_000 })
    const spent = async (step: () => Promise<unknown>): Promise<Partial<StoreCounts>> => {
      const before = { ...store.counts }
      await step()
      const { put, get, getRange, getStream, status, list } = store.counts
      return {
        put: put - before.put,
        status: status - before.status,
        list: list - before.list,
        get: get + getRange + getStream - before.get - before.getRange - before.getStream,
      }
    }
    await log.commit(payload(1))
    await shipper.flush()
    const piece = async (): Promise<void> => {
      await log.commit(payload(log.nextLsn))
      await shipper.flush()
    }
    expect(await spent(piece)).toEqual({ put: 1, get: 1, status: 2, list: 0 })
    await stop()
    await log.roll()
    await log.commit(payload(log.nextLsn))
    const again = ship(disk, await archiveOn(store), { intervalMs: 3_600_000 })
    let begun = { ...store.counts }
    const done: string[] = []
    again.shipper.events$.subscribe(({ type }) => {
      if (type === 'ship.began') begun = { ...store.counts }
      done.push(type)
    })
    await again.shipper.flushWhole()
    await again.stop()
    // What remained of the segment goes as a piece first, and the next segment's beginning as another.
    const pieces = done.filter((type) => type === 'piece.shipped').length
    expect(done.filter((type) => type === 'segment.archived')).toHaveLength(1)
    const { put, getStream, status, list, get } = store.counts
    expect(put - begun.put).toBe(pieces + 2)
    expect(getStream - begun.getStream).toBe(pieces + 1)
    expect(status - begun.status).toBe(2 * pieces + 2)
    expect([list, get]).toEqual([begun.list, begun.get])
    await log.close()
  })

  it('of an idle hour are sixty looks at the journal', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const store = countingStore(memoryStore())
    const archive = await archiveOn(store)
    // An hour in which a minute lasts two milliseconds.
    const { shipper, stop } = ship(disk, archive, { intervalMs: 3_600_000, heartbeatMs: 2 })
    await shipper.flush()
    const before = { ...store.counts }
    while (store.counts.status < before.status + 60) await new Promise((resolve) => setTimeout(resolve, 1))
    expect({ ...store.counts, status: before.status }).toEqual(before)
    await stop()
    await log.close()
  })

  it('of an archive that was taken over are noticed while idle', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await log.commit(payload(1))
    const store = memoryStore()
    const older = ship(disk, await archiveOn(store), {
      name: 'older',
      heartbeatMs: 10,
      intervalMs: 3_600_000,
    })
    await older.shipper.flush()
    const newer = ship(disk, await archiveOn(store), { name: 'newer' })
    await newer.shipper.flush()
    await expect(older.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    await newer.stop()
    await log.close()
  })
})
