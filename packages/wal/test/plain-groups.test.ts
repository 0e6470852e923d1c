/**
 * Who only proves a segment passes its plain groups in whole words. Whatever stands in a segment, that ends where reading it frame by frame
 * ends, with the same count: forged frames, whose checksums hold, contradict themselves in each field.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ByteSource, memorySource } from '../src/index.ts'
import { FrameReader, WINDOW_BYTES } from '../src/segments/frame-reader.ts'
import { passPlainGroups } from '../src/segments/plain-groups.ts'
import { decodeSegmentHeader } from '../src/segments/segment-decoder.ts'
import { SegmentTally } from '../src/segments/segment-tally.ts'
import {
  type ForgedFrame,
  forgeFrame,
  forgeHeader,
  forgeRecord,
  type ForgedRecord,
} from './forged-segment.ts'

const HEADER = forgeHeader()
const BEYOND = 2n ** 53n
/** Behind a first group, which the reader reads in any case. */
const FIRST = forgeFrame(HEADER)

function framed(fields: ForgedFrame, records: readonly ForgedRecord[] = [{ time: 2_000n }]): Buffer {
  const payload = Buffer.concat(records.map((record) => forgeRecord(record)))
  return forgeFrame(HEADER, {
    firstLsn: 2n,
    durableLsn: 1n,
    time: 2_000n,
    records: records.length,
    payload,
    ...fields,
  })
}

async function reached(content: Buffer, how: 'passing' | 'reading'): Promise<object> {
  const source = memorySource(content)
  const reader = new FrameReader(source, await decodeSegmentHeader(source))
  let step = how === 'passing' ? await reader.pass() : await reader.next()
  while (step.type === 'group' || step.type === 'fence') step = await reader.next()
  const { chain, durableLsn, nextLsn, firstCommittedAtUs, lastCommittedAtUs, marks } = reader.tally
  const tally = { chain, durableLsn, nextLsn, firstCommittedAtUs, lastCommittedAtUs, marks: [...marks] }
  return { step: step.type, position: reader.position, ...tally }
}

/** How far both come. */
async function ending(
  ...frames: readonly Buffer[]
): Promise<{ readonly nextLsn?: number; readonly durableLsn?: number }> {
  const content = Buffer.concat([HEADER, FIRST, ...frames])
  const read = await reached(content, 'reading')
  expect(await reached(content, 'passing')).toEqual(read)
  return read
}

const two: readonly ForgedRecord[] = [{ time: 2_000n }, { time: 2_001n }]
const third = forgeFrame(HEADER, {
  firstLsn: 3n,
  durableLsn: 2n,
  time: 3_000n,
  payload: forgeRecord({ time: 3_000n }),
})

/** Which group of a long segment is a mark, that is looked at as a frame. */
const MARKED = 5

/** A segment of some windows, most of which end within a frame, and a reader of it that tells what it reads into. */
async function longSegment(): Promise<{
  reader: FrameReader
  lastLsn: number
  memory: Set<ArrayBufferLike>
}> {
  const lastLsn = 2_001
  const frames = Array.from({ length: lastLsn - 1 }, (_, index) =>
    framed({ firstLsn: BigInt(index + 2), durableLsn: BigInt(index + 1), time: BigInt(2_000 + index) }, [
      index === MARKED
        ? { time: BigInt(2_000 + index), kind: 2 }
        : { time: BigInt(2_000 + index), payload: Buffer.alloc(1_000, index % 251) },
    ]),
  )
  const source = memorySource(Buffer.concat([HEADER, FIRST, ...frames]))
  const memory = new Set<ArrayBufferLike>()
  const told: ByteSource = {
    bytes: source.bytes,
    read: (target, position) => {
      memory.add(target.buffer)
      return source.read(target, position)
    },
  }
  return { reader: new FrameReader(told, await decodeSegmentHeader(source)), lastLsn, memory }
}

