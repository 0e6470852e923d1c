const POLYNOMIAL = 0x82f63b78
const MASK_DELTA = 0xa282ead8

/** Eight tables, so that eight bytes are folded at a time: five times as fast as one. */
const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables()
const STRIDE = 8
/**
 * Two lengths of so many bytes are folded side by side, since each step of one has to wait for the step before: that is 1.4 times as fast. A block of a
 * table is twice as long, and a little more.
 */
const LANE_BYTES = 2048
/** What so many zeros behind it make of each byte of a checksum. */
const [Z0, Z1, Z2, Z3] = makeLaneTables()

/** CRC32C (Castagnoli) as LevelDB computes it; pass the checksum so far to go on with it. */
export function crc32c(bytes: Uint8Array, crcSoFar = 0): number {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.length
  let crc = ~crcSoFar
  let at = 0
  for (; at + 2 * LANE_BYTES <= end; at += 2 * LANE_BYTES) crc = foldLanes(words, at, crc)
  for (; at + STRIDE <= end; at += STRIDE) {
    crc = fold(crc ^ words.getInt32(at, true), words.getInt32(at + 4, true))
  }
  for (; at < end; at += 1) crc = wordAt(T0, (crc ^ words.getUint8(at)) & 0xff) ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The form in which LevelDB stores a checksum beside the data it covers. */
export function maskCrc(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0
}

/**
 * Two lanes that lie one behind the other. Written out, and the tables looked into without a call: there are too many for the compiler to take them all in,
 * and with one of them left it is no faster than one lane.
 */
function foldLanes(words: DataView, begin: number, crcSoFar: number): number {
  let first = crcSoFar
  let second = 0
  for (let at = begin; at < begin + LANE_BYTES; at += STRIDE) {
    const low = first ^ words.getInt32(at, true)
    const high = words.getInt32(at + 4, true)
    const otherLow = second ^ words.getInt32(at + LANE_BYTES, true)
    const otherHigh = words.getInt32(at + LANE_BYTES + 4, true)
    first =
      (T7[low & 0xff] as number) ^
      (T6[(low >>> 8) & 0xff] as number) ^
      (T5[(low >>> 16) & 0xff] as number) ^
      (T4[low >>> 24] as number) ^
      (T3[high & 0xff] as number) ^
      (T2[(high >>> 8) & 0xff] as number) ^
      (T1[(high >>> 16) & 0xff] as number) ^
      (T0[high >>> 24] as number)
    second =
      (T7[otherLow & 0xff] as number) ^
      (T6[(otherLow >>> 8) & 0xff] as number) ^
      (T5[(otherLow >>> 16) & 0xff] as number) ^
      (T4[otherLow >>> 24] as number) ^
      (T3[otherHigh & 0xff] as number) ^
      (T2[(otherHigh >>> 8) & 0xff] as number) ^
      (T1[(otherHigh >>> 16) & 0xff] as number) ^
      (T0[otherHigh >>> 24] as number)
  }
  return behindLane(first) ^ second
}

/** Eight bytes, the checksum so far in the first four. */
function fold(low: number, high: number): number {
  return (
    wordAt(T7, low & 0xff) ^
    wordAt(T6, (low >>> 8) & 0xff) ^
    wordAt(T5, (low >>> 16) & 0xff) ^
    wordAt(T4, low >>> 24) ^
    wordAt(T3, high & 0xff) ^
    wordAt(T2, (high >>> 8) & 0xff) ^
    wordAt(T1, (high >>> 16) & 0xff) ^
    wordAt(T0, high >>> 24)
  )
}

/** What a lane of zeros makes of a checksum. */
function behindLane(crc: number): number {
  return (
    wordAt(Z0, crc & 0xff) ^
    wordAt(Z1, (crc >>> 8) & 0xff) ^
    wordAt(Z2, (crc >>> 16) & 0xff) ^
    wordAt(Z3, crc >>> 24)
  )
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

function makeLaneTables(): readonly [Int32Array, Int32Array, Int32Array, Int32Array] {
  // Of each bit by itself: a checksum of several is the sum of theirs.
  const bits = Array.from({ length: 32 }, (_, bit) => {
    let crc = 1 << bit
    for (let bytes = 0; bytes < LANE_BYTES; bytes += STRIDE) crc = fold(crc, 0)
    return crc
  })
  const table = (lowest: number): Int32Array =>
    Int32Array.from({ length: 256 }, (_, byte) =>
      bits.reduce((crc, of, bit) => (bit >= lowest && (byte >>> (bit - lowest)) & 1 ? crc ^ of : crc), 0),
    )
  return [table(0), table(8), table(16), table(24)]
}

/** Within bounds by construction of the loops above. */
function wordAt(table: Int32Array, index: number): number {
  return table[index] as number
}
