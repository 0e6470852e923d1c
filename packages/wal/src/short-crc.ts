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
  let sum = ~seed
  let at = begin
  for (; at + 8 <= end; at += 8) {
    const low = sum ^ word(bytes, at)
    const high = word(bytes, at + 4)
    sum = four(low, 1024) ^ four(high, 0)
  }
  for (; at < end; at += 1) sum = (sum >>> 8) ^ sumAt(TABLES, (sum ^ byteAt(bytes, at)) & 255)
  return ~sum >>> 0
}

/** Four bytes, by single bytes, which the compiler inlines. */
function word(bytes: Buffer, at: number): number {
  return (
    byteAt(bytes, at) |
    (byteAt(bytes, at + 1) << 8) |
    (byteAt(bytes, at + 2) << 16) |
    (byteAt(bytes, at + 3) << 24)
  )
}

/** The part of four bytes in the sum; `tables` is the table of the last of them. */
function four(bytes: number, tables: number): number {
  return (
    sumAt(TABLES, tables + 768 + (bytes & 255)) ^
    sumAt(TABLES, tables + 512 + ((bytes >>> 8) & 255)) ^
    sumAt(TABLES, tables + 256 + ((bytes >>> 16) & 255)) ^
    sumAt(TABLES, tables + (bytes >>> 24))
  )
}

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let sum = byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ ((sum & 1) === 1 ? 0xedb88320 : 0)
    tables[byte] = sum
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = sumAt(tables, at - 256)
    tables[at] = (before >>> 8) ^ sumAt(tables, before & 255)
  }
  return tables
}

/** Within bounds by construction of the loops above. */
function sumAt(tables: Int32Array, index: number): number {
  return tables[index] as number
}

function byteAt(bytes: Buffer, index: number): number {
  return bytes[index] as number
}
