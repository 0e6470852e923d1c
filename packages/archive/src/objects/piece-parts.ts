// FORMAT.md#bundles. A bundle is read while it grows, and after any crash: what stands behind its last whole part says nothing.
import { crc32 } from 'node:zlib'

export const PART_HEAD_BYTES = 160
const MAGIC = Buffer.from('TLBUNDLE', 'latin1')
const FORMAT_VERSION = 1
const NAME_AT = 32
/** Every name of a piece has this length. */
const NAME_BYTES = 109
const CRC_AT = 156

/** A piece in a bundle. */
export interface PiecePart {
  /** Of the piece. */
  readonly name: string
  /** Where its object begins in the bundle, and its length; a head of `PART_HEAD_BYTES` stands before it. */
  readonly position: number
  readonly bytes: number
}

/** A part of an object, in bytes. */
export interface PartPlace {
  /** The object. */
  readonly name: string
  readonly position: number
  readonly bytes: number
}

/** A part without a piece, which only says that those before it were flushed. */
export function encodeEnd(position: number): Buffer {
  return encodePart('', position, Buffer.alloc(0))
}

/** A part as it is appended at `position`: the object of a piece, its head before it. */
export function encodePart(name: string, position: number, object: Uint8Array): Buffer {
  const part = Buffer.alloc(PART_HEAD_BYTES + object.length)
  MAGIC.copy(part, 0)
  part.writeUInt16LE(FORMAT_VERSION, 8)
  part.writeBigUInt64LE(BigInt(position), 16)
  part.writeUInt32LE(object.length, 24)
  part.writeUInt32LE(crc32(object), 28)
  part.write(name, NAME_AT, NAME_BYTES, 'latin1')
  part.writeUInt32LE(crc32(part.subarray(0, CRC_AT)), CRC_AT)
  part.set(object, PART_HEAD_BYTES)
  return part
}

/**
 * The parts of a bundle's bytes from `position` on, where the last whole one ends, and whether one before it has no head any more. A part that is not whole counts only when
 * another one stands behind it: it was flushed before that one was written, so that it is damaged, and whoever reads it is told.
 */
export function decodeParts(
  content: Buffer,
  position: number,
): { readonly parts: readonly PiecePart[]; readonly endPosition: number; readonly isDamaged: boolean } {
  const parts: PiecePart[] = []
  let endPosition = position
  let isDamaged = false
  let expected = 0
  let doubtful: PiecePart | undefined
  for (let at = headFrom(content, 0, position); at !== undefined;) {
    isDamaged ||= at !== expected
    const begin = at + PART_HEAD_BYTES
    const bytes = content.readUInt32LE(at + 24)
    if (doubtful !== undefined) parts.push(doubtful)
    doubtful = undefined
    const object = content.subarray(begin, begin + bytes)
    const name = content.toString('latin1', at + NAME_AT, at + NAME_AT + NAME_BYTES)
    const part = { name, position: position + begin, bytes }
    if (object.length === bytes && crc32(object) === content.readUInt32LE(at + 28)) {
      if (bytes > 0) parts.push(part)
      endPosition = position + begin + bytes
    } else doubtful = part
    // Nothing whole can begin within a part but what its own content holds, which has another place in its head.
    expected = begin + bytes
    at = headFrom(content, Math.min(expected, content.length), position)
  }
  return { parts, endPosition, isDamaged }
}

/** Where the next head stands that belongs where it stands; `undefined` when there is none. */
function headFrom(content: Buffer, from: number, position: number): number | undefined {
  for (let at = content.indexOf(MAGIC, from); at >= 0; at = content.indexOf(MAGIC, at + 1)) {
    if (at + PART_HEAD_BYTES > content.length) return undefined
    const isHead =
      content.readUInt32LE(at + CRC_AT) === crc32(content.subarray(at, at + CRC_AT)) &&
      content.readUInt16LE(at + 8) === FORMAT_VERSION &&
      content.readBigUInt64LE(at + 16) === BigInt(position + at)
    if (isHead) return at
  }
  return undefined
}
