import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import {
  followLog,
  followSegments,
  listSegments,
  memorySource,
  openLog,
  readLog,
  readSegmentBytes,
  segmentName,
  verifySegment,
  type FileSystem,
  type LogRecord,
  type SegmentStep,
} from '../src/index.ts'
import { CrashFileSystem, FaultFileSystem } from '../src/testing/index.ts'
import { commitGroup, DIRECTORY, IDENTITY, openMemoryLog } from './log-scenario.ts'

const temporary: string[] = []

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'timberline-wal-'))
  temporary.push(directory)
  return directory
}

afterAll(() => Promise.all(temporary.map((directory) => rm(directory, { recursive: true, force: true }))))

/** Follows in the background and collects; `stop` ends it and gives what came. */
function follow(
  directory: string,
  fromLsn: number,
  fileSystem?: FileSystem,
): { records: LogRecord[]; stop: () => Promise<LogRecord[]> } {
  const abort = new AbortController()
  const records: LogRecord[] = []
  const done = (async (): Promise<void> => {
    const options = { directory, fromLsn, fileSystem, signal: abort.signal, pollMs: 20, gatherMs: 1 }
    for await (const group of followLog(options)) records.push(...group)
  })()
  // Looked at in `stop`; until then a failure shall not count as unhandled.
  done.catch(() => undefined)
  const stop = async (): Promise<LogRecord[]> => {
    abort.abort()
    await done
    return records
  }
  return { records, stop }
}

function followFiles(
  directory: string,
  from: { fromSegment: number; fromPosition?: number },
  fileSystem?: FileSystem,
): { steps: SegmentStep[]; stop: () => Promise<SegmentStep[]> } {
  const abort = new AbortController()
  const steps: SegmentStep[] = []
  const done = (async (): Promise<void> => {
    const options = { directory, ...from, fileSystem, signal: abort.signal, pollMs: 20, gather: 1 }
    for await (const step of followSegments(options)) steps.push(step)
  })()
  // Looked at in `stop`; until then a failure shall not count as unhandled.
  done.catch(() => undefined)
  const stop = async (): Promise<SegmentStep[]> => {
    abort.abort()
    await done
    return steps
  }
  return { steps, stop }
}

describe('the doorbell', () => {
  it('rings for every burst, not for the first alone', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    const abort = new AbortController()
    // Without a ring the next look would come only with the poll, in an hour.
    const options = { directory: DIRECTORY, fromLsn: 1, fileSystem: disk, signal: abort.signal }
    const follower = followLog({ ...options, pollMs: 3_600_000, gatherMs: 1 })
    const lsns: number[] = []
    for (let burst = 1; burst <= 3; burst += 1) {
      const next = follower.next()
      await log.commit(Buffer.from(`burst ${burst}`))
      const step = await next
      const records: readonly LogRecord[] = step.done === true ? [] : step.value
      lsns.push(...records.map(({ lsn }) => lsn))
    }
    expect(lsns).toEqual([1, 2, 3])
    abort.abort()
    await follower.return(undefined)
    await log.close()
  }, 10_000)
})

