import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import {
  listSegments,
  openLog,
  readLog,
  segmentName,
  writeFileAtomic,
  type FileHandle,
  type FileSystem,
  type LogRecord,
  type WalEvent,
} from '../src/index.ts'
import { CrashFileSystem, FaultFileSystem } from '../src/testing/index.ts'
import { commitGroup, DIRECTORY, IDENTITY, openMemoryLog, segmentContent } from './log-scenario.ts'

const temporary: string[] = []

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'timberline-wal-'))
  temporary.push(directory)
  return directory
}

afterAll(() => Promise.all(temporary.map((directory) => rm(directory, { recursive: true, force: true }))))

async function records(fileSystem: FileSystem, fromLsn = 1): Promise<LogRecord[]> {
  const found: LogRecord[] = []
  for await (const group of readLog({ directory: DIRECTORY, fromLsn, fileSystem })) found.push(...group)
  return found
}

function kinds(disk: FaultFileSystem, from: number): string[] {
  return disk.operations.slice(from).map((operation) => operation.kind)
}

/** A file system on which zeros take their time. */
function lateZeros(inner: FileSystem): FileSystem {
  const late = (handle: FileHandle): FileHandle => ({
    read: (target, position) => handle.read(target, position),
    write: async (source, position) => {
      if (source.every((byte) => byte === 0)) await new Promise((resolve) => setTimeout(resolve, 10))
      await handle.write(source, position)
    },
    sync: () => handle.sync(),
    writeNow: (source, position) => handle.writeNow(source, position),
    syncNow: () => handle.syncNow(),
    truncate: (bytes) => handle.truncate(bytes),
    status: () => handle.status(),
    close: () => handle.close(),
  })
  return {
    open: async (path, mode) => late(await inner.open(path, mode)),
    makeDirectory: (path) => inner.makeDirectory(path),
    list: (path) => inner.list(path),
    status: (path) => inner.status(path),
    link: (existing, path) => inner.link(existing, path),
    rename: (from, to) => inner.rename(from, to),
    remove: (path) => inner.remove(path),
    removeTree: (path) => inner.removeTree(path),
    syncDirectory: (path) => inner.syncDirectory(path),
    watch: (path, onChange) => inner.watch(path, onChange),
  }
}

