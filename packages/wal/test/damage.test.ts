import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  decodeSegment,
  memorySource,
  openLog,
  readLog,
  segmentName,
  TimberlineError,
  verifySegment,
} from '../src/index.ts'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { CrashFileSystem } from '../src/testing/index.ts'
import { decodePlainly, type PlainSegment } from './independent-decoder.ts'
import { DIRECTORY, IDENTITY, tickingClock } from './log-scenario.ts'

/*
 * One byte is changed, or the file cut, at every place of the golden segments. What must come of it follows from the document's
 * rule and from the undamaged file as the independent decoder sees it: the exact records of the frames before the damage, or
 * WAL_CORRUPT; never other records, never fewer without a name when a later frame proves that more were acknowledged.
 */

type Outcome = { readonly payloads: readonly string[] } | { readonly code: string }

const FILES = {
  sealed: readFileSync(new URL('./golden/v1-sealed.log', import.meta.url)),
  unsealed: readFileSync(new URL('./golden/v1-unsealed.log', import.meta.url)),
  'zero-filled': readFileSync(new URL('./golden/v1-zero-filled.log', import.meta.url)),
} as const
type Name = keyof typeof FILES
const NAMES = Object.keys(FILES) as Name[]

function payloads(segment: PlainSegment, before: number): string[] {
  return segment.frames
    .filter((frame) => frame.end <= before)
    .flatMap((frame) => frame.records.map((record) => Buffer.from(record.payload).toString('latin1')))
}

/** What the document says of a byte changed at `position`. */
function expectedOfChange(segment: PlainSegment, position: number, last: boolean): Outcome {
  if (position < 96) return { code: 'WAL_CORRUPT' }
  const hit = segment.frames.find((frame) => position >= frame.begin && position < frame.end)
  if (hit === undefined) return last ? { payloads: payloads(segment, segment.end) } : { code: 'WAL_CORRUPT' }
  const witnessed = segment.frames.some(
    (frame) => frame.begin > hit.begin && frame.durableLsn >= hit.firstLsn,
  )
  return witnessed || !last ? { code: 'WAL_CORRUPT' } : { payloads: payloads(segment, hit.begin) }
}

function expectedOfCut(segment: PlainSegment, bytes: number, last: boolean): Outcome {
  return bytes < 96 || !last ? { code: 'WAL_CORRUPT' } : { payloads: payloads(segment, bytes) }
}

async function decode(content: Buffer, last: boolean): Promise<Outcome> {
  const found: string[] = []
  try {
    for await (const group of decodeSegment(memorySource(content), { last })) {
      found.push(...group.map((record) => record.payload.toString('latin1')))
    }
    return { payloads: found }
  } catch (error) {
    return refusal(error)
  }
}

function refusal(error: unknown): { code: string } {
  if (!(error instanceof TimberlineError)) throw error
  return { code: error.code }
}

/** Opens a folder that holds the segment as its last one, reads it, commits to it, and reads it again after reopening. */
async function open(name: Name, content: Buffer): Promise<Outcome> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(DIRECTORY)
  const number = name === 'sealed' ? 1 : 2
  if (number === 2) await put(disk, 1, FILES.sealed)
  await put(disk, number, content)
  const options = {
    directory: DIRECTORY,
    identity: IDENTITY,
    fileSystem: disk,
    preallocateBytes: 0,
    now: tickingClock(),
  }
  try {
    const log = await openLog(options)
    const before = await read(disk, number)
    await log.commit(Buffer.from('after'))
    await log.close()
    await (await openLog(options)).close()
    expect(await read(disk, number)).toEqual([...before, 'after'])
    return { payloads: before }
  } catch (error) {
    return refusal(error)
  }
}

async function read(disk: CrashFileSystem, fromSegment: number): Promise<string[]> {
  const found: string[] = []
  const fromLsn = fromSegment === 1 ? 1 : 8
  for await (const group of readLog({ directory: DIRECTORY, fromLsn, fileSystem: disk })) {
    found.push(...group.map((record) => record.payload.toString('latin1')))
  }
  return found
}

async function put(disk: CrashFileSystem, number: number, content: Buffer): Promise<void> {
  const handle = await disk.open(join(DIRECTORY, segmentName(number)), 'create')
  await handle.write(content, 0)
  await handle.sync()
  await handle.close()
}

function changed(content: Buffer, position: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(content)
  copy[position] = change(copy[position] ?? 0) & 0xff
  return copy
}

const CHANGES: readonly ((byte: number) => number)[] = [
  (byte) => byte ^ 1,
  (byte) => byte ^ 0x80,
  (byte) => ~byte,
]

describe.each(NAMES)('a segment that is %s', (name) => {
  const content = FILES[name]
  const segment = decodePlainly(content)

  it.each([true, false])('has the stated outcome for every flipped byte (last: %s)', async (last) => {
    for (const position of oneIn(2, [...content.keys()])) {
      for (const change of CHANGES) {
        const damaged = changed(content, position, change)
        const found = await decode(damaged, last)
        expect({ position, ...found }).toEqual({ position, ...expectedOfChange(segment, position, last) })
      }
    }
  })

  it.each([true, false])('has the stated outcome for every length it is cut to (last: %s)', async (last) => {
    for (const bytes of oneIn(2, [...content.keys()])) {
      const found = await decode(content.subarray(0, bytes), last)
      expect({ bytes, ...found }).toEqual({ bytes, ...expectedOfCut(segment, bytes, last) })
    }
  })

  it('opens with the stated outcome for every flipped byte, and goes on where the good frames end', async () => {
    // Every byte of frames and header; of the zeros behind them every 37th.
    for (let position = 0; position < content.length; position += position < segment.end ? 1 : 37) {
      const found = await open(
        name,
        changed(content, position, (byte) => byte ^ 0x10),
      )
      expect({ position, ...found }).toEqual({ position, ...expectedOfChange(segment, position, true) })
    }
  })

  it('opens with the stated outcome for every length it is cut to', async () => {
    for (let bytes = 0; bytes < segment.end + 100 && bytes < content.length; bytes += 1) {
      const found = await open(name, content.subarray(0, bytes))
      expect({ bytes, ...found }).toEqual({ bytes, ...expectedOfCut(segment, bytes, true) })
    }
  })
})

describe('the last record of a log', () => {
  it('is corrupt, not torn, when it is damaged after a clean close', async () => {
    const disk = new CrashFileSystem()
    const options = { directory: DIRECTORY, identity: IDENTITY, fileSystem: disk, preallocateBytes: 0 }
    const log = await openLog(options)
    await log.commit(Buffer.from('the only one'))
    await log.close()
    const handle = await disk.open(join(DIRECTORY, segmentName(1)), 'write')
    await handle.write(Buffer.from('X'), 96 + 40 + 16)
    await handle.close()
    await expect(openLog(options)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      kind: 'corruption',
      details: { path: join(DIRECTORY, segmentName(1)), position: 96, lsn: 1 },
    })
  })

  it('is torn when its frame stands in part behind whole ones', async () => {
    const summary = await verifySegment(memorySource(FILES.unsealed.subarray(0, FILES.unsealed.length - 3)))
    expect(summary.lastLsn).toBe(13)
    expect(summary.sealed).toBe(false)
  })
})