describe('reading a log', () => {
  it('begins and ends at any LSN, across segments', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    for (const payloads of [['a', 'b'], ['c'], ['d', 'e', 'f']]) {
      await commitGroup(log, ...payloads)
      await log.roll()
    }
    for (let fromLsn = 1; fromLsn <= 7; fromLsn += 1) {
      for (let throughLsn = fromLsn; throughLsn <= 7; throughLsn += 1) {
        const found: string[] = []
        for await (const group of readLog({ directory: DIRECTORY, fromLsn, throughLsn, fileSystem: disk })) {
          expect(group.length).toBeGreaterThan(0)
          found.push(...group.map((record) => record.payload.toString()))
        }
        expect(found.join('')).toBe('abcdef'.slice(fromLsn - 1, throughLsn))
      }
    }
  })

  it('names the gap when the first LSN is not there', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a', 'b')
    await log.roll()
    await log.removeSegmentsBelow(2)
    const read = async (fromLsn: number): Promise<void> => {
      for await (const group of readLog({ directory: DIRECTORY, fromLsn, fileSystem: disk }))
        expect(group).toEqual([])
    }
    await expect(read(2)).rejects.toMatchObject({ code: 'WAL_GAP', kind: 'gap', details: { lsn: 2 } })
    await expect(read(3)).resolves.toBeUndefined()
    await expect(read(4)).rejects.toMatchObject({ code: 'WAL_GAP' })
  })

  it('stops with an AbortError when it is asked to', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a')
    const signal = AbortSignal.abort()
    const read = readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: disk, signal }).next()
    await expect(read).rejects.toMatchObject({ code: 'WAL_ABORTED', name: 'AbortError' })
  })

  it('beside a writer sees a beginning of the log, each time', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog({
      directory,
      identity: IDENTITY,
      segmentBytesMax: 128 * 1024,
      preallocateBytes: 64 * 1024,
    })
    await log.commit(Buffer.from('first'))
    let writing = true
    const writer = (async (): Promise<void> => {
      for (let round = 0; round < 300; round += 1) {
        await Promise.all(Array.from({ length: 10 }, () => log.commit(Buffer.alloc(300, 'x'))))
      }
      writing = false
    })()
    // A slow machine may read but once while all is written: that one began beside the writer.
    do {
      const durable = log.durableLsn
      let lsn = 0
      for await (const group of readLog({ directory, fromLsn: 1 })) {
        for (const record of group) expect(record.lsn).toBe((lsn += 1))
      }
      expect(lsn).toBeGreaterThanOrEqual(durable)
    } while (writing)
    await writer
    await log.close()
  })
})

describe('following a log', () => {
  it('waits for a folder’s first segment, then returns what comes, across rolls and reopenings', async () => {
    const disk = new CrashFileSystem()
    await disk.makeDirectory(DIRECTORY)
    const follower = follow(DIRECTORY, 1, disk)
    await new Promise((resolve) => setTimeout(resolve, 30))
    for (let round = 0; round < 4; round += 1) {
      const log = await openMemoryLog(disk, { preallocateBytes: round % 2 === 0 ? 0 : 1024 })
      await commitGroup(log, 'a', 'b')
      if (round > 1) await log.roll()
      await commitGroup(log, 'c')
      await log.close()
    }
    await expect.poll(() => follower.records.length).toBe(12)
    expect((await follower.stop()).map((record) => record.lsn)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
  })

  it('returns nothing that a power cut could take back', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    const follower = follow(DIRECTORY, 1, disk)
    for (let round = 1; round <= 20; round += 1) {
      await log.commit(Buffer.from(`quiet ${round}`), { durable: false })
      await expect.poll(() => follower.records.length, { interval: 1 }).toBe(round)
      const after = disk.ifCrashed({ writes: 'lost', names: 'kept' })
      const found: LogRecord[] = []
      for await (const group of readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: after }))
        found.push(...group)
      expect(found.length).toBeGreaterThanOrEqual(round)
    }
    await follower.stop()
    await log.close()
  })

  it('does not sync again what later frames say is durable', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    for (let round = 0; round < 10; round += 1) await commitGroup(log, 'a')
    await log.close()
    const counted = new FaultFileSystem(disk)
    const follower = follow(DIRECTORY, 1, counted)
    await expect.poll(() => follower.records.length).toBe(10)
    await follower.stop()
    expect(counted.operations.filter((operation) => operation.kind === 'sync')).toHaveLength(0)
  })

  it('waits where a frame stands in part, and reads on after its owner has cut it and gone on', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a')
    await log.close()
    const path = join(DIRECTORY, segmentName(1))
    const end = (await disk.status(path))?.bytes ?? 0
    const torn = await disk.open(path, 'write')
    await torn.write(Buffer.alloc(100, 0x33), end)
    await torn.close()
    const follower = follow(DIRECTORY, 1, disk)
    await new Promise((resolve) => setTimeout(resolve, 80))
    const again = await openMemoryLog(disk)
    expect(again.opened.tornBytes).toBe(100)
    await commitGroup(again, 'b', 'c')
    await again.roll()
    await commitGroup(again, 'd')
    await expect.poll(() => follower.records.length).toBe(4)
    await follower.stop()
  })

  it('names damage before an acknowledged record, also in the segment that is being written', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    for (const payload of ['a', 'b', 'c']) await log.commit(Buffer.from(payload))
    const handle = await disk.open(join(DIRECTORY, segmentName(1)), 'write')
    await handle.write(Buffer.from('X'), 96 + 64 + 45)
    await handle.close()
    const follower = follow(DIRECTORY, 1, disk)
    await new Promise((resolve) => setTimeout(resolve, 150))
    await expect(follower.stop()).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { position: 160, lsn: 2 },
    })
    expect(follower.records.map((record) => record.lsn)).toEqual([1])
  })

  it('names the segment that was removed before it was read', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a')
    await log.roll()
    await log.removeSegmentsBelow(2)
    const follower = follow(DIRECTORY, 1, disk)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await expect(follower.stop()).rejects.toMatchObject({ code: 'WAL_GAP' })
  })
})

