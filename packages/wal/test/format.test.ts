/*
 * FORMAT.md rule by rule, on forged segments: every checksum holds, one field is not what the document demands. What such bytes
 * must give is either WAL_CORRUPT at the place (the content contradicts itself, which no crash makes), or no frame at all (a header
 * outside its bounds), which at the end of the last segment is a torn tail. Each bound is tried on both sides.
 */
import { describe, expect, it } from 'vitest'
import {
  decodeSegment,
  decodeSegmentHeader,
  memorySource,
  TimberlineError,
  verifySegment,
} from '../src/index.ts'
import {
  forgeFrame,
  forgeHeader,
  forgeRecord,
  forgeSealed,
  forgeSealPayload,
  FORGED_ENVIRONMENT,
  FORGED_TIME,
  type ForgedFrame,
  type ForgedHeader,
  type ForgedMark,
  type ForgedRecord,
  type ForgedSeal,
} from './forged-segment.ts'

const BEYOND = 2n ** 53n
const LAST_SAFE = 2n ** 53n - 1n
const HEADER = forgeHeader()
const GROUP = forgeFrame(HEADER)
const ONE = Buffer.concat([HEADER, GROUP])

/**
 * What reading a segment comes to: its records, or the code of the refusal with the place it names. A verification, which makes no
 * records, must come to the same.
 */
async function read(content: Buffer, last = true): Promise<unknown> {
  const lsns: number[] = []
  const decode = async (): Promise<number> => {
    for await (const group of decodeSegment(memorySource(content), { last }))
      lsns.push(...group.map((record) => record.lsn))
    return lsns.length
  }
  const verify = async (): Promise<number> => {
    const { firstLsn, lastLsn } = await verifySegment(memorySource(content), { last })
    return lastLsn - firstLsn + 1
  }
  const decoded = await decode().catch(refusalOf)
  expect(await verify().catch(refusalOf)).toEqual(decoded)
  return typeof decoded === 'number' ? lsns : { ...decoded, before: lsns }
}

function refusalOf(error: unknown): { code: string; position: unknown; lsn: unknown } {
  if (!(error instanceof TimberlineError)) throw error
  const { position, lsn } = error.details
  return { code: error.code, position, lsn }
}

function corrupt(position: number, lsn: number, before: readonly number[] = []): object {
  return { code: 'WAL_CORRUPT', position, lsn, before }
}

describe('a forged segment that breaks no rule', () => {
  it('reads back, with and without a seal, so that the cases below fail for their one reason', async () => {
    expect(await read(ONE)).toEqual([1])
    expect(await read(forgeSealed(ONE), false)).toEqual([1])
  })

  it('is summed up as it is: sealed or not, with times only where there are records', async () => {
    const header = await decodeSegmentHeader(memorySource(ONE))
    const times = { firstCommittedAtUs: FORGED_TIME, lastCommittedAtUs: FORGED_TIME }
    const sealed = forgeSealed(ONE)
    const whole = { header, firstLsn: 1, lastLsn: 1, ...times, marks: [] }
    const fence = forgeFrame(HEADER, {
      type: 3,
      records: 0,
      firstLsn: 2n,
      durableLsn: 1n,
      payload: Buffer.alloc(0),
    })
    for (const [content, summary] of [
      [
        sealed,
        { ...whole, sealed: true, bytes: sealed.length, sealChecksum: sealed.readUInt32LE(ONE.length) },
      ],
      [ONE, { ...whole, sealed: false, bytes: ONE.length }],
      [Buffer.concat([ONE, fence]), { ...whole, sealed: false, bytes: ONE.length + 40 }],
      [HEADER, { header, sealed: false, firstLsn: 1, lastLsn: 0, bytes: 96, marks: [] }],
    ] as const) {
      expect(await verifySegment(memorySource(content))).toStrictEqual(summary)
    }
    expect(header).toMatchObject({ segmentNumber: 1, firstLsn: 1, timeline: 1 })
  })

  it('is refused where another log is expected', async () => {
    for (const [environmentId, timeline] of [
      [FORGED_ENVIRONMENT, 2],
      ['f'.repeat(32), 1],
    ] as const) {
      const other = { environmentId, timeline }
      await expect(verifySegment(memorySource(ONE), { expect: other })).rejects.toMatchObject({
        code: 'WAL_FOREIGN',
      })
    }
    const own = { environmentId: FORGED_ENVIRONMENT, timeline: 1 }
    expect(await verifySegment(memorySource(ONE), { expect: own })).toMatchObject({ lastLsn: 1 })
  })

  it('is corrupt, not torn, where a damaged record is called durable by a later frame, which the error names', async () => {
    const payload = forgeRecord({ time: 2_000n })
    const next = forgeFrame(HEADER, { firstLsn: 2n, durableLsn: 1n, time: 2_000n, payload })
    const damaged = Buffer.concat([ONE, next])
    damaged[140] = 0x55
    await expect(verifySegment(memorySource(damaged))).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { position: 96, lsn: 1, witnessPosition: ONE.length },
    })
  })
})