describe('group commit', () => {
  it('makes one write and one sync of any number of concurrent commits', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    for (const writers of [1, 2, 64, 1000]) {
      const before = disk.operations.length
      await commitGroup(log, ...Array.from({ length: writers }, (_, index) => `record ${index}`))
      const operations = kinds(disk, before)
      expect(operations).toHaveLength(2)
      expect(operations[0]).toMatch(/^write/)
      expect(operations[1]).toMatch(/^sync/)
    }
    expect(await records(disk)).toHaveLength(1067)
  })

  it('collects the next group while one is on its way', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    const before = disk.operations.length
    let commits = 0
    const writer = async (): Promise<void> => {
      for (let round = 0; round < 20; round += 1) {
        await log.commit(Buffer.from('x'))
        commits += 1
      }
    }
    await Promise.all(Array.from({ length: 32 }, writer))
    expect(commits).toBe(640)
    expect(kinds(disk, before).filter((kind) => kind.startsWith('sync'))).toHaveLength(20)
  })

  it('writes records that nobody waits for in order and without a sync, until one is waited for', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    const before = disk.operations.length
    await log.commit(Buffer.from('a'), { durable: false })
    expect(log.durableLsn).toBe(0)
    await log.commit(Buffer.from('b'), { durable: false })
    expect(kinds(disk, before).filter((kind) => kind.startsWith('sync'))).toHaveLength(0)
    await log.commit(Buffer.from('c'))
    expect(log.durableLsn).toBe(3)
    expect((await records(disk)).map((record) => record.payload.toString())).toEqual(['a', 'b', 'c'])
  })

  it('syncs records that nobody waits for within a second', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await log.commit(Buffer.from('a'), { durable: false })
    await expect.poll(() => log.durableLsn, { timeout: 2000 }).toBe(1)
  })

  it('makes all that was appended durable on request, also what nobody waited for', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await log.commit(Buffer.from('a'), { durable: false })
    expect(await log.sync()).toBe(1)
    log.append(Buffer.from('b'), { durable: false })
    log.append(Buffer.from('c'), { durable: false })
    expect(await log.sync()).toBe(3)
    expect(await log.sync()).toBe(3)
  })

  it('keeps groups within their bounds, by bytes and by records', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await Promise.all(Array.from({ length: 70_000 }, () => log.commit(Buffer.alloc(1))))
    await Promise.all(Array.from({ length: 40 }, () => log.commit(Buffer.alloc(100_000))))
    const groups: LogRecord[][] = []
    for await (const group of readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: disk }))
      groups.push(group)
    expect(Math.max(...groups.map((group) => group.length))).toBeLessThanOrEqual(65_535)
    const bytes = groups.map((group) => group.reduce((sum, record) => sum + record.payload.length, 0))
    expect(Math.max(...bytes)).toBeLessThanOrEqual(1024 * 1024)
    expect(groups.flat()).toHaveLength(70_040)
  })

  it('copies payloads: the caller may use its buffer again at once', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    const buffer = Buffer.from('first')
    const first = log.commit(buffer)
    buffer.write('other')
    await first
    expect((await records(disk))[0]?.payload.toString()).toBe('first')
  })

  it('tells nothing of a group before its sync where that leaves the calling thread: readers would see it too early', async () => {
    const told: string[] = []
    const log = await openMemoryLog(new CrashFileSystem(), {
      onFlushed: ({ writtenLsn, durableLsn }) => told.push(`${writtenLsn} ${durableLsn}`),
    })
    // Too large to be written here, so the loop goes on while it is written and synced.
    await log.commit(Buffer.alloc(300 * 1024))
    expect(told).toEqual(['1 1'])
    await log.close()
  })

  it('tells who can keep readers from it that the device has begun with a group on another thread', async () => {
    const told: string[] = []
    const log = await openMemoryLog(new CrashFileSystem(), {
      onFlushing: ({ writtenLsn, durableLsn }) => told.push(`begun ${writtenLsn} ${durableLsn}`),
      onFlushed: ({ writtenLsn, durableLsn }) => told.push(`${writtenLsn} ${durableLsn}`),
    })
    await log.commit(Buffer.from('here'))
    await log.commit(Buffer.alloc(300 * 1024))
    await log.commit(Buffer.alloc(300 * 1024), { durable: false })
    expect(told).toEqual(['1 0', '1 1', 'begun 2 1', '2 2', '3 2'])
    await log.close()
  })

  it('tells what is written and durable before promises are resolved', async () => {
    const told: string[] = []
    const log = await openMemoryLog(new CrashFileSystem(), {
      onFlushed: ({ writtenLsn, durableLsn }) => told.push(`${writtenLsn} ${durableLsn}`),
    })
    await log.commit(Buffer.from('a')).then(() => told.push('resolved'))
    await log.commit(Buffer.from('b'), { durable: false })
    await log.sync()
    // Written, then durable; without waiting for the device there is nothing to tell before.
    expect(told).toEqual(['1 0', '1 1', 'resolved', '2 1', '2 2'])
  })
})

describe('LSNs and commit times', () => {
  it('have no gaps and strictly increase, whatever the clock does, also over reopening and rolling', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 40 }), async (ticks) => {
        const disk = new CrashFileSystem()
        const clock = [...ticks]
        const now = (): number => clock.shift() ?? 5
        const places: { lsn: number; committedAtUs: number }[] = []
        for (let round = 0; round < 4; round += 1) {
          const log = await openMemoryLog(disk, { now })
          places.push(await log.commit(Buffer.from('a')), log.append(Buffer.from('b')))
          if (round % 2 === 0) await log.roll()
          places.push(await log.commit(Buffer.from('c')))
          await log.close()
        }
        expect(places.map((place) => place.lsn)).toEqual(places.map((_, index) => index + 1))
        for (const [index, place] of places.entries()) {
          expect(place.committedAtUs).toBeGreaterThan(places[index - 1]?.committedAtUs ?? -1)
        }
        expect((await records(disk)).map(({ lsn, committedAtUs }) => ({ lsn, committedAtUs }))).toEqual(
          places,
        )
      }),
      { numRuns: 30 },
    )
  })

  it('go on from a given place in a new folder', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk, {
      nextLsn: 500,
      nextSegmentNumber: 12,
      afterCommittedAtUs: 9_000_000_000_000_000,
    })
    expect(await log.commit(Buffer.from('a'))).toEqual({ lsn: 500, committedAtUs: 9_000_000_000_000_001 })
    await log.close()
    expect((await openMemoryLog(disk)).nextLsn).toBe(501)
    expect(await disk.list(DIRECTORY)).toEqual(['log.0000000012'])
  })
})

