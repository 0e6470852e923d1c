/*
 * The order in which a shipper does what others rely on, held against what the store and the home see at each moment. The log
 * grows under every upload, because a shipper that is at rest has nothing to confuse: what is durable, shipped and confirmed
 * is then the same.
 */
import { type FileSystem, readConfirmations, readFileWhole, segmentName } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { type ArchiveStore, memoryStore, type ShipperStatus } from '../src/index.ts'
import { parsePieceName } from '../src/layout.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  LOG,
  openTestLog,
  settled,
  ship,
} from './support/archive-scene.ts'

interface Told {
  readonly lsn: number
  readonly segmentNumber: number
}

/** The file system of a home, which tells of each confirmation right before it appears. */
function listening(disk: CrashFileSystem, onTold: (told: Told) => Promise<void> | void): FileSystem {
  const rename = async (from: string, to: string): Promise<void> => {
    if (to.startsWith(`${LOG}/confirmed.`)) {
      await onTold(JSON.parse((await readFileWhole(from, disk)).toString()) as Told)
    }
    await disk.rename(from, to)
  }
  return new Proxy<FileSystem>(disk, {
    get(target, name) {
      if (name === 'rename') return rename
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

describe('the shipper', () => {
  it('confirms only records that the archive has, though the log goes on under each upload', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 3)
    const store = memoryStore()
    let heldLsn = 0
    let uploads = 0
    let status: (() => ShipperStatus) | undefined
    const busy: ArchiveStore = {
      ...store,
      async put(name, content) {
        const piece = parsePieceName({ name, bytes: 0 })
        if (piece !== undefined && uploads < 10) {
          uploads += 1
          await appendRecords(log, 2)
          // The shipper itself knows of them, so that it could take them for shipped.
          while ((status?.().durableLsn ?? 0) < log.durableLsn) await new Promise(setImmediate)
        }
        const outcome = await store.put(name, content)
        heldLsn = Math.max(heldLsn, piece?.lastLsn ?? 0)
        return outcome
      },
    }
    const told: Told[] = []
    const home = listening(disk, ({ lsn, segmentNumber }) => {
      told.push({ lsn, segmentNumber })
      expect(lsn).toBeLessThanOrEqual(heldLsn)
      expect(segmentNumber).toBe(0)
    })
    const { shipper, stop } = ship(home, await archiveOn(busy))
    status = () => shipper.status()
    expect(await shipper.flush()).toBeGreaterThanOrEqual(3)
    while (uploads < 10) await shipper.flush()
    expect(await shipper.flush()).toBe(23)
    await stop()
    expect(told.length).toBeGreaterThan(5)
    console.log(`${String(told.length)} confirmations during ${String(uploads)} uploads, each true`)
    expect(await readConfirmations(LOG, disk)).toMatchObject([{ lsn: 23 }])
    await log.close()
  })

  it('goes on behind log that its home removes right before it keeps the rest', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 3)
    await log.roll()
    await appendRecords(log, 3)
    let isFirst = true
    const home = listening(disk, async () => {
      if (isFirst) await disk.remove(`${LOG}/${segmentName(1)}`)
      isFirst = false
    })
    const store = memoryStore()
    const { shipper, stop } = ship(home, await archiveOn(store))
    expect(await shipper.flush()).toBe(6)
    await stop()
    expect((await archivedRecords(await archiveOn(store))).map(({ lsn }) => lsn)).toEqual([4, 5, 6])
    await log.close()
  })

  it('stores a segment, then enters it, then confirms it, and only then removes its pieces', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 3)
    const store = memoryStore()
    const steps: string[] = []
    const watched: ArchiveStore = {
      ...store,
      async put(name, content) {
        const outcome = await store.put(name, content)
        if (name.startsWith('segment/')) steps.push('stored')
        if (name.startsWith('journal/') && (await store.get(name)).includes('"segment.archived"')) {
          steps.push('entered')
        }
        return outcome
      },
      async delete(name) {
        if (name.startsWith('piece/')) steps.push('piece removed')
        await store.delete(name)
      },
    }
    let confirmed = 0
    const home = listening(disk, ({ segmentNumber }) => {
      if (segmentNumber > confirmed) steps.push(`confirmed ${String(segmentNumber)}`)
      confirmed = segmentNumber
    })
    const { shipper, stop } = ship(home, await archiveOn(watched))
    for (let segment = 1; segment <= 3; segment += 1) {
      // A piece while the segment grows, so that there is one to replace.
      await shipper.flush()
      await log.roll()
      await settled(shipper, segment)
      // As many pieces as there were looks at the log while it grew.
      const order = steps.splice(0).filter((step, index, all) => step !== all[index - 1])
      expect(order).toEqual(['stored', 'entered', `confirmed ${String(segment)}`, 'piece removed'])
      await appendRecords(log, 3)
    }
    await stop()
    await log.close()
  })

  it('refuses to ship on once the archive has a newer owner, and says so to whoever waits', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 3)
    const store = memoryStore()
    const older = ship(disk, await archiveOn(store), { name: 'older' })
    await older.shipper.flush()
    const newer = ship(disk, await archiveOn(store), { name: 'newer' })
    await newer.shipper.flush()
    await newer.stop()
    await appendRecords(log, 3)
    await expect(older.shipper.flush()).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    expect((await archivedRecords(await archiveOn(store))).map(({ lsn }) => lsn)).toEqual([1, 2, 3])
    await log.close()
  })

  it('puts pieces and segments under the timeline that they belong to', async () => {
    const disk = new CrashFileSystem()
    const identity = { ...IDENTITY, timeline: 2 }
    const archive = await archiveOn(memoryStore())
    await archive.beginTimeline({ timeline: 1 })
    await archive.beginTimeline({ timeline: 2, parent: 1, forkLsn: 0 })
    const log = await openTestLog(disk, { identity })
    await appendRecords(log, 4)
    const { shipper, stop } = ship(disk, archive, { identity })
    await shipper.flush()
    await log.roll()
    await settled(shipper, 1)
    await appendRecords(log, 2)
    expect(await shipper.flush()).toBe(6)
    await stop()
    const names: string[] = []
    for await (const { name } of archive.store.list('')) names.push(name)
    const shipped = names.filter((name) => /^(segment|piece)\//.test(name))
    expect(shipped.length).toBe(2)
    expect(shipped.every((name) => name.split('/')[1] === '00000002')).toBe(true)
    const { segments, pieces } = await archive.catalogue()
    expect([...segments, ...pieces].map(({ timeline }) => timeline)).toEqual([2, 2])
    expect((await archivedRecords(archive, 2)).map(({ lsn }) => lsn)).toEqual([1, 2, 3, 4, 5, 6])
    await log.close()
  })
})
