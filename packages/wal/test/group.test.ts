// A group against the independent decoder: what stands in the frame is what was added, whatever buffer it began in.
import { describe, expect, it } from 'vitest'
import { Group } from '../src/records/group.ts'
import { decodePlainly } from './independent-decoder.ts'
import { forgeHeader } from './forged-segment.ts'

const HEADER = forgeHeader()
const SEED = HEADER.readUInt32LE(92)

function decoded(frame: Buffer): { lsn: bigint; time: bigint; kind: number; text: string }[] {
  const { frames } = decodePlainly(Buffer.concat([HEADER, frame]))
  return frames.flatMap(({ records }) =>
    records.map(({ payload, ...record }) => ({ ...record, text: Buffer.from(payload).toString('latin1') })),
  )
}

describe('a group', () => {
  it('reads back as its records, also when it outgrows its buffer and when the buffer was used before', () => {
    for (const buffer of [
      undefined,
      Buffer.alloc(57, 0xee),
      Buffer.alloc(4096, 0xee),
      Buffer.alloc(300, 0xee),
    ]) {
      const group = new Group(1, buffer)
      const texts = ['', 'a', 'seven b', 'exactly8', 'x'.repeat(251), 'y'.repeat(70_001)]
      for (const [index, text] of texts.entries()) group.add(Buffer.from(text), 'entry', 100 + index)
      const frame = group.encode(SEED, 0)
      expect(decoded(frame)).toEqual(
        texts.map((text, index) => ({ lsn: BigInt(index + 1), time: BigInt(100 + index), kind: 1, text })),
      )
      expect(frame.length).toBe(group.frameBytes)
      expect(frame.length % 8).toBe(0)
      expect(group.buffer.length).toBeGreaterThanOrEqual(frame.length)
    }
  })

  it('pads a frame with zeros in a buffer that it fills to the last byte', () => {
    for (let length = 0; length < 24; length += 1) {
      const payload = Buffer.alloc(length, 'z')
      const group = new Group(1, Buffer.alloc(40 + 16 + length, 0xee))
      group.add(payload, 'note', 9)
      const frame = group.encode(SEED, 0)
      expect(frame.length).toBe(40 + Math.ceil((16 + length) / 8) * 8)
      expect(frame.subarray(56 + length).every((byte) => byte === 0)).toBe(true)
      expect(decoded(frame)).toEqual([{ lsn: 1n, time: 9n, kind: 3, text: payload.toString('latin1') }])
    }
  })

  it('counts its records, bytes and times', () => {
    const group = new Group(41, undefined)
    expect(group).toMatchObject({
      nextLsn: 41,
      payloadBytes: 0,
      recordBytes: 0,
      records: 0,
      durable: false,
      marks: [],
    })
    group.add(Buffer.alloc(10), 'entry', 5)
    group.add(Buffer.alloc(3), 'mark', 8)
    expect(group).toMatchObject({
      nextLsn: 43,
      payloadBytes: 2 * 16 + 13,
      recordBytes: 13,
      frameBytes: 40 + 48,
      firstCommittedAtUs: 5,
      lastCommittedAtUs: 8,
      records: 2,
    })
  })

  it('takes one record of any size, then only what stays within its bound, to the byte', () => {
    const group = new Group(1, undefined)
    expect(group.hasRoomFor(1_000_000, 100)).toBe(true)
    group.add(Buffer.alloc(20), 'entry', 1)
    expect(group.hasRoomFor(48, 100)).toBe(true)
    expect(group.hasRoomFor(49, 100)).toBe(false)
  })

  it('takes 65,535 records and no more, and writes their number in two bytes', () => {
    const group = new Group(1, undefined)
    for (let index = 0; index < 65_534; index += 1) group.add(Buffer.alloc(0), 'entry', 1 + index)
    expect(group.hasRoomFor(0, Infinity)).toBe(true)
    group.add(Buffer.alloc(0), 'entry', 65_535)
    expect(group.hasRoomFor(0, Infinity)).toBe(false)
    const frame = group.encode(SEED, 0)
    expect(frame.readUInt16LE(12)).toBe(65_535)
    expect(frame.readUInt32LE(8)).toBe(65_535 * 16)
  })

  it('settles everyone who waits for it, before and after, and nobody when nobody asked', async () => {
    const kept = new Group(1, undefined)
    const waits = [kept.whenDone(), kept.whenDone()]
    kept.succeed()
    await expect(Promise.all([...waits, kept.whenDone()])).resolves.toHaveLength(3)
    const lost = new Group(1, undefined)
    const wait = lost.whenDone()
    const error = new Error('lost')
    lost.fail(error)
    await expect(wait).rejects.toBe(error)
    const silent = new Group(1, undefined)
    silent.fail(error)
    silent.succeed()
    expect(silent.records).toBe(0)
  })
})