describe('a segment header', () => {
  const refused: readonly [string, ForgedHeader][] = [
    ['another header length than the one of its version', { headerBytes: 88 }],
    ['segment number 0', { number: 0n }],
    ['first LSN 0', { firstLsn: 0n }],
    ['timeline 0', { timeline: 0 }],
    ['a segment number above the safe integers', { number: BEYOND }],
    ['a first LSN above the safe integers', { firstLsn: BEYOND }],
    ['a creation time above the safe integers', { created: BEYOND }],
    [
      'a previous length above the safe integers',
      { previous: { number: 1n, bytes: BEYOND, time: 1n, sealChecksum: 1 } },
    ],
  ]
  it.each(refused)('with %s is corrupt, though its checksum holds', async (_, fields) => {
    expect(await read(forgeHeader(fields))).toMatchObject({ code: 'WAL_CORRUPT', position: 0 })
  })

  it('with the largest values that a reader takes is read whole', async () => {
    const previous = { number: LAST_SAFE - 1n, bytes: LAST_SAFE, time: 77n, sealChecksum: 0xfedcba98 }
    const fields = { number: LAST_SAFE, firstLsn: LAST_SAFE, created: LAST_SAFE, timeline: 0xffffffff }
    const { header } = await verifySegment(memorySource(forgeHeader({ ...fields, previous })))
    expect(header).toMatchObject({
      formatVersion: 1,
      timeline: 0xffffffff,
      segmentNumber: Number.MAX_SAFE_INTEGER,
      firstLsn: Number.MAX_SAFE_INTEGER,
      createdAtUs: Number.MAX_SAFE_INTEGER,
      previous: {
        segmentNumber: Number.MAX_SAFE_INTEGER - 1,
        bytes: Number.MAX_SAFE_INTEGER,
        lastCommittedAtUs: 77,
        sealChecksum: 0xfedcba98,
      },
    })
  })

  it('of another version is refused by name, but only once its checksum holds', async () => {
    const newer = forgeHeader({ version: 2 })
    await expect(verifySegment(memorySource(newer))).rejects.toMatchObject({
      code: 'WAL_FORMAT',
      details: { formatVersion: 2 },
    })
    newer[92] = (newer[92] ?? 0) ^ 1
    await expect(verifySegment(memorySource(newer))).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
  })
})