describe('what is refused', () => {
  it('a record above the maximum, before anything is written', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk, { recordBytesMax: 10 })
    const before = disk.operations.length
    expect(() => log.append(Buffer.alloc(11))).toThrow(
      expect.objectContaining({ code: 'WAL_RECORD_TOO_LARGE' }),
    )
    await expect(log.commit(Buffer.alloc(11))).rejects.toMatchObject({ code: 'WAL_RECORD_TOO_LARGE' })
    expect(disk.operations).toHaveLength(before)
    await log.commit(Buffer.alloc(10))
    expect(log.nextLsn).toBe(2)
  })

  it('a mark without a name, or with too long a one', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await expect(log.commit(Buffer.alloc(0), { kind: 'mark' })).rejects.toMatchObject({ code: 'WAL_INVALID' })
    await expect(log.commit(Buffer.alloc(1025, 'm'), { kind: 'mark' })).rejects.toMatchObject({
      code: 'WAL_INVALID',
    })
  })

  it('calls on a closed log; closing twice is fine', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await log.commit(Buffer.from('a'))
    await Promise.all([log.close(), log.close()])
    expect(() => log.append(Buffer.from('b'))).toThrow(expect.objectContaining({ code: 'WAL_CLOSED' }))
    await expect(log.roll()).rejects.toMatchObject({ code: 'WAL_CLOSED' })
    await expect(log.sync()).rejects.toMatchObject({ code: 'WAL_CLOSED' })
  })

  it('an lsn that was not appended', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await expect(log.flushed(1)).rejects.toMatchObject({ code: 'WAL_INVALID' })
  })

  it.each([
    { segmentBytesMax: 100 },
    { recordBytesMax: 0 },
    { recordBytesMax: 2 ** 30 },
    { nextLsn: 0 },
    { preallocateBytes: -1 },
    { identity: { environmentId: 'AB', timeline: 1 } },
    { identity: { ...IDENTITY, timeline: 0 } },
  ])('options out of bounds: %j', async (options) => {
    await expect(openMemoryLog(new CrashFileSystem(), options)).rejects.toMatchObject({ code: 'WAL_INVALID' })
  })

  it('a folder of another environment or timeline', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await log.roll()
    await log.close()
    for (const identity of [
      { ...IDENTITY, environmentId: 'f'.repeat(32) },
      { ...IDENTITY, timeline: 2 },
    ]) {
      await expect(openMemoryLog(disk, { identity })).rejects.toMatchObject({
        code: 'WAL_FOREIGN',
        kind: 'conflict',
      })
    }
  })

  it('a folder in which a middle segment is missing, by that segment’s name', async () => {
    const disk = await fourSegments()
    await disk.remove(join(DIRECTORY, segmentName(2)))
    await expect(openMemoryLog(disk)).rejects.toMatchObject({
      code: 'WAL_GAP',
      details: { path: join(DIRECTORY, segmentName(2)), segmentNumber: 2 },
    })
    await expect(listSegments(DIRECTORY, disk)).rejects.toMatchObject({ code: 'WAL_GAP' })
  })

  it('a segment of another log under the right name', async () => {
    const disk = await fourSegments()
    const other = new CrashFileSystem()
    const log = await openMemoryLog(other)
    for (const payload of ['x', 'y', 'z']) {
      await log.commit(Buffer.from(payload))
      await log.roll()
    }
    await writeFileAtomic(join(DIRECTORY, segmentName(2)), await segmentContent(other, 2), disk)
    await expect(openMemoryLog(disk)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { path: join(DIRECTORY, segmentName(2)) },
    })
  })

  it('a segment without a seal that is not the last', async () => {
    const disk = await fourSegments()
    const whole = await segmentContent(disk, 3)
    await writeFileAtomic(join(DIRECTORY, segmentName(3)), whole.subarray(0, whole.length - 8), disk)
    await expect(openMemoryLog(disk)).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
    await expect(records(disk)).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
  })
})

async function fourSegments(): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  const log = await openMemoryLog(disk)
  for (const payload of ['a', 'b', 'c']) {
    await log.commit(Buffer.from(payload))
    await log.roll()
  }
  await log.close()
  return disk
}

