// Inputs out of valid ones. Model: damage is what a device, a foreign program or an enemy with a hex editor does: flipped
// bits, numbers set to the values at which code goes wrong, cut ends, stretches doubled, removed or taken from another input;
// in JSON, members replaced by what a careless reader believes; in MessagePack, lengths and depths that promise more than
// there is. One input is a function of seed, decoder and index alone, so that it can be made again without those before it.
import type { Random } from '@timberline/wal/testing'

const NUMBERS: readonly number[] = [
  0,
  1,
  2,
  7,
  8,
  0x7f,
  0x80,
  0xff,
  0x7fff,
  0xffff,
  0x7fffffff,
  0x80000000,
  0xfffffff0,
  0xffffffff,
  2 ** 48,
  Number.MAX_SAFE_INTEGER - 1,
  Number.MAX_SAFE_INTEGER,
  2 ** 53,
  2 ** 63,
]

/** Damages a copy of `seed` one to four times. */
export function mutateBytes(seed: Uint8Array, others: readonly Uint8Array[], random: Random): Buffer {
  let bytes: Buffer = Buffer.from(seed)
  for (let times = 1 + random.integer(4); times > 0; times -= 1) {
    const mutator = MUTATORS[random.integer(MUTATORS.length)] ?? flipBit
    bytes = mutator(bytes, random, others)
  }
  return bytes
}

type Mutator = (bytes: Buffer, random: Random, others: readonly Uint8Array[]) => Buffer

const MUTATORS: readonly Mutator[] = [
  flipBit,
  flipBit,
  setByte,
  setNumber,
  setNumber,
  setNumber,
  (bytes, random) => bytes.subarray(0, random.integer(bytes.length + 1)),
  (bytes, random) => Buffer.concat([bytes, randomBytes(random.integer(64), random)]),
  (bytes, random) => Buffer.concat([bytes, Buffer.alloc(random.integer(256))]),
  function remove(bytes, random) {
    const [begin, end] = range(bytes, random)
    return Buffer.concat([bytes.subarray(0, begin), bytes.subarray(end)])
  },
  function double(bytes, random) {
    const [begin, end] = range(bytes, random)
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(begin)])
  },
  function splice(bytes, random, others) {
    const other = Buffer.from(others[random.integer(others.length)] ?? bytes)
    const [begin, end] = range(other, random)
    const at = random.integer(bytes.length + 1)
    const rest = random.chance(0.5) ? at : Math.min(bytes.length, at + end - begin)
    return Buffer.concat([bytes.subarray(0, at), other.subarray(begin, end), bytes.subarray(rest)])
  },
  function overwrite(bytes, random) {
    const [begin, end] = range(bytes, random)
    bytes.set(random.chance(0.3) ? Buffer.alloc(end - begin) : randomBytes(end - begin, random), begin)
    return bytes
  },
]

function flipBit(bytes: Buffer, random: Random): Buffer {
  const at = random.integer(bytes.length)
  if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(8))
  return bytes
}

function setByte(bytes: Buffer, random: Random): Buffer {
  if (bytes.length > 0) bytes[random.integer(bytes.length)] = random.integer(256)
  return bytes
}

/** A number field of some width at some place; every format here is little-endian but MessagePack and Snappy's varints. */
function setNumber(bytes: Buffer, random: Random): Buffer {
  const width = [1, 2, 4, 8][random.integer(4)] ?? 4
  if (bytes.length < width) return bytes
  // Fields lie at multiples of their width, mostly.
  const places = Math.floor(bytes.length / width)
  const at = random.chance(0.8) ? random.integer(places) * width : random.integer(bytes.length - width + 1)
  const near = bytes.length + random.integer(9) - 4
  const value = random.chance(0.25) ? Math.max(0, near) : (NUMBERS[random.integer(NUMBERS.length)] ?? 0)
  const field = Buffer.alloc(8)
  if (random.chance(0.75)) field.writeBigUInt64LE(BigInt(value))
  else field.writeBigUInt64LE(BigInt.asUintN(64, -BigInt(value) - 1n))
  const wide = field.subarray(0, width)
  bytes.set(random.chance(0.2) ? wide.toReversed() : wide, at)
  return bytes
}

function range(bytes: Buffer, random: Random): [number, number] {
  const begin = random.integer(bytes.length + 1)
  const most = random.chance(0.7) ? 24 : bytes.length
  return [begin, Math.min(bytes.length, begin + random.integer(most + 1))]
}

/** Bytes of no meaning. */
export function randomBytes(count: number, random: Random): Buffer {
  return Buffer.from(Array.from({ length: count }, () => random.integer(256)))
}

const HOSTILE_HEADS: readonly (readonly number[])[] = [
  [0xdd, 0xff, 0xff, 0xff, 0xff],
  [0xdf, 0xff, 0xff, 0xff, 0xff],
  [0xdf, 0x80, 0, 0, 0],
  [0xdc, 0xff, 0xff],
  [0xde, 0xff, 0xff],
  [0xc6, 0xff, 0xff, 0xff, 0xff],
  [0xc6, 0x7f, 0xff, 0xff, 0xff],
  [0xdb, 0xff, 0xff, 0xff, 0xff],
  [0xc5, 0xff, 0xff],
  [0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xc1],
  [0xd4, 0x00, 0x00],
  [0xd4, 0x72, 0x40],
  [0xd6, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xc7, 12, 0xff, ...Array.from({ length: 12 }, () => 0xff)],
  [0x81, 0xa9, ...Buffer.from('__proto__'), 0x81, 0xa1, 0x61, 0x01],
  [0x82, 0x91, 0x01, 0x01, 0xc0, 0x02],
  // Extensions of one library: a regular expression, a set, an error, a typed array, a big integer, a reference.
  [0xc7, 5, 0x78, 0x92, 0xa1, 0x61, 0xa1, 0x67],
  [0xd4, 0x73, 0x90],
  [0xc7, 5, 0x65, 0x92, 0xa1, 0x61, 0xa1, 0x62],
  [0xd5, 0x74, 0x01, 0x00],
  [0xd6, 0x42, 0xff, 0xff, 0xff, 0xff],
  [0xd6, 0x69, 0x00, 0x00, 0x00, 0x01, 0x90],
]

/** A MessagePack head that promises what is not there, or a depth beyond all bounds, somewhere in a valid input. */
export function mutateMessagePack(seed: Uint8Array, random: Random): Buffer {
  const bytes = Buffer.from(seed)
  const at = random.integer(bytes.length + 1)
  const rest = bytes.subarray(Math.min(bytes.length, at + random.integer(3)))
  const head = random.chance(0.3)
    ? Buffer.alloc(1 + random.integer(random.chance(0.2) ? 30_000 : 80), random.chance(0.5) ? 0x91 : 0x81)
    : Buffer.from(HOSTILE_HEADS[random.integer(HOSTILE_HEADS.length)] ?? [])
  return Buffer.concat([bytes.subarray(0, at), head, rest])
}
