/**
 * The records of LevelDB's log files, of which the MANIFEST is one: blocks of 32 KiB, in them fragments with a header of seven
 * bytes, a record being one fragment or several. Whoever reads a live file must tell a record that is being written, cut by the
 * end of the file, from damage: LevelDB appends in order, so a fragment that is there whole with a wrong checksum is no half
 * write.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
import { crc32c, maskCrc } from './leveldb-crc.ts'

/**
 * What follows the whole records of a file: nothing or zeros written ahead (`end`), a record cut by the end of the file (`torn`), or
 * what LevelDB never wrote there (`damaged`).
 */
export type LeveldbTail = 'end' | 'torn' | 'damaged'

/** A piece of a record inside one block. */
export interface LeveldbFragment {
  readonly isFirst: boolean
  readonly isLast: boolean
  readonly data: Buffer
  readonly endBytes: number
}

/** Length of a block. */
export const BLOCK_BYTES: number = 32 * 1024
/** Length of what precedes a fragment's data. */
export const HEADER_BYTES: number = 7
const FULL = 1
const FIRST = 2
const MIDDLE = 3
const LAST = 4

/** The fragment at `position`; `bytes` begin at the beginning of a block. */
export function fragmentAt(bytes: Buffer, position: number): LeveldbFragment | LeveldbTail {
  const blockLeft = BLOCK_BYTES - (position % BLOCK_BYTES)
  // Too little left in a block for a header: LevelDB has padded it with zeros.
  const at = blockLeft < HEADER_BYTES ? position + blockLeft : position
  if (at >= bytes.length) return 'end'
  if (at + HEADER_BYTES > bytes.length) return isZero(bytes.subarray(at)) ? 'end' : 'torn'
  const dataBytes = bytes.readUInt16LE(at + 4)
  const type = bytes.readUInt8(at + 6)
  const end = at + HEADER_BYTES + dataBytes
  if (type < FULL || type > LAST) return isZero(bytes.subarray(at)) ? 'end' : 'damaged'
  if ((at % BLOCK_BYTES) + HEADER_BYTES + dataBytes > BLOCK_BYTES) return 'damaged'
  if (end > bytes.length) return 'torn'
  // The checksum covers the type byte and the data.
  if (maskCrc(crc32c(bytes.subarray(at + 6, end))) !== bytes.readUInt32LE(at)) return 'damaged'
  return {
    isFirst: type === FULL || type === FIRST,
    isLast: type === FULL || type === LAST,
    data: bytes.subarray(at + HEADER_BYTES, end),
    endBytes: end,
  }
}

/** The record that begins at `position`, whose fragments may lie in several blocks. */
export function recordAt(
  bytes: Buffer,
  position: number,
): { readonly data: Buffer; readonly endBytes: number } | LeveldbTail {
  const parts: Buffer[] = []
  for (let at = position; ;) {
    const fragment = fragmentAt(bytes, at)
    if (typeof fragment === 'string') return fragment === 'end' && parts.length > 0 ? 'torn' : fragment
    if (fragment.isFirst !== (parts.length === 0)) return 'damaged'
    parts.push(fragment.data)
    at = fragment.endBytes
    if (fragment.isLast) return { data: join(parts), endBytes: at }
  }
}

/** The bytes of a record that is to begin at `position` of a file, which is where the one before ends. */
export function encodeRecord(data: Buffer, position: number): Buffer {
  const parts: Buffer[] = []
  let at = position
  let left = data
  do {
    const blockLeft = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (blockLeft < HEADER_BYTES) {
      parts.push(Buffer.alloc(blockLeft))
      at += blockLeft
      continue
    }
    const piece = left.subarray(0, blockLeft - HEADER_BYTES)
    const isFirst = left === data
    left = left.subarray(piece.length)
    const type = isFirst ? (left.length === 0 ? FULL : FIRST) : left.length === 0 ? LAST : MIDDLE
    const fragment = Buffer.concat([Buffer.alloc(HEADER_BYTES), piece])
    fragment.writeUInt16LE(piece.length, 4)
    fragment.writeUInt8(type, 6)
    fragment.writeUInt32LE(maskCrc(crc32c(fragment.subarray(6))), 0)
    parts.push(fragment)
    at += fragment.length
  } while (left.length > 0)
  return Buffer.concat(parts)
}

/** Whether there is nothing but zeros. */
export function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

function join(parts: readonly Buffer[]): Buffer {
  const [first] = parts
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts)
}
