// The decoders of the log: segments and their parts, and the small files beside them.
import {
  decodeSegment,
  decodeSegmentHeader,
  listSegments,
  liveHolds,
  openLog,
  parseSegmentName,
  readConfirmations,
  readLog,
  readWanted,
  segmentName,
  verifySegment,
  type LogRecord,
} from '@timberline/wal'
import { goldenFiles, IDENTITY, tickingClock } from '../../packages/wal/test/log-scenario.ts'
import { decodeFrameHeader, decodeGroup, FRAME_GROUP } from '../../packages/wal/src/records/frame.ts'
import { decodeReached, encodeReached } from '../../packages/wal/src/promises/reached.ts'
import { decodeSeal, sealBytesFromTrailer } from '../../packages/wal/src/segments/seal.ts'
import { summaryFromEnds } from '../../packages/wal/src/segments/segment-file.ts'
import { decodeHeader, encodeHeader } from '../../packages/wal/src/segments/segment-header.ts'
import { processIdentity } from '../../packages/wal/src/files/process-identity.ts'
import { repairFrame, repairReached, repairSegment, repairSegmentHeader } from './checksums.ts'
import { type Decoder, orRefused, packFiles, Refused, unpackFiles } from './decoder.ts'
import { countedSource, filesInMemory } from './memory-files.ts'

const FRAME_SEED = 0x5eed
const HEADER = encodeHeader({
  ...IDENTITY,
  segmentNumber: 2,
  firstLsn: 8,
  createdAtUs: 1_700_000_000_000_000,
  previous: { segmentNumber: 1, bytes: 1000, sealChecksum: 99, lastCommittedAtUs: 1_600_000_000_000_000 },
})

/** Frames of the golden segments, each with its header. */
async function goldenFrames(type: number): Promise<Buffer[]> {
  const { sealed, unsealed } = await goldenFiles()
  return [sealed, unsealed].flatMap((segment) => {
    const frames: Buffer[] = []
    for (let at = 96; at + 40 <= segment.length;) {
      const end = at + 40 + Math.ceil(segment.readUInt32LE(at + 8) / 8) * 8
      if (segment[at + 14] === type) frames.push(Buffer.from(segment.subarray(at, end)))
      at = end
    }
    return frames
  })
}

async function drain(groups: AsyncIterable<LogRecord[]>): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const group of groups) records.push(...group)
  return records
}

/** Both segments of a log through everything that reads a log, and then through the writer that goes on with it. */
async function throughLog(first: Buffer, second: Buffer): Promise<unknown> {
  const directory = '/log'
  const fileSystem = await filesInMemory({
    [`/log/${segmentName(1)}`]: first,
    [`/log/${segmentName(2)}`]: second,
  })
  const found: unknown[] = []
  let refusal: unknown
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      found.push(await work())
    } catch (error) {
      refusal ??= error
      // Only the first refusal is told; one without a code must not hide behind it.
      if (!(error instanceof Error) || error.name !== 'TimberlineError') throw error
    }
  }
  await attempt(() => listSegments(directory, fileSystem))
  await attempt(() => listSegments(directory, fileSystem, { scan: true }))
  await attempt(() => drain(readLog({ directory, fromLsn: 1, fileSystem })))
  await attempt(async () => {
    const log = await openLog({
      directory,
      identity: IDENTITY,
      fileSystem,
      now: tickingClock(),
      preallocateBytes: 0,
    })
    try {
      found.push(await log.commit(Buffer.from('after')))
    } finally {
      await log.close()
    }
    return drain(readLog({ directory, fromLsn: 1, fileSystem }))
  })
  if (refusal !== undefined) throw refusal as Error
  return found
}

