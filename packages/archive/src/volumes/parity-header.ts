// FORMAT.md#parity: the head of a parity volume.
import {
  headerChecksum,
  PARITY_MAX,
  readCount,
  requireSound,
  volumeDamaged,
  VOLUME_HEADER_BYTES,
} from './volume-header.ts'

const MAGIC = Buffer.from('TLPARITY', 'latin1')
const FORMAT_VERSION = 1
const CRC_AT = 92
const SHA256_AT = 96

/** What the head of a parity volume says. */
export interface ParityHeader {
  readonly seriesId: string
  readonly call: number
  /** The volumes that it stands for, both ends included. */
  readonly first: number
  readonly last: number
  /** Length of the file. */
  readonly fileBytes: number
  /** Checksum of everything behind the header. */
  readonly sha256: string
}

/** Where the combined bytes begin: behind the header and the lengths of the volumes. */
export function parityBodyAt({ first, last }: Pick<ParityHeader, 'first' | 'last'>): number {
  return VOLUME_HEADER_BYTES + 8 * (last - first + 1)
}

/** The first 128 bytes of a parity volume. */
export function encodeParityHeader(header: ParityHeader): Buffer {
  const bytes = Buffer.alloc(VOLUME_HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt16LE(FORMAT_VERSION, 8)
  bytes.write(header.seriesId, 16, 'hex')
  bytes.writeUInt32LE(header.first, 32)
  bytes.writeUInt32LE(header.call, 36)
  bytes.writeUInt32LE(header.last, 40)
  bytes.writeBigUInt64LE(BigInt(header.fileBytes), 80)
  bytes.write(header.sha256, SHA256_AT, 'hex')
  bytes.writeUInt32LE(headerChecksum(bytes), CRC_AT)
  return bytes
}

/** @throws ARCHIVE_VOLUME_DAMAGED, ARCHIVE_FORMAT */
export function decodeParityHeader(name: string, bytes: Buffer): ParityHeader {
  requireSound(name, bytes, MAGIC)
  const header: ParityHeader = {
    seriesId: bytes.toString('hex', 16, 32),
    call: bytes.readUInt32LE(36),
    first: bytes.readUInt32LE(32),
    last: bytes.readUInt32LE(40),
    fileBytes: readCount(name, bytes, 80),
    sha256: bytes.toString('hex', SHA256_AT, SHA256_AT + 32),
  }
  const { call, first, last, fileBytes } = header
  const isGroup = call >= 1 && first >= call && last >= first && last - first < PARITY_MAX
  if (!isGroup || fileBytes <= parityBodyAt(header))
    throw volumeDamaged(name, 'its numbers contradict each other')
  return header
}
