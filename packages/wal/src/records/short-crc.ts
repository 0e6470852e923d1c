/**
 * CRC-32 of a range of a buffer, as zlib's `crc32` gives it. A call of zlib's costs as much as the sum of some 200 bytes does here, and the
 * header of a frame has 40: who reads a log of small frames would spend most of its time on calling.
 */
import { crc32 } from 'node:zlib'

/** From here on the call is worth it, in bytes. */
const LONG_BYTES = 256

/** For eight bytes at a time: table t holds the sum of a byte that has t zeros behind it. */
const TABLES: Int32Array = makeTables()

/** Bytes of a buffer from `begin` to before `end`. */
export interface ByteRange {
  readonly begin: number
  readonly end: number
}

/** The sum of a range, computed on from `seed` as if that were the sum of bytes before it. */
export function crcOfRange(bytes: Buffer, { begin, end }: ByteRange, seed: number): number {
  if (end - begin >= LONG_BYTES) return crc32(bytes.subarray(begin, end), seed)
  return shortCrc(bytes, begin, end, seed)
}

// oxlint-disable-next-line max-params -- an object for the range would be made for each of thousands of headers
function shortCrc(bytes: Buffer, begin: number, end: number, seed: number): number {
  const tables = TABLES
  let sum = ~seed
  let at = begin
  // Written out: until the compiler comes to this loop, each call in it would cost more than what it computes.
  for (; at + 8 <= end; at += 8) {
    sum =
      (tables[1792 + ((sum ^ (bytes[at] as number)) & 255)] as number) ^
      (tables[1536 + (((sum >>> 8) ^ (bytes[at + 1] as number)) & 255)] as number) ^
      (tables[1280 + (((sum >>> 16) ^ (bytes[at + 2] as number)) & 255)] as number) ^
      (tables[1024 + ((sum >>> 24) ^ (bytes[at + 3] as number))] as number) ^
      (tables[768 + (bytes[at + 4] as number)] as number) ^
      (tables[512 + (bytes[at + 5] as number)] as number) ^
      (tables[256 + (bytes[at + 6] as number)] as number) ^
      (tables[bytes[at + 7] as number] as number)
  }
  for (; at < end; at += 1) sum = (sum >>> 8) ^ (tables[(sum ^ (bytes[at] as number)) & 255] as number)
  return ~sum >>> 0
}

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let sum = byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ ((sum & 1) === 1 ? 0xedb88320 : 0)
    tables[byte] = sum
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] as number
    tables[at] = (before >>> 8) ^ (tables[before & 255] as number)
  }
  return tables
}