describe('passing plain groups', () => {
  it('reads through one window, also where frames lie across its end', async () => {
    const { reader, lastLsn, memory } = await longSegment()
    expect(await reader.pass()).toEqual({ type: 'end' })
    expect(reader.position).toBeGreaterThan(7 * WINDOW_BYTES)
    expect(reader.nextLsn).toBe(lastLsn + 1)
    expect(memory.size).toBe(1)
  })

  it('leaves alone the window of records that were read before', async () => {
    const { reader, memory } = await longSegment()
    await reader.next()
    const step = await reader.next()
    const records = step.type === 'group' ? step.records : []
    await reader.pass()
    expect(records.map(({ payload }) => Buffer.from(payload))).toEqual([Buffer.alloc(1_000, 0)])
    expect(memory.size).toBe(2)
  })

  it('is over when it ends: records that are read behind it last', async () => {
    const second = framed({}, [{ time: 2_000n, payload: Buffer.alloc(100, 7) }])
    const content = Buffer.concat([HEADER, FIRST, second, third])
    const whole = memorySource(content)
    const source = {
      bytes: HEADER.length + FIRST.length,
      read: (target: Uint8Array, position: number) => whole.read(target, position),
    }
    const reader = new FrameReader(source, await decodeSegmentHeader(source))
    await reader.pass()
    source.bytes = content.length - third.length
    reader.forget()
    const step = await reader.next()
    const payloads = step.type === 'group' ? step.records.map(({ payload }) => payload) : []
    const before = payloads.map((payload) => Buffer.from(payload))
    source.bytes = content.length
    reader.forget()
    expect(await reader.next()).toMatchObject({ type: 'group' })
    expect(payloads).toEqual(before)
    expect(payloads).toHaveLength(1)
  })

  it.each<[string, Buffer, number]>([
    ['a record', framed({}), 3],
    ['an empty record', framed({}, [{ time: 2_000n, payload: Buffer.alloc(0) }]), 3],
    ['a note', framed({}, [{ time: 2_000n, kind: 3 }]), 3],
    ['a mark', framed({}, [{ time: 2_000n, kind: 2 }]), 3],
    ['a long record', framed({}, [{ time: 2_000n, payload: Buffer.alloc(1_000, 7) }]), 3],
    ['records of odd lengths', framed({}, [{ time: 2_000n, payload: Buffer.alloc(3) }, { time: 2_001n }]), 4],
    ['a fence', framed({ type: 3, records: 0, payload: Buffer.alloc(0) }, []), 2],
  ])('counts %s', async (_, frame, nextLsn) => {
    expect(await ending(frame)).toMatchObject({ nextLsn })
  })

  it.each<[string, Buffer]>([
    ['a reserved byte', framed({ reserved: 1 })],
    ['no record', framed({ records: 0, payload: Buffer.alloc(0) }, [])],
    ['no record, and bytes', framed({ records: 0 })],
    ['another LSN', framed({ firstLsn: 3n })],
    ['an LSN past all numbers', framed({ firstLsn: BEYOND * 2n })],
    ['durable past itself', framed({ durableLsn: 2n })],
    ['durable past all numbers', framed({ durableLsn: BEYOND * 2n })],
    ['a time that was', framed({ time: 1_000n }, [{ time: 1_000n }])],
    ['a time past all numbers', framed({ time: BEYOND }, [{ time: BEYOND }])],
    ['another time than its record', framed({}, [{ time: 2_001n }])],
    ['another time than its first record', framed({}, [{ time: 2_001n }, { time: 2_002n }])],
    ['times that stand still', framed({}, [{ time: 2_000n }, { time: 2_000n }])],
    ['a second time past all numbers', framed({}, [{ time: 2_000n }, { time: BEYOND }])],
    ['an unknown kind', framed({}, [{ time: 2_000n, kind: 4 }])],
    ['a second record of an unknown kind', framed({}, [{ time: 2_000n }, { time: 2_001n, kind: 0 }])],
    ['a second record that is a mark', framed({}, [{ time: 2_000n }, { time: 2_001n, kind: 2 }])],
    ['a record longer than the group', framed({}, [{ time: 2_000n, bytes: 9 }])],
    ['a record shorter than the group', framed({}, [{ time: 2_000n, bytes: 7 }])],
    ['fewer records than it says', framed({ records: 3 }, two)],
    ['more records than it says', framed({ records: 1 }, two)],
    ['a payload too short for a record', framed({ payload: Buffer.alloc(8) })],
    ['a payload past the end', framed({ payloadBytes: 4_000 })],
    ['a payload past any length', framed({ payloadBytes: 0xffff_ffff })],
  ])('leaves to the reader a group with %s', async (_, frame) => {
    expect(await ending(frame, third)).toMatchObject({ nextLsn: expect.any(Number) as number })
  })

  it('forgets no promise over a group that makes a smaller one', async () => {
    const smaller = forgeFrame(HEADER, {
      firstLsn: 3n,
      durableLsn: 0n,
      time: 3_000n,
      payload: forgeRecord({ time: 3_000n }),
    })
    expect(await ending(framed({ durableLsn: 1n }), smaller)).toMatchObject({ nextLsn: 4, durableLsn: 1 })
  })

  it('ends where reading ends, wherever a byte is flipped or the segment is cut', async () => {
    const whole = Buffer.concat([HEADER, FIRST, framed({}), third])
    for (let at = HEADER.length; at < whole.length; at += 1) {
      const flipped = Buffer.from(whole)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
      for (const content of [flipped, whole.subarray(0, at)])
        expect(await reached(content, 'passing'), `at ${at}`).toEqual(await reached(content, 'reading'))
    }
  })

  it('ends where reading ends, for any run of groups', async () => {
    const lengths = fc.array(fc.array(fc.nat({ max: 400 }), { minLength: 1, maxLength: 3 }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(lengths, async (groups) => {
        let lsn = 2
        const frames = groups.map((payloads) => {
          const records = payloads.map((bytes, index) => ({
            time: BigInt(2_000 + lsn + index),
            payload: Buffer.alloc(bytes, bytes),
          }))
          const fields = { firstLsn: BigInt(lsn), durableLsn: BigInt(lsn - 1), time: records[0]?.time ?? 0n }
          lsn += payloads.length
          return framed(fields, records)
        })
        expect(await ending(...frames)).toMatchObject({ nextLsn: lsn })
      }),
    )
  })
})

/** Groups of one record each, and a tally at their beginning. */
async function groupsOf(
  count: number,
  payloadBytes: number,
): Promise<{ window: Buffer; tally: SegmentTally }> {
  const window = Buffer.concat(
    Array.from({ length: count }, (_, index) => {
      const time = BigInt(2_000 + index)
      const payload = forgeRecord({ time, payload: Buffer.alloc(payloadBytes, index) })
      return forgeFrame(HEADER, {
        firstLsn: BigInt(index + 1),
        durableLsn: BigInt(index),
        time,
        records: 1,
        payload,
      })
    }),
  )
  return { window, tally: new SegmentTally(await decodeSegmentHeader(memorySource(HEADER))) }
}

// What is left to the reader comes to the same; so it is the module alone that is asked here.
describe('the module that passes groups', () => {
  it.each([0, 1, 400, 500, 1_000, 100_000])('passes those with %i bytes of payload', async (payloadBytes) => {
    const { window, tally } = await groupsOf(2, payloadBytes)
    expect(passPlainGroups(window, { begin: 0, end: Infinity, throughLsn: Infinity }, tally)).toBe(
      window.length,
    )
    expect(tally).toMatchObject({ nextLsn: 3, durableLsn: 1, lastCommittedAtUs: 2_001 })
  })

  it('passes what its memory holds of a larger window, and the rest when it is asked again', async () => {
    const { window, tally } = await groupsOf(2_000, 1_000)
    const reached: number[] = []
    for (let at = 0; at < window.length;) {
      const next = passPlainGroups(window, { begin: at, end: window.length, throughLsn: Infinity }, tally)
      expect(next).toBeGreaterThan(at)
      reached.push(next)
      at = next
    }
    expect(reached.length).toBeGreaterThan(2)
    expect(tally.nextLsn).toBe(2_001)
  })

  it.each([
    ['none where it should end', 56, 56, 0],
    ['none behind where it should end', 112, 56, 0],
    ['none far behind where it should end', 112, -100_000, 0],
    ['all that begin before where it should end', 56, 113, 2],
  ])('passes %s', async (_, begin, end, passed) => {
    const { window, tally } = await groupsOf(3, 0)
    tally.advance(begin / 56, 1_999 + begin / 56, 1_999 + begin / 56)
    expect(passPlainGroups(window, { begin, end, throughLsn: Infinity }, tally)).toBe(begin + passed * 56)
  })

  it('passes none behind the record that is asked for', async () => {
    const { window, tally } = await groupsOf(3, 0)
    expect(passPlainGroups(window, { begin: 0, end: Infinity, throughLsn: 2 }, tally)).toBe(2 * 56)
  })
})
