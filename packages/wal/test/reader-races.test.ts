/*
 * Fault model: no fault of the device; the folder changes between two looks of a reader that holds no lock. Its oldest segments are
 * removed, the next one is made, a segment is sealed, a frame that was seen in part becomes whole. Each change strikes just before
 * one chosen operation of the reader. It must then give every record that is still there, or name the gap; never call a race damage.
 */
import { describe, expect, it } from 'vitest'
import {
  followLog,
  followSegments,
  listSegments,
  readLog,
  readSegmentBytes,
  type FileSystem,
  type LogRecord,
} from '../src/index.ts'
import { LogWalker } from '../src/reading/log-walker.ts'
import { failOn, FaultFileSystem } from '../src/testing/index.ts'
import { forgeFrame, forgeHeader, forgeRecord } from './forged-segment.ts'
import {
  endsInSeal,
  folderOf,
  fourSegments,
  meanwhile,
  on,
  pathOf,
  putSegment,
  segmentContent,
} from './folder-scene.ts'
import { commitGroup, DIRECTORY, openMemoryLog } from './log-scenario.ts'

async function lsnsFrom(fromLsn: number, fileSystem: FileSystem): Promise<number[]> {
  const lsns: number[] = []
  for await (const group of readLog({ directory: DIRECTORY, fromLsn, fileSystem }))
    lsns.push(...group.map((record) => record.lsn))
  return lsns
}

/** LSNs of the group that the follower gives next. */
async function nextLsns(follower: AsyncGenerator<LogRecord[], void>): Promise<number[]> {
  const { value } = await follower.next()
  return (value ?? []).map((record) => record.lsn)
}

describe('a reader beside somebody who removes segments', () => {
  it('looks again when the segment in which it searched is gone', async () => {
    const disk = await fourSegments()
    const seen = meanwhile(disk, { on: on('open', pathOf(2)) }, () => {
      void disk.remove(pathOf(1))
      void disk.remove(pathOf(2))
    })
    expect(await lsnsFrom(5, seen)).toEqual([5, 6, 7])
  })

  it('names the gap when the segment that it had found is gone before it was entered', async () => {
    const disk = await fourSegments()
    const seen = meanwhile(disk, { on: on('open', pathOf(1)), nth: 2 }, () => void disk.remove(pathOf(1)))
    await expect(lsnsFrom(1, seen)).rejects.toMatchObject({ code: 'WAL_GAP', details: { lsn: 1 } })
  })

  it('leaves out of a list what went from the front, and names what went from the middle', async () => {
    const disk = await fourSegments()
    const front = meanwhile(disk, { on: on('open', pathOf(1)) }, () => void disk.remove(pathOf(1)))
    expect((await listSegments(DIRECTORY, front)).map(({ header }) => header.segmentNumber)).toEqual([
      2, 3, 4,
    ])
    const middle = meanwhile(disk, { on: on('open', pathOf(3)) }, () => void disk.remove(pathOf(3)))
    await expect(listSegments(DIRECTORY, middle)).rejects.toMatchObject({
      code: 'WAL_GAP',
      details: { segmentNumber: 3 },
    })
    await expect(
      readSegmentBytes({ directory: DIRECTORY, segmentNumber: 3, fileSystem: disk }, 0, 10),
    ).rejects.toMatchObject({ code: 'WAL_GAP', details: { path: pathOf(3) } })
  })
})

