// Layout: FORMAT.md#frame.
import { crc32 } from 'node:zlib'
import { readU32, readU64, writeU32, writeU64 } from './little-endian.ts'
import { kindOf, RECORD_BYTES_LIMIT, type LogRecord, type Lsn } from './record.ts'
import { crcOfRange } from './short-crc.ts'

export const FRAME_HEADER_BYTES = 40
export const RECORD_HEADER_BYTES = 16
/** Frames begin at multiples of this. */
export const FRAME_ALIGNMENT = 8
export const GROUP_RECORDS_MAX = 65_535
/** The largest payload a reader accepts: one record of the largest size, or a full group. */
export const FRAME_PAYLOAD_BYTES_MAX: number = RECORD_BYTES_LIMIT + RECORD_HEADER_BYTES

export const FRAME_GROUP = 1
export const FRAME_SEAL = 2
export const FRAME_FENCE = 3

const NO_BYTES: Buffer = Buffer.alloc(FRAME_HEADER_BYTES)

/** A frame's header; `type` is one of `FRAME_GROUP`, `FRAME_SEAL` and `FRAME_FENCE`. */
export interface FrameHeader {
  readonly type: number
  readonly checksum: number
  readonly payloadChecksum: number
  readonly payloadBytes: number
  readonly records: number
  readonly firstLsn: Lsn
  /** All records up to here were durable when this frame was written. */
  readonly durableLsn: Lsn
  /** Of the first record; for a seal or fence that of the last record before it, 0 when there is none. */
  readonly committedAtUs: number
}

/** Length of the whole frame in the file, padding included. */
export function frameBytes(payloadBytes: number): number {
  return FRAME_HEADER_BYTES + Math.ceil(payloadBytes / FRAME_ALIGNMENT) * FRAME_ALIGNMENT
}

/**
 * Completes a frame laid out in `frame`: the payload stands behind the space of the header, padded with zeros. `seed` is the
 * segment header's checksum, so that a frame of another segment never parses.
 */
export function sealFrameHeader(
  frame: Buffer,
  seed: number,
  header: Omit<FrameHeader, 'checksum' | 'payloadChecksum'>,
): number {
  const payload = frame.subarray(FRAME_HEADER_BYTES)
  writeU32(frame, crc32(payload, seed), 4)
  writeU32(frame, header.payloadBytes, 8)
  frame[12] = header.records
  frame[13] = header.records >>> 8
  frame[14] = header.type
  frame[15] = 0
  writeU64(frame, header.firstLsn, 16)
  writeU64(frame, header.durableLsn, 24)
  writeU64(frame, header.committedAtUs, 32)
  const checksum = crc32(frame.subarray(4, FRAME_HEADER_BYTES), seed)
  writeU32(frame, checksum, 0)
  return checksum
}

/** A header whose checksum and bounds hold; `undefined` for anything else, whatever the bytes are. */
export function decodeFrameHeader(bytes: Buffer, position: number, seed: number): FrameHeader | undefined {
  const type = bytes[position + 14]
  // Cheap refusals first: the search for later frames asks this at every eighth byte.
  if (type === undefined || type < FRAME_GROUP || type > FRAME_FENCE || bytes[position + 15] !== 0)
    return undefined
  if (position + FRAME_HEADER_BYTES > bytes.length) return undefined
  const checksum = readU32(bytes, position)
  if (checksum !== crcOfRange(bytes, { begin: position + 4, end: position + FRAME_HEADER_BYTES }, seed))
    return undefined
  const header: FrameHeader = {
    type,
    checksum,
    payloadChecksum: readU32(bytes, position + 4),
    payloadBytes: readU32(bytes, position + 8),
    records: bytes.readUInt16LE(position + 12),
    firstLsn: readU64(bytes, position + 16),
    durableLsn: readU64(bytes, position + 24),
    committedAtUs: readU64(bytes, position + 32),
  }
  return isPlausible(header) ? header : undefined
}

function isPlausible(header: FrameHeader): boolean {
  const { type, records, payloadBytes } = header
  const { firstLsn, durableLsn, committedAtUs } = header
  if (!Number.isSafeInteger(firstLsn) || !Number.isSafeInteger(durableLsn)) return false
  if (!Number.isSafeInteger(committedAtUs)) return false
  if (firstLsn < 1 || durableLsn >= firstLsn) return false
  if (payloadBytes > FRAME_PAYLOAD_BYTES_MAX) return false
  if (type === FRAME_GROUP) return records > 0 && payloadBytes >= records * RECORD_HEADER_BYTES
  return records === 0 && (type === FRAME_SEAL ? payloadBytes > 0 : payloadBytes === 0)
}

/** Whether the whole frame at `position` (header decoded, all bytes present) has the payload its header speaks of. */
export function payloadMatches(
  bytes: Buffer,
  position: number,
  frame: { header: FrameHeader; seed: number },
): boolean {
  const begin = position + FRAME_HEADER_BYTES
  const end = position + frameBytes(frame.header.payloadBytes)
  return crcOfRange(bytes, { begin, end }, frame.seed) === frame.header.payloadChecksum
}

/** Whether a frame header's place holds only zeros: space written ahead, not yet used. */
export function isZeroHeader(bytes: Buffer, position: number): boolean {
  return bytes.compare(NO_BYTES, 0, FRAME_HEADER_BYTES, position, position + FRAME_HEADER_BYTES) === 0
}

/**
 * The records of a group whose checksums hold; a string says what contradicts itself. Payloads are views of `payload`, so
 * the caller hands over a buffer it will not use again.
 */
export function decodeGroup(header: FrameHeader, payload: Buffer): LogRecord[] | string {
  const records: LogRecord[] = []
  let position = 0
  let previousUs = header.committedAtUs - 1
  for (let index = 0; index < header.records; index += 1) {
    if (position + RECORD_HEADER_BYTES > payload.length) return 'a record begins beyond its group'
    const kind = kindOf(readU32(payload, position + 4))
    const committedAtUs = readU64(payload, position + 8)
    const begin = position + RECORD_HEADER_BYTES
    const end = begin + readU32(payload, position)
    if (kind === undefined) return 'a record has an unknown kind'
    if (end > payload.length) return 'a record ends beyond its group'
    if (!Number.isSafeInteger(committedAtUs) || committedAtUs <= previousUs)
      return 'commit times do not increase'
    if (index === 0 && committedAtUs !== header.committedAtUs)
      return 'the first commit time differs from the header'
    previousUs = committedAtUs
    position = end
    records.push({
      lsn: header.firstLsn + index,
      committedAtUs,
      kind,
      payload: payload.subarray(begin, end),
    })
  }
  return position === payload.length ? records : 'bytes are left over behind the last record'
}