describe('following segments', () => {
  it('gives byte ranges that together are the segments, and the seals', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk, { segmentBytesMax: 16 * 1024, preallocateBytes: 2048 })
    const follower = followFiles(DIRECTORY, { fromSegment: 1 }, disk)
    for (let round = 0; round < 60; round += 1) {
      await commitGroup(log, Buffer.alloc(700, round))
      if (round % 20 === 7) await log.commit(Buffer.from(`mark ${round}`), { kind: 'mark' })
      if (round % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const last = log.nextLsn - 1
    await expect.poll(() => lastLsnOf(follower.steps)).toBe(last)
    const steps = await follower.stop()
    const sealed = steps.filter((step) => step.type === 'sealed').map((step) => step.summary)
    expect(sealed).toEqual((await listSegments(DIRECTORY, disk)).filter((segment) => segment.sealed))
    expect(sealed.length).toBeGreaterThan(1)
    for (const number of [1, 2, 3]) await checkPieces(disk, steps, number)
    const marks = steps.flatMap((step) => (step.type === 'bytes' ? step.marks : step.summary.marks))
    expect(new Set(marks.map((mark) => mark.name))).toEqual(new Set(['mark 7', 'mark 27', 'mark 47']))
  })

  it('ends a look where its writer says that the log is durable, and flushes what goes beyond that', async () => {
    const disk = new CrashFileSystem()
    const counted = new FaultFileSystem(disk)
    const syncs = (): number => counted.operations.filter(({ kind }) => kind === 'sync').length
    const log = await openMemoryLog(disk, { preallocateBytes: 16 * 1024 })
    const abort = new AbortController()
    let toldLsn = 100
    const options = { directory: DIRECTORY, fromSegment: 1, fileSystem: counted, signal: abort.signal }
    // Without a ring the next look would come only with the poll, in an hour.
    const follower = followSegments({ ...options, pollMs: 3_600_000, gather: 1, durableLsn: () => toldLsn })
    const next = async (): Promise<{ lastLsn: number; syncs: number }> => {
      const before = syncs()
      const step = await follower.next()
      const lastLsn = lastLsnOf(step.done === true ? [] : [step.value])
      const after = disk.ifCrashed({ writes: 'lost', names: 'kept' })
      const [segment] = await listSegments(DIRECTORY, after)
      expect(segment?.lastLsn).toBeGreaterThanOrEqual(lastLsn)
      return { lastLsn, syncs: syncs() - before }
    }
    // Nobody is believed before a flush of one's own.
    await log.commit(Buffer.from('a'), { durable: false })
    expect(await next()).toEqual({ lastLsn: 1, syncs: 1 })
    await log.commit(Buffer.from('b'))
    await log.commit(Buffer.from('c'))
    expect(await next()).toEqual({ lastLsn: 3, syncs: 0 })
    toldLsn = 4
    await log.commit(Buffer.from('d'))
    await log.commit(Buffer.from('e'), { durable: false })
    expect(await next()).toEqual({ lastLsn: 4, syncs: 0 })
    // What came since is seen with what was left.
    await log.commit(Buffer.from('f'), { durable: false })
    expect(await next()).toEqual({ lastLsn: 6, syncs: 1 })
    // A group that goes beyond the word is flushed.
    toldLsn = 7
    await commitGroup(log, 'g', 'h')
    expect(await next()).toEqual({ lastLsn: 8, syncs: 1 })
    abort.abort()
    await follower.return(undefined)
    await log.close()
  }, 10_000)

  it('goes on from a segment and position, and refuses a position inside a frame', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a')
    await commitGroup(log, 'b')
    await commitGroup(log, 'c')
    const follower = followFiles(DIRECTORY, { fromSegment: 1, fromPosition: 160 }, disk)
    await expect.poll(() => follower.steps.length).toBe(1)
    expect(await follower.stop()).toMatchObject([
      { position: 160, endPosition: 288, firstLsn: 2, lastLsn: 3 },
    ])
    for (const fromPosition of [161, 100, 1000]) {
      const wrong = followFiles(DIRECTORY, { fromSegment: 1, fromPosition }, disk)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await expect(wrong.stop()).rejects.toMatchObject({ code: 'WAL_INVALID' })
    }
  })
})

