// Layout: FORMAT.md#segment-header.
import { crc32 } from 'node:zlib'
import { readU64, writeU32, writeU64 } from '../records/little-endian.ts'
import type { Lsn } from '../records/record.ts'

/** Bytes of a segment's header. */
export const HEADER_BYTES = 96
/** The version this release writes; it reads this one and all before it. */
export const FORMAT_VERSION = 1

const MAGIC = Buffer.from('TLWALSEG', 'latin1')
const CHECKSUM_AT = 92

/** The end of the segment before, as it stands in the header of the one after it. */
export interface PreviousSegment {
  readonly segmentNumber: number
  /** Exact length of that segment's file. */
  readonly bytes: number
  /** Checksum of its seal frame's header, which covers the whole segment through the chain. */
  readonly sealChecksum: number
  readonly lastCommittedAtUs: number
}

export interface SegmentHeader {
  readonly formatVersion: number
  readonly environmentId: string
  readonly timeline: number
  readonly segmentNumber: number
  /** LSN of the first record this segment has or will have. */
  readonly firstLsn: Lsn
  /** `undefined` for the first segment of a log. */
  readonly previous: PreviousSegment | undefined
  readonly createdAtUs: number
  /** CRC-32 of the header: it seeds the checksums of all frames of this segment. */
  readonly checksum: number
}

/** What is wrong with bytes that should be a header. */
export type HeaderProblem = 'short' | 'magic' | 'checksum' | 'version' | 'field'

export type DecodedHeader =
  | { readonly type: 'whole'; readonly header: SegmentHeader }
  | { readonly type: 'bad'; readonly problem: HeaderProblem; readonly formatVersion?: number }

/** The bytes of a segment header, checksum included. */
export function encodeHeader(header: Omit<SegmentHeader, 'checksum' | 'formatVersion'>): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt16LE(FORMAT_VERSION, 8)
  bytes.writeUInt16LE(HEADER_BYTES, 10)
  writeU32(bytes, header.timeline, 12)
  bytes.write(header.environmentId, 16, 'hex')
  writeU64(bytes, header.segmentNumber, 32)
  writeU64(bytes, header.firstLsn, 40)
  writeU64(bytes, header.createdAtUs, 48)
  if (header.previous !== undefined) {
    writeU64(bytes, header.previous.segmentNumber, 56)
    writeU64(bytes, header.previous.bytes, 64)
    writeU64(bytes, header.previous.lastCommittedAtUs, 72)
    writeU32(bytes, header.previous.sealChecksum, 80)
  }
  writeU32(bytes, crc32(bytes.subarray(0, CHECKSUM_AT)), CHECKSUM_AT)
  return bytes
}

/** A segment header out of its bytes, or why they are none. */
export function decodeHeader(bytes: Buffer): DecodedHeader {
  if (bytes.length < HEADER_BYTES) return { type: 'bad', problem: 'short' }
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return { type: 'bad', problem: 'magic' }
  const checksum = bytes.readUInt32LE(CHECKSUM_AT)
  // Version and length come after the checksum: a flipped bit in them is damage, not a newer release.
  if (checksum !== crc32(bytes.subarray(0, CHECKSUM_AT))) return { type: 'bad', problem: 'checksum' }
  const formatVersion = bytes.readUInt16LE(8)
  if (formatVersion !== FORMAT_VERSION) return { type: 'bad', problem: 'version', formatVersion }
  const previousNumber = readU64(bytes, 56)
  const header: SegmentHeader = {
    formatVersion,
    environmentId: bytes.toString('hex', 16, 32),
    timeline: bytes.readUInt32LE(12),
    segmentNumber: readU64(bytes, 32),
    firstLsn: readU64(bytes, 40),
    previous:
      previousNumber === 0
        ? undefined
        : {
            segmentNumber: previousNumber,
            bytes: readU64(bytes, 64),
            lastCommittedAtUs: readU64(bytes, 72),
            sealChecksum: bytes.readUInt32LE(80),
          },
    createdAtUs: readU64(bytes, 48),
    checksum,
  }
  return isPlausible(header, bytes) ? { type: 'whole', header } : { type: 'bad', problem: 'field' }
}

function isPlausible(header: SegmentHeader, bytes: Buffer): boolean {
  const { segmentNumber, firstLsn, createdAtUs, previous } = header
  const link = [previous?.segmentNumber ?? 0, previous?.bytes ?? 0, previous?.lastCommittedAtUs ?? 0]
  return (
    [segmentNumber, firstLsn, createdAtUs, ...link].every((value) => Number.isSafeInteger(value)) &&
    bytes.readUInt16LE(10) === HEADER_BYTES &&
    segmentNumber >= 1 &&
    firstLsn >= 1 &&
    header.timeline >= 1
  )
}