describe('a frame header outside its bounds', () => {
  const bad: readonly [string, ForgedFrame][] = [
    ['type 0', { type: 0 }],
    ['type 4', { type: 4 }],
    ['type 0 and nothing in it', { type: 0, records: 0, payload: Buffer.alloc(0) }],
    ['type 4 and nothing in it', { type: 4, records: 0, payload: Buffer.alloc(0) }],
    ['a reserved byte that is not zero', { reserved: 1 }],
    ['first LSN 0', { firstLsn: 0n }],
    ['a durable LSN that reaches its own first record', { firstLsn: 1n, durableLsn: 1n }],
    ['a first LSN above the safe integers', { firstLsn: BEYOND, durableLsn: 0n }],
    ['a commit time above the safe integers', { time: BEYOND }],
    ['a payload above 256 MiB + 16', { payloadBytes: 256 * 1024 * 1024 + 17 }],
    ['a payload that reaches beyond the file', { payloadBytes: 256 * 1024 * 1024 + 16 }],
    ['a group without records', { records: 0 }],
    ['a group too short for its records', { records: 2, payload: Buffer.alloc(31) }],
    ['a fence with a payload', { type: 3, records: 0 }],
    ['a fence with records', { type: 3, payload: Buffer.alloc(0) }],
    ['a seal without a payload', { type: 2, records: 0, payload: Buffer.alloc(0) }],
    ['a seal with records', { type: 2, payload: forgeSealPayload(HEADER) }],
  ]
  it.each(bad)(
    '(%s) is no frame: the tail is torn there, and damage before a next segment',
    async (_, fields) => {
      const content = Buffer.concat([ONE, forgeFrame(HEADER, { firstLsn: 2n, ...fields })])
      expect(await read(content)).toEqual([1])
      expect(await read(content, false)).toEqual(corrupt(ONE.length, 2, [1]))
      expect(await verifySegment(memorySource(content))).toMatchObject({ lastLsn: 1, bytes: ONE.length })
    },
  )

  it('(a durable LSN above the safe integers) is no witness that anything was acknowledged', async () => {
    const torn = Buffer.alloc(40, 0xff)
    const content = Buffer.concat([
      ONE,
      torn,
      forgeFrame(HEADER, { firstLsn: BEYOND * 2n, durableLsn: BEYOND }),
    ])
    expect(await read(content)).toEqual([1])
  })

  it('does not end a file that has fewer than 40 bytes left, unless they are zeros', async () => {
    for (const length of [1, 8, 39]) {
      expect(await read(Buffer.concat([ONE, Buffer.alloc(length)]), true)).toEqual([1])
      expect(await read(Buffer.concat([ONE, Buffer.alloc(length, 1)]), false)).toEqual(
        corrupt(ONE.length, 2, [1]),
      )
    }
  })
})

describe('a frame with one bit flipped', () => {
  it('is no frame, wherever in its header, payload or padding the bit is', async () => {
    const payload = forgeRecord({ time: 2_000n, payload: Buffer.from('padded') })
    const first = forgeFrame(HEADER, { time: 2_000n, payload })
    const second = forgeFrame(HEADER, { firstLsn: 2n, time: 2_000n, payload })
    for (const [before, frame] of [
      [HEADER, first],
      [ONE, second],
    ] as const) {
      const whole = Buffer.concat([before, frame])
      const lsns = before === ONE ? [1, 2] : [1]
      expect(await read(whole)).toEqual(lsns)
      for (let position = before.length; position < whole.length; position += 1) {
        const damaged = Buffer.from(whole)
        damaged[position] = (damaged[position] ?? 0) ^ 1
        expect({ position, found: await read(damaged) }).toEqual({ position, found: lsns.slice(0, -1) })
      }
    }
  })
})