describe('a reader beside a writer', () => {
  it('finds a segment that was made between two looks', async () => {
    const disk = await fourSegments()
    await disk.rename(pathOf(2), '/log/aside')
    // The first list is the search; the second asks whether segment 2 is missing for good.
    const seen = meanwhile(
      disk,
      { on: on('list', DIRECTORY), nth: 2 },
      () => void disk.rename('/log/aside', pathOf(2)),
    )
    expect(await lsnsFrom(1, seen)).toEqual([1, 2, 3, 4, 5, 6, 7])
    await disk.remove(pathOf(2))
    await expect(lsnsFrom(1, disk)).rejects.toMatchObject({ code: 'WAL_GAP', details: { segmentNumber: 2 } })
  })

  it('takes a segment for sealed that was sealed after its end was read, and refuses one that was not', async () => {
    const disk = await fourSegments()
    const sealed = await segmentContent(disk, 1)
    await putSegment(disk, 1, sealed.subarray(0, -88))
    await expect(listSegments(DIRECTORY, disk)).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
    const writer = await disk.open(pathOf(1), 'write')
    const seen = meanwhile(disk, { on: on('status', pathOf(1)), nth: 2 }, () => {
      writer.writeNow(sealed.subarray(-88), sealed.length - 88)
    })
    expect((await listSegments(DIRECTORY, seen)).map((segment) => segment.sealed)).toEqual([
      true,
      true,
      true,
      false,
    ])
  })

  it('reads on where a frame became whole after a later one had been seen behind it', async () => {
    const header = forgeHeader()
    const frame = (lsn: number): Buffer => {
      const time = 1_000n + BigInt(lsn)
      return forgeFrame(header, {
        firstLsn: BigInt(lsn),
        durableLsn: BigInt(lsn - 1),
        time,
        payload: forgeRecord({ time }),
      })
    }
    const [first, second, third] = [frame(1), frame(2), frame(3)]
    const half = Buffer.concat([second.subarray(0, 48), Buffer.alloc(second.length - 48)])
    const disk = await folderOf(Buffer.concat([header, first, half, third]))
    const writer = await disk.open(pathOf(1), 'write')
    const steps = { judging: false }
    const seen = meanwhile(
      disk,
      { on: (operation) => steps.judging && on('status', pathOf(2))(operation) },
      () => {
        writer.writeNow(second, header.length + first.length)
      },
    )
    const walker = new LogWalker({ directory: DIRECTORY, fileSystem: seen, durable: false })
    expect(await walker.locate(1)).toBe(true)
    expect(await walker.step()).toMatchObject({ type: 'group', header: { firstLsn: 1 } })
    expect(await walker.step()).toEqual({ type: 'end' })
    steps.judging = true
    expect(await walker.judge()).toBe(false)
    expect(await walker.step()).toMatchObject({ type: 'group', header: { firstLsn: 2 } })
    expect(await walker.step()).toMatchObject({ type: 'group', header: { firstLsn: 3 } })
    expect(await walker.step()).toEqual({ type: 'end' })
    expect(await walker.judge()).toBe(true)
    await walker.close()
  })

  it('calls a frame that contradicts itself damage at once: no race makes one', async () => {
    const header = forgeHeader()
    const content = Buffer.concat([
      header,
      forgeFrame(header),
      forgeFrame(header, { firstLsn: 9n, durableLsn: 1n }),
    ])
    await expect(lsnsFrom(1, await folderOf(content))).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { lsn: 2 },
    })
  })

  it('hands on an error of the device as it is, also from the last segment of a list', async () => {
    const disk = await fourSegments()
    const broken = new FaultFileSystem(disk, failOn({ kind: 'read', path: pathOf(4) }, 'EIO', { after: 2 }))
    await expect(listSegments(DIRECTORY, broken)).rejects.toMatchObject({ code: 'EIO' })
    expect(broken.injected).toHaveLength(1)
    const closed = new FaultFileSystem(disk, failOn({ kind: 'open', path: pathOf(1) }, 'EMFILE'))
    await expect(lsnsFrom(1, closed)).rejects.toMatchObject({ code: 'EMFILE' })
  })
})

describe('a log that ends in a seal, because its writer died before the next segment was made', () => {
  it('is read to that end, and no further', async () => {
    const disk = await endsInSeal()
    expect(await lsnsFrom(2, disk)).toEqual([2, 3, 4])
    expect(await lsnsFrom(5, disk)).toEqual([])
    await expect(lsnsFrom(6, disk)).rejects.toMatchObject({ code: 'WAL_GAP', details: { nextLsn: 5 } })
  })

  it('is followed to that end, and beyond it once it is opened again', async () => {
    const disk = await endsInSeal()
    const abort = new AbortController()
    const lsns: number[] = []
    const steps: string[] = []
    const options = { directory: DIRECTORY, fileSystem: disk, signal: abort.signal }
    const records = (async () => {
      for await (const group of followLog({ ...options, fromLsn: 1 }))
        lsns.push(...group.map(({ lsn }) => lsn))
    })()
    const segments = (async () => {
      for await (const step of followSegments({ ...options, fromSegment: 1, pollMs: 10 }))
        steps.push(step.type === 'sealed' ? `sealed ${step.summary.header.segmentNumber}` : `${step.lastLsn}`)
    })()
    await expect
      .poll(() => [lsns, steps])
      .toEqual([
        [1, 2, 3, 4],
        ['sealed 1', 'sealed 2'],
      ])
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'e')
    await expect.poll(() => [lsns.at(-1), steps.at(-1)]).toEqual([5, '5'])
    abort.abort()
    await Promise.all([records, segments])
    await log.close()
  })
})

