// Bounds of a seal on its own, without the segment before it: what a reader meets that begins at the end of a file.
import { describe, expect, it } from 'vitest'
import { memorySource, type SegmentMark } from '../src/index.ts'
import { decodeSeal, encodeSeal, SEAL_BYTES_MAX, sealBytesFromTrailer } from '../src/segments/seal.ts'
import { readHeader, readSeal, summaryFromEnds } from '../src/segments/segment-file.ts'
import { forgeFrame, forgeHeader, forgeSealed, forgeSealPayload, type ForgedSeal } from './forged-segment.ts'

const HEADER = forgeHeader()
const ONE = Buffer.concat([HEADER, forgeFrame(HEADER)])
const BEYOND = 2n ** 53n

function trailer(bytes: number, magic = 'SEAL'): Buffer {
  const eight = Buffer.alloc(8)
  eight.writeUInt32LE(bytes, 0)
  eight.write(magic, 4, 'latin1')
  return eight
}

describe('the payload of a seal', () => {
  it('reads back with as many and as long marks as a segment may have, and fits the largest frame', () => {
    const marks: SegmentMark[] = Array.from({ length: 4096 }, (_, index) => ({
      name: 'ä'.repeat(512),
      lsn: index + 1,
      committedAtUs: 2 ** 40 + index,
    }))
    const content = {
      records: 4096,
      firstCommittedAtUs: 2 ** 40,
      lastCommittedAtUs: 2 ** 41,
      chain: 0xfffffff0,
      marks,
    }
    const { frame } = encodeSeal(content, { position: 2 ** 33, nextLsn: 4097, seed: 7 })
    const payloadBytes = frame.readUInt32LE(8)
    expect(frame.length).toBeLessThanOrEqual(SEAL_BYTES_MAX)
    expect(frame.length % 8).toBe(0)
    const expected = { segmentBytes: 2 ** 33 + frame.length, ...content }
    expect(JSON.stringify(decodeSeal(frame.subarray(40, 40 + payloadBytes)))).toBe(JSON.stringify(expected))
    expect(sealBytesFromTrailer(frame.subarray(40 + payloadBytes - 8, 40 + payloadBytes))).toBe(frame.length)
    // One mark more is refused, though all its bytes are there.
    const more = Buffer.concat([frame.subarray(40, 40 + payloadBytes - 16), Buffer.alloc(2048)])
    more.writeUInt32LE(4097, 36)
    expect(decodeSeal(more)).toBe('the seal has too many marks')
  })

  it('is written byte for byte as the document says', () => {
    const before = Buffer.concat([HEADER, forgeFrame(HEADER)])
    const marks = [{ name: 'ü', lsn: 1, committedAtUs: 1_000 }]
    const forged = forgeSealed(before, { marks: [{ name: 'ü', lsn: 1n, time: 1_000n }] }).subarray(
      before.length,
    )
    const chain = forged.readUInt32LE(40 + 32)
    const content = { records: 1, firstCommittedAtUs: 1_000, lastCommittedAtUs: 1_000, chain, marks }
    const { frame, checksum } = encodeSeal(content, {
      position: before.length,
      nextLsn: 2,
      seed: HEADER.readUInt32LE(92),
    })
    expect(frame.toString('hex')).toBe(forged.toString('hex'))
    expect(checksum).toBe(forged.readUInt32LE(0))
  })

  it('has room for its fixed fields and its trailer, or is refused', () => {
    const empty = forgeSealPayload(ONE)
    expect(empty.length).toBe(48)
    expect(decodeSeal(empty)).toMatchObject({ records: 1, marks: [] })
    expect(decodeSeal(empty.subarray(0, 47))).toBe('the seal is too short')
  })

  it('has its marks before its trailer, to the byte', () => {
    const payload = forgeSealPayload(ONE, { marks: [{ name: 'abcd' }] })
    expect(payload.length).toBe(40 + 24 + 8)
    expect(decodeSeal(payload)).toMatchObject({ marks: [{ name: 'abcd', lsn: 1, committedAtUs: 1000 }] })
    payload.writeUInt32LE(5, 40 + 16)
    expect(decodeSeal(payload)).toBe('a mark ends beyond the seal')
    payload.writeUInt32LE(4, 40 + 16)
    payload.writeUInt32LE(2, 36)
    expect(decodeSeal(payload)).toBe('a mark begins beyond the seal')
    // A second mark without a name takes the twenty bytes left, and none more.
    const two = forgeSealPayload(ONE, { marks: [{ name: '' }, { name: '' }] })
    expect(two.length).toBe(40 + 40 + 8)
    expect(decodeSeal(two)).toMatchObject({ marks: [{ name: '' }, { name: '' }] })
  })

  it.each(['segmentBytes', 'records', 'firstTime', 'lastTime'] as const)(
    'with a number above the safe integers (%s) is refused, with the largest safe one not',
    (field) => {
      expect(decodeSeal(forgeSealPayload(ONE, { [field]: BEYOND }))).toBe(
        'the seal has a number out of range',
      )
      expect(typeof decodeSeal(forgeSealPayload(ONE, { [field]: BEYOND - 1n }))).toBe('object')
    },
  )

  it.each(['lsn', 'time'] as const)(
    'with a mark whose %s is above the safe integers is refused too',
    (field) => {
      const withMark = (value: bigint): unknown =>
        decodeSeal(forgeSealPayload(ONE, { marks: [{ name: 'm', [field]: value }] }))
      expect(withMark(BEYOND)).toBe('the seal has a number out of range')
      expect(withMark(BEYOND - 1n)).toMatchObject({ marks: [{ name: 'm' }] })
    },
  )
})