describe('a group whose checksums hold', () => {
  const time = BigInt(FORGED_TIME)
  const refused: readonly [string, readonly ForgedRecord[], ForgedFrame?][] = [
    ['a record of kind 0', [{ kind: 0 }]],
    ['a record of a kind that no version has used', [{ kind: 4 }]],
    ['a record that ends beyond it', [{ bytes: 9 }]],
    ['bytes behind its last record', [{ bytes: 7 }]],
    ['a record that begins beyond it', [{ payload: Buffer.alloc(16) }], { records: 2 }],
    [
      'only part of a record’s header at its end',
      [{}, { bytes: 0, payload: Buffer.alloc(0) }],
      { records: 3, payloadBytes: 48 },
    ],
    ['two records of one time', [{ time }, { time }], { records: 2 }],
    ['times that go back', [{ time }, { time: time - 1n }], { records: 2 }],
    ['a first time that is not the frame’s', [{ time: time + 1n }]],
    ['a time above the safe integers', [{ time }, { time: BEYOND }], { records: 2 }],
    ['a mark whose name has 1,025 bytes', [{ kind: 2, payload: Buffer.alloc(1025, 'x') }]],
  ]
  it.each(refused)('and that has %s is corrupt, also at the end of a log', async (_, records, fields) => {
    const payload = Buffer.concat(records.map((record) => forgeRecord(record)))
    const padded = fields?.payloadBytes === undefined ? payload : Buffer.concat([payload, Buffer.alloc(8)])
    const frame = forgeFrame(HEADER, { payload: padded, ...fields })
    expect(await read(Buffer.concat([HEADER, frame]))).toEqual(corrupt(96, 1))
    // And so behind another one, which who only verifies passes in another way than the first that it reads.
    const before = forgeFrame(HEADER, { time: 1n, payload: forgeRecord({ time: 1n }) })
    const second = forgeFrame(HEADER, { payload: padded, firstLsn: 2n, ...fields })
    expect(await read(Buffer.concat([HEADER, before, second]))).toEqual(corrupt(96 + before.length, 2, [1]))
  })

  it('takes all three kinds, an empty payload, and a mark of 1,024 bytes', async () => {
    const records = [
      { kind: 1, payload: Buffer.alloc(0) },
      { kind: 2, time: time + 1n, payload: Buffer.alloc(1024, 'm') },
      { kind: 3, time: time + 2n },
      { kind: 1, time: time + 3n, payload: Buffer.alloc(0) },
    ]
    const payload = Buffer.concat(records.map((record) => forgeRecord(record)))
    const content = Buffer.concat([HEADER, forgeFrame(HEADER, { payload, records: 4 })])
    const found = []
    for await (const group of decodeSegment(memorySource(content), { last: true })) found.push(...group)
    expect(
      found.map(({ lsn, kind, committedAtUs, payload: bytes }) => [lsn, kind, committedAtUs, bytes.length]),
    ).toEqual([
      [1, 'entry', FORGED_TIME, 0],
      [2, 'mark', FORGED_TIME + 1, 1024],
      [3, 'note', FORGED_TIME + 2, 8],
      [4, 'entry', FORGED_TIME + 3, 0],
    ])
    const before = forgeFrame(HEADER, { time: 1n, payload: forgeRecord({ time: 1n }) })
    const second = forgeFrame(HEADER, { payload, records: 4, firstLsn: 2n })
    for (const [lsn, segment] of [
      [2, content],
      [3, Buffer.concat([HEADER, before, second])],
    ] as const) {
      expect((await verifySegment(memorySource(segment))).marks).toEqual([
        { name: 'm'.repeat(1024), lsn, committedAtUs: FORGED_TIME + 1 },
      ])
    }
  })

  it('must begin with the LSN after the last record, and later than it', async () => {
    const payload = forgeRecord({ time: time + 1n })
    const next = { firstLsn: 2n, time: time + 1n, payload }
    expect(await read(Buffer.concat([ONE, forgeFrame(HEADER, next)]))).toEqual([1, 2])
    for (const firstLsn of [1n, 3n]) {
      const content = Buffer.concat([ONE, forgeFrame(HEADER, { ...next, firstLsn })])
      expect(await read(content)).toEqual(corrupt(ONE.length, 2, [1]))
    }
    const same = forgeFrame(HEADER, { firstLsn: 2n })
    expect(await read(Buffer.concat([ONE, same]))).toEqual(corrupt(ONE.length, 2, [1]))
  })

  it('must be later than the last record of the segment before', async () => {
    const linked = (previousTime: bigint): Buffer => {
      const header = forgeHeader({
        number: 2n,
        firstLsn: 8n,
        previous: { number: 1n, bytes: 500n, time: previousTime, sealChecksum: 1 },
      })
      return Buffer.concat([header, forgeFrame(header, { firstLsn: 8n })])
    }
    expect(await read(linked(time - 1n))).toEqual([8])
    expect(await read(linked(time))).toEqual(corrupt(96, 8))
  })

  it('may be followed by a fence with the time of its last record, and by a group behind that', async () => {
    const fence = forgeFrame(HEADER, {
      type: 3,
      records: 0,
      firstLsn: 2n,
      durableLsn: 1n,
      payload: Buffer.alloc(0),
    })
    const payload = forgeRecord({ time: time + 1n })
    const next = forgeFrame(HEADER, { firstLsn: 2n, time: time + 1n, payload })
    expect(await read(Buffer.concat([ONE, fence, next]))).toEqual([1, 2])
    expect(await read(forgeSealed(Buffer.concat([ONE, fence])), false)).toEqual([1])
  })
})

