// Frame and segment headers by themselves: the largest and smallest that a reader takes, without the megabytes they speak of.
import { describe, expect, it } from 'vitest'
import { memorySource, verifySegment } from '../src/index.ts'
import { FlushPace } from '../src/writing/flush-pace.ts'
import { decodeFrameHeader, isZeroHeader } from '../src/records/frame.ts'
import { decodeHeader, encodeHeader } from '../src/segments/segment-header.ts'
import { SegmentTally } from '../src/segments/segment-tally.ts'
import { forgeFrame, forgeHeader } from './forged-segment.ts'

const HEADER = forgeHeader()
const SEED = HEADER.readUInt32LE(92)
const LARGEST = 256 * 1024 * 1024 + 16

describe('a frame header', () => {
  it('may speak of 256 MiB + 16 bytes and of not one more', () => {
    const decode = (payloadBytes: number): unknown =>
      decodeFrameHeader(forgeFrame(HEADER, { payloadBytes }), 0, SEED)
    expect(decode(LARGEST)).toMatchObject({ payloadBytes: LARGEST, records: 1, firstLsn: 1 })
    expect(decode(LARGEST + 1)).toBeUndefined()
  })

  it('is none where fewer than its 40 bytes are left, or under the seed of another segment', () => {
    const frame = forgeFrame(HEADER)
    expect(decodeFrameHeader(frame.subarray(0, 40), 0, SEED)).toBeDefined()
    expect(decodeFrameHeader(frame.subarray(0, 39), 0, SEED)).toBeUndefined()
    expect(decodeFrameHeader(frame, 0, (SEED ^ 1) >>> 0)).toBeUndefined()
  })

  it('that was not written yet is forty zeros', () => {
    const bytes = Buffer.alloc(56)
    expect(isZeroHeader(bytes, 8)).toBe(true)
    bytes[7] = 1
    bytes[48] = 1
    expect(isZeroHeader(bytes, 8)).toBe(true)
    for (const at of [8, 30, 47]) {
      const written = Buffer.from(bytes)
      written[at] = 1
      expect(isZeroHeader(written, 8)).toBe(false)
    }
  })
})

describe('a file that gives fewer bytes than it promised', () => {
  it('ends where the last whole frame does', async () => {
    const content = Buffer.concat([
      HEADER,
      forgeFrame(HEADER),
      forgeFrame(HEADER, { firstLsn: 2n, time: 2_000n }),
    ])
    const cut = memorySource(content.subarray(0, content.length - 8))
    const source = { ...cut, bytes: content.length }
    expect(await verifySegment(source)).toMatchObject({ lastLsn: 1, sealed: false, bytes: 160 })
  })
})

describe('a segment header', () => {
  const previous = { number: 6n, bytes: 777n, time: 55n, sealChecksum: 0x89abcdef }

  it('is written as it is read, with and without a segment before it', () => {
    for (const bytes of [
      HEADER,
      forgeHeader({ number: 7n, firstLsn: 9n, timeline: 3, created: 2n ** 40n, previous }),
    ]) {
      const decoded = decodeHeader(bytes)
      if (decoded.type !== 'whole') throw new Error('the forged header holds')
      expect(encodeHeader(decoded.header).equals(bytes)).toBe(true)
      expect(decoded.header.checksum).toBe(bytes.readUInt32LE(92))
    }
    expect(decodeHeader(HEADER)).not.toHaveProperty('header.previous.bytes')
  })

  it('is refused for the first thing that is wrong with it', () => {
    expect(decodeHeader(HEADER.subarray(0, 95))).toEqual({ type: 'bad', problem: 'short' })
    const damaged = (position: number): Buffer => {
      const bytes = Buffer.from(HEADER)
      bytes[position] = (bytes[position] ?? 0) ^ 1
      return bytes
    }
    for (const position of [0, 7]) {
      expect(decodeHeader(damaged(position))).toEqual({ type: 'bad', problem: 'magic' })
    }
    for (const position of [8, 10, 91, 92, 95]) {
      expect(decodeHeader(damaged(position))).toEqual({ type: 'bad', problem: 'checksum' })
    }
    expect(decodeHeader(forgeHeader({ version: 2 }))).toEqual({
      type: 'bad',
      problem: 'version',
      formatVersion: 2,
    })
    expect(decodeHeader(forgeHeader({ timeline: 0 }))).toEqual({ type: 'bad', problem: 'field' })
  })
})

describe('the count of a segment', () => {
  it('begins with nothing durable in it, and takes no group without records', () => {
    const decoded = decodeHeader(forgeHeader({ firstLsn: 9n }))
    if (decoded.type !== 'whole') throw new Error('the forged header holds')
    const tally = new SegmentTally(decoded.header)
    expect(tally).toMatchObject({ durableLsn: 8, nextLsn: 9, records: 0, timeFloorUs: 0 })
    expect(tally.add([])).toBe('the group is empty')
    expect(tally).toMatchObject({ nextLsn: 9, records: 0 })
  })
})

describe('the pace of flushes', () => {
  it('hands them to another thread while they are slow, and takes them back after one quick probe', () => {
    const pace = new FlushPace()
    expect(pace.inline()).toBe(true)
    for (let count = 0; count < 20; count += 1) pace.measured(5, true)
    const tries = Array.from({ length: 64 }, () => pace.inline())
    expect(tries.filter(Boolean)).toHaveLength(1)
    expect(tries.at(-1)).toBe(true)
    pace.measured(5, true)
    expect(pace.inline()).toBe(false)
    pace.measured(0.05, false)
    expect(pace.inline()).toBe(false)
    pace.measured(0.05, true)
    expect(pace.inline()).toBe(true)
  })
})