describe('segments', () => {
  it('are sealed before they grow beyond their size, and linked', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk, { segmentBytesMax: 8192 })
    for (let index = 0; index < 100; index += 1) await log.commit(Buffer.alloc(500, index))
    await log.close()
    const segments = await listSegments(DIRECTORY, disk, { scan: true })
    expect(segments.length).toBeGreaterThan(6)
    expect(Math.max(...segments.map((segment) => segment.bytes))).toBeLessThanOrEqual(8192)
    expect(segments.map((segment) => segment.sealed)).toEqual(
      segments.map((_, index) => index < segments.length - 1),
    )
    expect(await listSegments(DIRECTORY, disk)).toEqual(segments)
    expect(await records(disk)).toHaveLength(100)
  })

  it('take a single larger record whole', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk, { segmentBytesMax: 8192 })
    for (const bytes of [10, 50_000, 10, 3_000_000]) await log.commit(Buffer.alloc(bytes, 7))
    expect((await records(disk)).map((record) => record.payload.length)).toEqual([10, 50_000, 10, 3_000_000])
  })

  it('are sealed by age once they have a record, never without one', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk, { segmentAgeMsMax: 30 })
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(log.activeSegment).toBe(1)
    await log.commit(Buffer.from('a'))
    await expect.poll(() => log.activeSegment).toBe(2)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(log.activeSegment).toBe(2)
    await log.close()
  })

  it('roll on request with all that was appended before, and only when there are records', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    log.append(Buffer.from('a'), { durable: false })
    log.append(Buffer.from('point'), { kind: 'mark' })
    const summary = await log.roll()
    expect(summary).toMatchObject({
      sealed: true,
      firstLsn: 1,
      lastLsn: 2,
      marks: [{ name: 'point', lsn: 2 }],
    })
    expect(summary.bytes).toBe((await segmentContent(disk, 1)).length)
    expect(await log.roll()).toMatchObject({ sealed: false, firstLsn: 3, lastLsn: 2 })
    expect(log.activeSegment).toBe(2)
  })

  it('have zeros written ahead, so that commits do not change the length of the file', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk, { preallocateBytes: 64 * 1024, segmentBytesMax: 512 * 1024 })
    const lengths = new Set<number>()
    for (let index = 0; index < 1000; index += 1) {
      await log.commit(Buffer.alloc(300, index))
      lengths.add((await segmentContent(disk, log.activeSegment)).length)
    }
    expect(lengths.size).toBeLessThan(30)
    await log.close()
    expect(await records(disk)).toHaveLength(1000)
    const again = await openMemoryLog(disk)
    expect(again.opened).toMatchObject({ tornBytes: 0, lastLsn: 1000 })
  })

  it('begin with few zeros, and get more when few frames like the last one fit', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    // Zeros are written through a handle of their own.
    const opened = (from: number): number => kinds(disk, from).filter((kind) => kind === 'open').length
    const log = await openMemoryLog(disk, { preallocateBytes: 1024 * 1024 })
    const before = disk.operations.length
    for (let count = 0; count < 30; count += 1) await log.commit(Buffer.alloc(1024, 'a'))
    expect(opened(before)).toBe(0)
    for (let count = 0; count < 200; count += 1) await log.commit(Buffer.alloc(1024, 'b'))
    expect(opened(before)).toBe(1)
    await log.close()
    expect((await segmentContent(disk, 1)).length).toBeGreaterThan(256 * 1024 + 96)
  })

  it('get zeros at once where frames are large', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk, { preallocateBytes: 1024 * 1024 })
    const before = disk.operations.length
    await log.commit(Buffer.alloc(3 * 1024, 'a'))
    expect(kinds(disk, before)).toContain('open')
    await log.close()
  })

  it.each([
    { frame: 'small', bytes: 3 * 1024, pieces: [256, 256, 256, 256] },
    { frame: 'larger', bytes: 5 * 1024, pieces: [512, 512] },
    { frame: 'large', bytes: 100 * 1024, pieces: [1024] },
  ])(
    'flush more zeros at once where frames are $frame, so that many share that flush',
    async ({ bytes, pieces }) => {
      const disk = new FaultFileSystem(new CrashFileSystem())
      const log = await openMemoryLog(disk, { preallocateBytes: 1024 * 1024 })
      await log.commit(Buffer.alloc(bytes, 'a'))
      const zeros = (): number[] =>
        disk.operations.flatMap(({ kind, bytes: length = 0 }) =>
          kind === 'write' && length % (256 * 1024) === 0 ? [length / 1024] : [],
        )
      // Behind those that the segment was made with.
      while (zeros().length < 1 + pieces.length) await new Promise((resolve) => setImmediate(resolve))
      await log.close()
      expect(zeros()).toEqual([256, ...pieces])
    },
  )

  it('have no frame overwritten by zeros that are late', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(lateZeros(disk), { preallocateBytes: 4096 })
    // The first fills begin, then groups reach beyond what is filled while the zeros are still on their way.
    for (let index = 0; index < 40; index += 1) await log.commit(Buffer.alloc(600, 'x'))
    const { bytes } = await log.roll()
    expect(await segmentContent(disk, 1)).toHaveLength(bytes)
    await log.commit(Buffer.alloc(3000, 'y'))
    await log.roll()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(await records(disk)).toHaveLength(41)
    const segments = await listSegments(DIRECTORY, disk, { scan: true })
    expect((await segmentContent(disk, 2)).length).toBe(segments[1]?.bytes)
  })

  it('leave no trace of a crash while one was made', async () => {
    const disk = await fourSegments()
    await writeFileAtomic(join(DIRECTORY, 'log.0000000005.new'), Buffer.from('half'), disk)
    await writeFileAtomic(join(DIRECTORY, '.x.json.999999999.0123456789ab.tmp'), Buffer.from('half'), disk)
    const log = await openMemoryLog(disk)
    expect(log.opened).toMatchObject({
      segments: 4,
      removed: ['log.0000000005.new', '.x.json.999999999.0123456789ab.tmp'],
    })
    await log.commit(Buffer.from('d'))
    await log.roll()
    expect(log.activeSegment).toBe(5)
  })

  it('are removed from the oldest on, never the active one', async () => {
    const disk = await fourSegments()
    const log = await openMemoryLog(disk)
    const events: WalEvent[] = []
    log.events((event) => events.push(event))
    expect(await log.removeSegmentsBelow(3)).toEqual(['log.0000000001', 'log.0000000002'])
    expect(await log.removeSegmentsBelow(99)).toEqual(['log.0000000003'])
    expect(await disk.list(DIRECTORY)).toEqual(['log.0000000004'])
    expect(events.filter((event) => event.type === 'segments.removed')).toHaveLength(2)
    await log.close()
    expect((await openMemoryLog(disk)).opened).toMatchObject({
      firstLsn: 4,
      lastLsn: 3,
      lastCommittedAtUs: expect.any(Number),
    })
  })
})

