// Layout: FORMAT.md#seal.
import { FRAME_HEADER_BYTES, FRAME_SEAL, frameBytes, sealFrameHeader } from '../records/frame.ts'
import { readU64, writeU32, writeU64 } from '../records/little-endian.ts'
import { MARK_BYTES_MAX, SEGMENT_MARKS_MAX, type Lsn, type SegmentMark } from '../records/record.ts'

const FIXED_BYTES = 40
const MARK_FIXED_BYTES = 20
const TRAILER_BYTES = 8
const TRAILER_MAGIC = 0x4c_41_45_53

/** The largest frame a seal can be: marks are bounded in number and length. */
export const SEAL_BYTES_MAX: number =
  FRAME_HEADER_BYTES +
  FIXED_BYTES +
  SEGMENT_MARKS_MAX * (MARK_FIXED_BYTES + MARK_BYTES_MAX) +
  2 * TRAILER_BYTES

/** What a seal says about its segment. */
export interface Seal {
  /** Length of the file, the seal included. */
  readonly segmentBytes: number
  readonly records: number
  /** 0 when the segment has no record. */
  readonly firstCommittedAtUs: number
  /** 0 when the segment has no record. */
  readonly lastCommittedAtUs: number
  /** CRC-32 over the frame headers before the seal, in order, seeded with the segment header's checksum. */
  readonly chain: number
  readonly marks: readonly SegmentMark[]
}

/** The seal as a whole frame. `nextLsn` is the LSN after the segment's last record. */
export function encodeSeal(
  seal: Omit<Seal, 'segmentBytes'>,
  place: { position: number; nextLsn: Lsn; seed: number },
): { frame: Buffer; checksum: number } {
  const names = seal.marks.map((mark) => Buffer.from(mark.name, 'utf8'))
  const used = FIXED_BYTES + names.reduce((sum, name) => sum + MARK_FIXED_BYTES + name.length, 0)
  const payloadBytes = Math.ceil(used / 8) * 8 + TRAILER_BYTES
  const frame = Buffer.alloc(frameBytes(payloadBytes))
  const payload = frame.subarray(FRAME_HEADER_BYTES)
  writeU64(payload, place.position + frame.length, 0)
  writeU64(payload, seal.records, 8)
  writeU64(payload, seal.firstCommittedAtUs, 16)
  writeU64(payload, seal.lastCommittedAtUs, 24)
  writeU32(payload, seal.chain, 32)
  writeU32(payload, seal.marks.length, 36)
  let position = FIXED_BYTES
  for (const [index, mark] of seal.marks.entries()) {
    // v8 ignore next -- there is a name for each mark
    const name = names[index] ?? Buffer.alloc(0)
    writeU64(payload, mark.lsn, position)
    writeU64(payload, mark.committedAtUs, position + 8)
    writeU32(payload, name.length, position + 16)
    name.copy(payload, position + MARK_FIXED_BYTES)
    position += MARK_FIXED_BYTES + name.length
  }
  writeU32(payload, frame.length, payloadBytes - 8)
  writeU32(payload, TRAILER_MAGIC, payloadBytes - 4)
  const checksum = sealFrameHeader(frame, place.seed, {
    type: FRAME_SEAL,
    payloadBytes,
    records: 0,
    firstLsn: place.nextLsn,
    // A seal is written only after everything before it was synced.
    durableLsn: place.nextLsn - 1,
    committedAtUs: seal.lastCommittedAtUs,
  })
  return { frame, checksum }
}

/** The seal in a payload whose checksum holds; a string says what contradicts itself. */
export function decodeSeal(payload: Buffer): Seal | string {
  if (payload.length < FIXED_BYTES + TRAILER_BYTES) return 'the seal is too short'
  const marks: SegmentMark[] = []
  const count = payload.readUInt32LE(36)
  const end = payload.length - TRAILER_BYTES
  if (count > SEGMENT_MARKS_MAX) return 'the seal has too many marks'
  let position = FIXED_BYTES
  for (let index = 0; index < count; index += 1) {
    if (position + MARK_FIXED_BYTES > end) return 'a mark begins beyond the seal'
    const begin = position + MARK_FIXED_BYTES
    const bytes = payload.readUInt32LE(position + 16)
    if (begin + bytes > end) return 'a mark ends beyond the seal'
    const name = payload.toString('utf8', begin, begin + bytes)
    marks.push({ name, lsn: readU64(payload, position), committedAtUs: readU64(payload, position + 8) })
    position = begin + bytes
  }
  const seal: Seal = {
    segmentBytes: readU64(payload, 0),
    records: readU64(payload, 8),
    firstCommittedAtUs: readU64(payload, 16),
    lastCommittedAtUs: readU64(payload, 24),
    chain: payload.readUInt32LE(32),
    marks,
  }
  const own = [seal.segmentBytes, seal.records, seal.firstCommittedAtUs, seal.lastCommittedAtUs]
  const numbers = [...own, ...marks.flatMap(({ lsn, committedAtUs }) => [lsn, committedAtUs])]
  return numbers.every(Number.isSafeInteger) ? seal : 'the seal has a number out of range'
}

/** The length of the seal frame that the last eight bytes of a file speak of; `undefined` when they do not. */
export function sealBytesFromTrailer(trailer: Buffer): number | undefined {
  if (trailer.length !== TRAILER_BYTES || trailer.readUInt32LE(4) !== TRAILER_MAGIC) return undefined
  const bytes = trailer.readUInt32LE(0)
  return bytes > FRAME_HEADER_BYTES && bytes <= SEAL_BYTES_MAX && bytes % 8 === 0 ? bytes : undefined
}