describe('a seal whose checksums hold', () => {
  const mark: ForgedMark = { name: 'mark' }
  const refused: readonly [string, ForgedSeal][] = [
    ['another length of the file', { segmentBytes: 249n }],
    ['another number of records', { records: 2n }],
    ['another first commit time', { firstTime: 999n }],
    ['another last commit time', { lastTime: 1_001n }],
    ['another chain of frame headers', { chain: 1 }],
    ['a mark that the records do not have', { marks: [mark] }],
    ['more marks than there are bytes', { markCount: 1 }],
    ['a mark that ends beyond it', { marks: [{ ...mark, nameBytes: 100 }] }],
    ['a length above the safe integers', { segmentBytes: BEYOND }],
    ['a number of records above the safe integers', { records: BEYOND }],
    ['another next LSN', { nextLsn: 3n }],
  ]
  it.each(refused)('and that says %s is corrupt, from either end', async (_, fields) => {
    const content = forgeSealed(ONE, fields)
    expect(await read(content)).toEqual(corrupt(ONE.length, 2, [1]))
    expect(await read(content, false)).toEqual(corrupt(ONE.length, 2, [1]))
  })

  it('speaks of the first record and the last one, however many groups are between', async () => {
    const payload = forgeRecord({ time: 1_500n })
    const two = Buffer.concat([
      ONE,
      forgeFrame(HEADER, { firstLsn: 2n, durableLsn: 1n, time: 1_500n, payload }),
    ])
    const content = forgeSealed(two, { records: 2n, lastTime: 1_500n, nextLsn: 3n })
    expect(await verifySegment(memorySource(content), { last: false })).toMatchObject({
      firstCommittedAtUs: 1_000,
      lastCommittedAtUs: 1_500,
      lastLsn: 2,
    })
  })

  it('and that is too short to say anything is corrupt', async () => {
    for (const length of [8, 40, 47]) {
      const frame = forgeFrame(HEADER, { type: 2, records: 0, firstLsn: 2n, payload: Buffer.alloc(length) })
      expect(await read(Buffer.concat([ONE, frame]))).toEqual(corrupt(ONE.length, 2, [1]))
    }
  })

  it('ends its segment: zeros behind it are allowed in the last one, other bytes nowhere', async () => {
    const sealed = forgeSealed(ONE)
    const refusal = corrupt(sealed.length, 2, [1])
    for (const [rest, last, expected] of [
      [Buffer.alloc(4096), true, [1]],
      [Buffer.alloc(4096), false, refusal],
      [Buffer.from('x'), true, refusal],
      [Buffer.from('x'), false, refusal],
    ] as const) {
      expect(await read(Buffer.concat([sealed, rest]), last)).toEqual(expected)
    }
  })
})