describe('events', () => {
  it('tell of opening, sealing, the next segment and closing; a listener that throws does not stop the log', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    const told: string[] = []
    const stop = log.events((event) => told.push(event.type))
    await log.commit(Buffer.from('a'))
    await log.roll()
    stop()
    await log.close()
    expect(told).toEqual(['log.opened', 'segment.sealed', 'segment.created'])
  })
})

describe('on the real file system', () => {
  it('keeps what was committed, across reopening', async () => {
    const directory = await temporaryDirectory()
    for (let round = 0; round < 3; round += 1) {
      await using log = await openLog({ directory, identity: IDENTITY, segmentBytesMax: 64 * 1024 })
      await Promise.all(Array.from({ length: 200 }, (_, index) => log.commit(Buffer.alloc(400, index))))
    }
    const found: number[] = []
    for await (const group of readLog({ directory, fromLsn: 1 }))
      found.push(...group.map((record) => record.lsn))
    expect(found).toEqual(Array.from({ length: 600 }, (_, index) => index + 1))
  })
})

it('a log whose only segment is sealed, its successor not yet made, still begins where it began', async () => {
  const disk = new CrashFileSystem({ seed: 1 })
  const log = await openMemoryLog(disk)
  await commitGroup(log, 'a', 'b')
  await log.roll()
  await log.close()
  // As after a kill between the seal and the next segment's name.
  await disk.remove(`${DIRECTORY}/${segmentName(2)}`)
  const again = await openMemoryLog(disk)
  expect(again.opened).toMatchObject({ firstLsn: 1, lastLsn: 2 })
  await again.close()
})
