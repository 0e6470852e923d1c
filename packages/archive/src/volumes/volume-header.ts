// FORMAT.md#volumes: the head of one volume.
import { crc32 } from 'node:zlib'
import { archiveError } from '../errors.ts'

/** A page of a volume, in bytes of content before compression. */
export const VOLUME_PAGE_BYTES: number = 8192
/** The smallest number of pages that volumes may be limited to. */
export const VOLUME_PAGES_MIN: number = 100
/** The largest: 128 GiB of content. */
export const VOLUME_PAGES_MAX: number = 16_777_216
/** Content that is compressed at once, so that any place of a volume can be read without what stands before it. */
export const VOLUME_BLOCK_BYTES: number = 1024 * 1024
export const VOLUME_HEADER_BYTES = 128
/** The most volumes that one parity volume may stand for. */
export const PARITY_MAX: number = 255

const MAGIC = Buffer.from('TLVOLUME', 'latin1')
const FORMAT_VERSION = 1
const CRC_AT = 92
const SHA256_AT = 96
const LAST_OF_CALL = 1

/** What the head of a volume says. */
export interface VolumeHeader {
  /** 32 hex digits, random for each series. */
  readonly seriesId: string
  /** Counts through the series, from 1. */
  readonly volume: number
  /** The call of the series that wrote it, from 1. */
  readonly call: number
  /** The first volume of that call. */
  readonly callFirstVolume: number
  readonly isLastOfCall: boolean
  /** Pages that a volume of this series holds at most. */
  readonly volumePages: number
  /** Volumes for each parity volume; 0 = none. */
  readonly parity: number
  /** Its first page, counted through the series from 0. */
  readonly firstPage: number
  readonly pages: number
  /** In the last volume of a call, where the call's index stands in the stream of the series, in bytes; else 0. */
  readonly indexAt: number
  readonly indexBytes: number
  /** Length of the file. */
  readonly fileBytes: number
  /** Checksum of the blocks, followed by the table of their lengths. */
  readonly sha256: string
}

/** Blocks that so many pages are compressed as. */
export function blockCount(pages: number): number {
  return Math.ceil((pages * VOLUME_PAGE_BYTES) / VOLUME_BLOCK_BYTES)
}

/** Where the blocks begin: behind the header and a table with room for a whole volume. */
export function blocksAt(volumePages: number): number {
  return VOLUME_HEADER_BYTES + 4 * blockCount(volumePages)
}

/** The first 128 bytes of a volume. */
export function encodeVolumeHeader(header: VolumeHeader): Buffer {
  const bytes = Buffer.alloc(VOLUME_HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt16LE(FORMAT_VERSION, 8)
  bytes.writeUInt16LE(header.isLastOfCall ? LAST_OF_CALL : 0, 10)
  bytes.write(header.seriesId, 16, 'hex')
  bytes.writeUInt32LE(header.volume, 32)
  bytes.writeUInt32LE(header.call, 36)
  bytes.writeUInt32LE(header.callFirstVolume, 40)
  bytes.writeUInt32LE(header.volumePages, 44)
  bytes.writeUInt32LE(header.parity, 48)
  bytes.writeUInt32LE(header.pages, 52)
  bytes.writeBigUInt64LE(BigInt(header.firstPage), 56)
  bytes.writeBigUInt64LE(BigInt(header.indexAt), 64)
  bytes.writeBigUInt64LE(BigInt(header.indexBytes), 72)
  bytes.writeBigUInt64LE(BigInt(header.fileBytes), 80)
  bytes.write(header.sha256, SHA256_AT, 'hex')
  bytes.writeUInt32LE(headerChecksum(bytes), CRC_AT)
  return bytes
}

/** @throws ARCHIVE_VOLUME_DAMAGED, ARCHIVE_FORMAT */
export function decodeVolumeHeader(name: string, bytes: Buffer): VolumeHeader {
  requireSound(name, bytes, MAGIC)
  const header: VolumeHeader = {
    seriesId: bytes.toString('hex', 16, 32),
    volume: bytes.readUInt32LE(32),
    call: bytes.readUInt32LE(36),
    callFirstVolume: bytes.readUInt32LE(40),
    isLastOfCall: bytes.readUInt16LE(10) === LAST_OF_CALL,
    volumePages: bytes.readUInt32LE(44),
    parity: bytes.readUInt32LE(48),
    pages: bytes.readUInt32LE(52),
    firstPage: readCount(name, bytes, 56),
    indexAt: readCount(name, bytes, 64),
    indexBytes: readCount(name, bytes, 72),
    fileBytes: readCount(name, bytes, 80),
    sha256: bytes.toString('hex', SHA256_AT, SHA256_AT + 32),
  }
  const complaint = complaintAbout(header)
  if (complaint !== undefined) throw volumeDamaged(name, complaint)
  return header
}

/**
 * Refuses a head that is cut, of another kind, or does not match its checksum; then one of another release.
 *
 * @throws ARCHIVE_VOLUME_DAMAGED, ARCHIVE_FORMAT
 */
export function requireSound(name: string, bytes: Buffer, magic: Buffer): void {
  if (bytes.length < VOLUME_HEADER_BYTES) throw volumeDamaged(name, 'it is shorter than a header')
  if (!bytes.subarray(0, magic.length).equals(magic))
    throw volumeDamaged(name, 'it does not begin like a volume')
  if (bytes.readUInt32LE(CRC_AT) !== headerChecksum(bytes))
    throw volumeDamaged(name, 'its header does not match its checksum')
  const version = bytes.readUInt16LE(8)
  if (version === FORMAT_VERSION) return
  throw archiveError('ARCHIVE_FORMAT', 'a volume was written by another release', {
    details: { name, version },
  })
}

/** CRC-32 of a header but for the checksum itself. */
export function headerChecksum(bytes: Buffer): number {
  return crc32(bytes.subarray(SHA256_AT, VOLUME_HEADER_BYTES), crc32(bytes.subarray(0, CRC_AT)))
}

/** @throws ARCHIVE_VOLUME_DAMAGED for a number that no file could have */
export function readCount(name: string, bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw volumeDamaged(name, 'a length in it is impossible')
  return Number(value)
}

/** The error for a volume that is not what was written. */
export function volumeDamaged(name: string, reason: string, cause?: unknown): Error {
  return archiveError('ARCHIVE_VOLUME_DAMAGED', `a volume is damaged, ${reason}`, {
    details: { name },
    cause,
  })
}

function complaintAbout(header: VolumeHeader): string | undefined {
  const { volume, call, callFirstVolume, volumePages, pages, parity } = header
  if (volumePages < VOLUME_PAGES_MIN || volumePages > VOLUME_PAGES_MAX)
    return `volumes of ${String(volumePages)} pages are none`
  if (pages < 1 || pages > volumePages) return `it holds ${String(pages)} pages of ${String(volumePages)}`
  if (call < 1 || callFirstVolume < call || volume < callFirstVolume)
    return 'its numbers contradict each other'
  if (parity > PARITY_MAX) return 'its parity is impossible'
  const isIndexed = header.indexBytes > 0
  const endsAt = (header.firstPage + pages) * VOLUME_PAGE_BYTES
  if (!Number.isSafeInteger(endsAt)) return 'its pages are impossible'
  if (isIndexed !== header.isLastOfCall) return 'an index is where none can be, or is missing'
  if (isIndexed && header.indexAt + header.indexBytes > endsAt) return 'its index lies behind its end'
  return header.fileBytes > blocksAt(volumePages) ? undefined : 'it is too short for its blocks'
}
