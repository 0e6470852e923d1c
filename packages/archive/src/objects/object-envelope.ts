// FORMAT.md#object
import { crc32 } from 'node:zlib'
import { archiveError } from '../errors.ts'

export const ENVELOPE_BYTES = 64
const MAGIC = Buffer.from('TLOBJECT', 'latin1')
const FORMAT_VERSION = 1
const CRC_AT = 28

/** How the content of an object is coded; ids are part of the format. */
export const CODECS = { none: 0, gzip: 1 } as const
export type CodecName = keyof typeof CODECS

/** What an object's header says. */
export interface Envelope {
  readonly codec: CodecName
  /** Length and checksum of the content before it was coded. */
  readonly bytes: number
  readonly sha256: string
}

/** The header of an object that is stored under this name. */
export function encodeEnvelope(name: string, { codec, bytes, sha256 }: Envelope): Buffer {
  const header = Buffer.alloc(ENVELOPE_BYTES)
  MAGIC.copy(header, 0)
  header.writeUInt16LE(FORMAT_VERSION, 8)
  header.writeUInt8(CODECS[codec], 10)
  header.writeBigUInt64LE(BigInt(bytes), 16)
  header.writeUInt32LE(crc32(Buffer.from(name)), 24)
  header.write(sha256, 32, 'hex')
  header.writeUInt32LE(headerChecksum(header), CRC_AT)
  return header
}

/** @throws ARCHIVE_OBJECT_DAMAGED, ARCHIVE_FORMAT */
export function decodeEnvelope(name: string, header: Buffer): Envelope {
  if (header.length < ENVELOPE_BYTES) throw objectDamaged(name, 'it is shorter than a header')
  if (!header.subarray(0, MAGIC.length).equals(MAGIC))
    throw objectDamaged(name, 'it does not begin like an object')
  if (header.readUInt32LE(CRC_AT) !== headerChecksum(header)) {
    throw objectDamaged(name, 'its header does not match its checksum')
  }
  const version = header.readUInt16LE(8)
  const codec = header.readUInt8(10)
  // Version and codec come after the checksum: a flipped bit in them is damage, not a newer release.
  if (version !== FORMAT_VERSION || codec > CODECS.gzip) {
    throw archiveError('ARCHIVE_FORMAT', 'an object was written by another release', {
      details: { name, version, codec },
    })
  }
  if (header.readUInt32LE(24) !== crc32(Buffer.from(name)))
    throw objectDamaged(name, 'it belongs under another name')
  const bytes = header.readBigUInt64LE(16)
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw objectDamaged(name, 'its length is impossible')
  return {
    codec: codec === CODECS.none ? 'none' : 'gzip',
    bytes: Number(bytes),
    sha256: header.toString('hex', 32, 64),
  }
}

/** The error for an object that is not what was put there. */
export function objectDamaged(name: string, reason: string, cause?: unknown): Error {
  return archiveError('ARCHIVE_OBJECT_DAMAGED', `an object is damaged, ${reason}`, {
    details: { name },
    cause,
  })
}

function headerChecksum(header: Buffer): number {
  return crc32(header.subarray(32, ENVELOPE_BYTES), crc32(header.subarray(0, CRC_AT)))
}