export const walDecoders: readonly Decoder[] = [
  {
    name: 'segment-header',
    covers: ['wal/segments/segment-header.ts#decodeHeader'],
    codes: [],
    seeds: () => [HEADER],
    repair: repairSegmentHeader,
    decode: (input) => {
      const decoded = decodeHeader(input)
      return decoded.type === 'whole' ? decoded.header : new Refused(decoded.problem)
    },
  },
  {
    name: 'frame-header',
    covers: ['wal/records/frame.ts#decodeFrameHeader'],
    codes: [],
    seeds: async () =>
      [...(await goldenFrames(1)), ...(await goldenFrames(2))].map((frame) =>
        repairFrame(Buffer.from(frame.subarray(0, 40)), FRAME_SEED),
      ),
    repair: (input) => repairFrame(input, FRAME_SEED),
    decode: (input) => orRefused(decodeFrameHeader(input, 0, FRAME_SEED)),
  },
  {
    name: 'group',
    covers: ['wal/records/frame.ts#decodeGroup', 'wal/records/little-endian.ts#readU64'],
    codes: [],
    // The header says how many records there are and when the first was made: both stand before the payload here.
    seeds: async () =>
      (await goldenFrames(1)).map((frame) => {
        const payload = frame.subarray(40, 40 + frame.readUInt32LE(8))
        return Buffer.concat([frame.subarray(12, 14), frame.subarray(32, 40), payload])
      }),
    decode: (input) => {
      if (input.length < 10) return new Refused('too short for the test')
      const committedAtUs = Number(input.readBigUInt64LE(2))
      const frame = { type: FRAME_GROUP, checksum: 0, payloadChecksum: 0, firstLsn: 9, durableLsn: 8 }
      const header = {
        ...frame,
        payloadBytes: input.length - 10,
        records: input.readUInt16LE(0),
        committedAtUs,
      }
      return orRefused(decodeGroup(header, input.subarray(10)))
    },
  },
  {
    name: 'seal',
    covers: ['wal/segments/seal.ts#decodeSeal'],
    codes: [],
    seeds: async () => (await goldenFrames(2)).map((frame) => frame.subarray(40)),
    decode: (input) => orRefused(decodeSeal(input)),
  },
  {
    name: 'seal-trailer',
    covers: ['wal/segments/seal.ts#sealBytesFromTrailer'],
    codes: [],
    seeds: async () => (await goldenFrames(2)).map((frame) => frame.subarray(-8)),
    decode: (input) => orRefused(sealBytesFromTrailer(input)),
  },
  {
    name: 'segment',
    covers: [
      'wal/segments/segment-decoder.ts#decodeSegment',
      'wal/segments/segment-decoder.ts#decodeSegmentHeader',
      'wal/segments/segment-file.ts#readHeader',
      'wal/segments/segment-file.ts#readSeal',
      'wal/segments/frame-reader.ts##decode',
      'wal/segments/plain-groups.ts#passPlainGroups',
      'wal/segments/tail-verdict.ts#judgeTail',
    ],
    codes: ['WAL_CORRUPT', 'WAL_FORMAT'],
    seeds: async () => Object.values(await goldenFiles()),
    repair: repairSegment,
    allocationBytes: 512 * 1024,
    decode: async (input) => {
      const header = await decodeSegmentHeader(countedSource(input))
      const ends = await summaryFromEnds(countedSource(input), header)
      const records = await drain(decodeSegment(countedSource(input), { last: true }))
      const summary = await verifySegment(countedSource(input), { last: true })
      // Whoever reads only the ends of a segment must not be told of another segment than who reads it all.
      return { header, ends, records, summary }
    },
  },
  {
    name: 'sealed-segment',
    covers: [],
    codes: ['WAL_CORRUPT', 'WAL_FORMAT', 'WAL_FOREIGN'],
    seeds: async () => [(await goldenFiles()).tiny, (await goldenFiles()).sealed],
    repair: repairSegment,
    allocationBytes: 512 * 1024,
    decode: (input) => drain(decodeSegment(countedSource(input), { last: false, expect: IDENTITY })),
  },
  {
    name: 'log-folder',
    covers: [
      'wal/reading/log-walker.ts#step',
      'wal/writing/log-opening.ts#openSegments',
      'wal/segments/segment-list.ts#summarize',
    ],
    codes: ['WAL_CORRUPT', 'WAL_FORMAT'],
    rareCodes: ['WAL_FOREIGN', 'WAL_GAP'],
    seeds: async () => {
      const { sealed, unsealed, zeroFilled } = await goldenFiles()
      return [packFiles([sealed, unsealed]), packFiles([sealed, zeroFilled])]
    },
    repair: (input) => {
      const [first = input, second = input] = unpackFiles(input, 2)
      repairSegment(first)
      // The second segment goes on where the first one ends, or its link would refuse all else.
      if (second.length >= 96 && first.length >= 8) {
        second.writeBigUInt64LE(BigInt(first.length), 64)
        const sealBytes = first.readUInt32LE(first.length - 8)
        if (sealBytes >= 4 && sealBytes <= first.length - 96)
          second.writeUInt32LE(first.readUInt32LE(first.length - sealBytes), 80)
      }
      repairSegment(second)
      return input
    },
    inputs: 300,
    allocationBytes: 2 * 1024 * 1024,
    decode: (input) => {
      const [first = input, second = input] = unpackFiles(input, 2)
      return throughLog(Buffer.from(first), Buffer.from(second))
    },
  },
  {
    name: 'hold',
    covers: ['wal/promises/holds.ts#readHold'],
    codes: ['WAL_INVALID'],
    shape: 'json',
    seeds: () => [
      Buffer.from(
        JSON.stringify({
          ...processIdentity(process.pid),
          purpose: 'backup',
          fromSegment: 3,
          createdAtMs: 1_700_000_000_000,
        }),
      ),
    ],
    anyNumber: true,
    inputBytesMax: 128 * 1024,
    inputs: 400,
    decode: async (input) => {
      const name = `hold.${String(process.pid)}.00ff.json`
      const [hold] = await liveHolds('/log', await filesInMemory({ [`/log/${name}`]: input }))
      return orRefused(hold, 'its process is gone')
    },
  },
  {
    name: 'confirmation',
    covers: ['wal/promises/confirmations.ts#readConfirmation'],
    codes: ['WAL_CONFIRMATION_DAMAGED', 'WAL_INVALID'],
    shape: 'json',
    seeds: () => [
      Buffer.from(
        JSON.stringify({
          name: 'archive',
          segmentNumber: 3,
          lsn: 40,
          timeline: 1,
          confirmedAtMs: 1_700_000_000_000,
        }),
      ),
    ],
    inputBytesMax: 128 * 1024,
    inputs: 400,
    decode: async (input) => {
      const files = await filesInMemory({ '/log/confirmed.archive.json': input })
      // Members of later versions pass; only those that are known are numbers to count with.
      return (await readConfirmations('/log', files)).map(({ name, segmentNumber, lsn, timeline }) => ({
        name,
        segmentNumber,
        lsn,
        timeline,
      }))
    },
  },
  {
    name: 'wanted',
    covers: ['wal/promises/wanted.ts#readWanted'],
    codes: [],
    shape: 'text',
    takesAnything: true,
    seeds: () => [
      encodeReached({ lsn: 123, timeline: 1 }),
      encodeReached({ lsn: 9_007_199_254_740_991, timeline: 2 }),
    ],
    inputBytesMax: 2048,
    decode: async (input) =>
      readWanted({ directory: '/log', timeline: 1 }, await filesInMemory({ '/log/wanted.json': input })),
    repair: repairReached,
  },
  {
    name: 'reached',
    covers: ['wal/promises/reached.ts#decodeReached'],
    codes: [],
    shape: 'text',
    seeds: () => [
      encodeReached({ lsn: 123, timeline: 1 }),
      encodeReached({ lsn: 9_007_199_254_740_991, timeline: 7 }),
    ],
    inputBytesMax: 256,
    decode: (input) => orRefused(decodeReached(input)),
    repair: repairReached,
    encode: encodeReached,
  },
  {
    name: 'segment-name',
    covers: ['wal/segments/segment-name.ts#parseSegmentName'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(segmentName(1)), Buffer.from(segmentName(9_999_999_999))],
    decode: (input) => orRefused(parseSegmentName(input.toString())),
    encode: (value: number) => Buffer.from(segmentName(value)),
  },
]