describe('the last eight bytes of a file', () => {
  it('tell the length of a seal only where it can be one', () => {
    expect(sealBytesFromTrailer(trailer(88))).toBe(88)
    expect(sealBytesFromTrailer(trailer(48))).toBe(48)
    expect(sealBytesFromTrailer(trailer(SEAL_BYTES_MAX))).toBe(SEAL_BYTES_MAX)
    for (const bytes of [0, 40, 84, 89, SEAL_BYTES_MAX + 8])
      expect(sealBytesFromTrailer(trailer(bytes))).toBeUndefined()
    expect(sealBytesFromTrailer(trailer(88, 'SEAl'))).toBeUndefined()
    expect(sealBytesFromTrailer(trailer(88).subarray(0, 7))).toBeUndefined()
    expect(sealBytesFromTrailer(Buffer.concat([trailer(88), Buffer.alloc(8)]))).toBeUndefined()
  })
})

describe('a seal looked for from the end of a file', () => {
  async function sealOf(content: Buffer): Promise<unknown> {
    const source = memorySource(content)
    return readSeal(source, await readHeader(source))
  }

  it('is found, with the LSN after its segment and the checksum that the next one links to', async () => {
    const sealed = forgeSealed(ONE)
    expect(await sealOf(sealed)).toMatchObject({ nextLsn: 2, sealChecksum: sealed.readUInt32LE(ONE.length) })
  })

  const unsealed: readonly [string, ForgedSeal][] = [
    ['speaks of more bytes than the file has', { sealBytes: 4096 }],
    ['speaks of another length than the frame has', { sealBytes: 96 }],
    ['is of a file of another length', { segmentBytes: 249n }],
    ['counts more records than LSNs', { records: 2n }],
    ['contradicts itself', { markCount: 1 }],
  ]
  it.each(unsealed)('is none when it %s', async (_, fields) => {
    expect(await sealOf(forgeSealed(ONE, fields))).toBeUndefined()
  })

  it('is none when its frame is damaged, is of another kind, or is longer than its payload', async () => {
    const damaged = forgeSealed(ONE)
    damaged[ONE.length + 42] = (damaged[ONE.length + 42] ?? 0) ^ 1
    expect(await sealOf(damaged)).toBeUndefined()
    const group = forgeFrame(HEADER, { firstLsn: 2n, payload: forgeSealPayload(ONE) })
    expect(await sealOf(Buffer.concat([ONE, group]))).toBeUndefined()
    const short = forgeFrame(HEADER, {
      type: 2,
      records: 0,
      firstLsn: 2n,
      durableLsn: 1n,
      payload: forgeSealPayload(ONE),
      payloadBytes: 40,
    })
    expect(await sealOf(Buffer.concat([ONE, short]))).toBeUndefined()
    expect(await sealOf(HEADER)).toBeUndefined()
  })

  it('is none when the file became shorter than it was while it was read', async () => {
    const sealed = forgeSealed(ONE)
    for (const bytes of [sealed.length - 8, sealed.length - 9]) {
      const whole = memorySource(sealed)
      const header = await readHeader(whole)
      const shrinking = {
        bytes: sealed.length,
        read: async (target: Uint8Array, position: number): Promise<number> =>
          // The trailer is still there at its first reading, the frame is cut when it is read.
          target.length === 8 && bytes < sealed.length - 8
            ? whole.read(target, position)
            : memorySource(sealed.subarray(0, bytes)).read(target, position),
      }
      expect(await readSeal(shrinking, header)).toBeUndefined()
    }
  })

  it('tells no commit times of a segment without records', async () => {
    const sealed = forgeSealed(HEADER, { records: 0n, firstTime: 0n, lastTime: 0n, nextLsn: 1n })
    const source = memorySource(sealed)
    const summary = await summaryFromEnds(source, await readHeader(source))
    expect(summary).toMatchObject({ sealed: true, firstLsn: 1, lastLsn: 0, bytes: sealed.length })
    expect(summary).not.toHaveProperty('firstCommittedAtUs')
  })
})