describe('a folder that has no segment', () => {
  it('has no log to read: that is a gap, not an empty read', async () => {
    const disk = await folderOf()
    await disk.makeDirectory(DIRECTORY)
    await expect(lsnsFrom(1, disk)).rejects.toMatchObject({ code: 'WAL_GAP', details: { lsn: 1 } })
    const walker = new LogWalker({ directory: DIRECTORY, fileSystem: disk, durable: false })
    expect(await walker.locate(1)).toBe(false)
    expect(walker.nextLsn).toBeUndefined()
  })

  it('is waited in by a follower of segments, until the one it wants is there', async () => {
    const disk = await folderOf()
    await disk.makeDirectory(DIRECTORY)
    const abort = new AbortController()
    const follower = followSegments({
      directory: DIRECTORY,
      fromSegment: 1,
      fileSystem: disk,
      signal: abort.signal,
    })
    const first = follower.next()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'a')
    expect((await first).value).toMatchObject({ type: 'bytes', segmentNumber: 1, position: 0, lastLsn: 1 })
    abort.abort()
    expect((await follower.next()).done).toBe(true)
    await log.close()
  })
})

describe('a follower of segments', () => {
  it('names its first segment when it is gone for good, and finds it when it came between two looks', async () => {
    const disk = await fourSegments()
    await disk.rename(pathOf(2), '/log/aside')
    const from = { directory: DIRECTORY, fromSegment: 2 }
    await expect(followSegments({ ...from, fileSystem: disk }).next()).rejects.toMatchObject({
      code: 'WAL_GAP',
      details: { segmentNumber: 2 },
    })
    const seen = meanwhile(
      disk,
      { on: on('list', DIRECTORY) },
      () => void disk.rename('/log/aside', pathOf(2)),
    )
    const follower = followSegments({ ...from, fileSystem: seen })
    expect((await follower.next()).value).toMatchObject({ type: 'sealed', summary: { lastLsn: 4 } })
    await follower.return(undefined)
  })

  it('does not sync again what a fence says is durable, and does sync what nothing says it of', async () => {
    const disk = await fourSegments()
    const syncs = async (content: Buffer): Promise<number> => {
      await putSegment(disk, 4, content)
      const counted = new FaultFileSystem(disk)
      const follower = followSegments({ directory: DIRECTORY, fromSegment: 4, fileSystem: counted })
      expect((await follower.next()).value).toMatchObject({ type: 'bytes', lastLsn: 7 })
      await follower.return(undefined)
      return counted.operations.filter(({ kind }) => kind === 'sync').length
    }
    const closed = await segmentContent(disk, 4)
    expect(await syncs(closed)).toBe(0)
    expect(await syncs(closed.subarray(0, -40))).toBe(1)
  })
})

describe('a follower of records', () => {
  it('begins inside a segment, at a record inside a group, with nothing of the groups before', async () => {
    const disk = await fourSegments()
    const log = await openMemoryLog(disk)
    await commitGroup(log, 'h', 'i', 'j')
    const follower = followLog({ directory: DIRECTORY, fromLsn: 9, fileSystem: disk })
    expect(await nextLsns(follower)).toEqual([9, 10])
    await follower.return(undefined)
    await log.close()
  })

  it('hands on batch after batch without waiting when more is there than it gathers', async () => {
    const disk = await folderOf()
    const log = await openMemoryLog(disk)
    for (let count = 0; count < 5; count += 1) await log.commit(Buffer.alloc(600_000, count))
    await log.close()
    // A poll of an hour: whatever comes after the first batch comes without one.
    const follower = followLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: disk, pollMs: 3_600_000 })
    for (let lsn = 1; lsn <= 5; lsn += 1) expect(await nextLsns(follower)).toEqual([lsn])
    await follower.return(undefined)
  })

  it('ends quietly between two groups that it already had', async () => {
    const disk = await fourSegments()
    const abort = new AbortController()
    const follower = followLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: disk, signal: abort.signal })
    expect(await nextLsns(follower)).toEqual([1])
    abort.abort()
    expect((await follower.next()).done).toBe(true)
  })
})