function lastLsnOf(steps: readonly SegmentStep[]): number {
  const last = steps.at(-1)
  if (last === undefined) return 0
  return last.type === 'bytes' ? last.lastLsn : last.summary.lastLsn
}

/** The ranges of a segment meet, and what they span so far decodes to the records they speak of. */
async function checkPieces(disk: FileSystem, steps: readonly SegmentStep[], number: number): Promise<void> {
  const pieces = steps.filter((step) => step.type === 'bytes' && step.segmentNumber === number)
  let position = 0
  let content = Buffer.alloc(0)
  for (const piece of pieces) {
    if (piece.type !== 'bytes') continue
    expect(piece.position).toBe(position)
    const bytes = await readSegmentBytes(
      { directory: DIRECTORY, segmentNumber: number, fileSystem: disk },
      position,
      piece.endPosition - position,
    )
    content = Buffer.concat([content, bytes])
    position = piece.endPosition
    expect((await verifySegment(memorySource(content))).lastLsn).toBe(piece.lastLsn)
  }
}

describe('a follower in another process than the writer', () => {
  it('sees every record once and in order, though the writer is killed again and again', async () => {
    const directory = await temporaryDirectory()
    const follower = follow(directory, 1)
    let durable = 0
    for (let round = 0; round < 4; round += 1) {
      const writer = startWriter(directory)
      durable = await waitForDurable(writer, durable + 200)
      writer.kill('SIGKILL')
      await once(writer, 'exit')
    }
    await expect.poll(() => follower.records.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(durable)
    const records = await follower.stop()
    expect(records.map((record) => record.lsn)).toEqual(records.map((_, index) => index + 1))
    for (const record of records)
      expect(record.payload.toString('latin1').split('.')[0]).toBe(String(record.lsn))
  })
})

function startWriter(directory: string): ChildProcess {
  const script = fileURLToPath(new URL('./follower-writer.ts', import.meta.url))
  return spawn(process.execPath, [testProgram(script), directory, '120'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function waitForDurable(writer: ChildProcess, lsn: number): Promise<number> {
  let text = ''
  for await (const chunk of writer.stdout ?? []) {
    text += String(chunk)
    const seen = Number(/durable (\d+)\n[^\n]*$/.exec(text)?.[1] ?? 0)
    if (seen >= lsn) return seen
  }
  throw new Error('the writer ended by itself')
}
