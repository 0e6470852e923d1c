/**
 * The filter of a table, by which LevelDB knows without a look that a key is not in a block: the one that classic-level opens its
 * databases with, 10 bits for each key.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */

import type { Bytes } from '../byte-copy.ts'

/** The name by which LevelDB finds it; with another filter it would leave it alone. */
export const FILTER_NAME = 'leveldb.BuiltinBloomFilter2'

const BITS_PER_KEY = 10
/** 10 · ln 2, rounded down as LevelDB does. */
const PROBES = 6
const BITS_MIN = 64
/** There is a filter for each 2 KiB of the table: that of the blocks that begin there. */
const RANGE_BITS = 11
const SEED = 0xbc9f1d34
const MULTIPLIER = 0xc6a4a793

/** Gathers the keys of a table, block by block. */
export class TableFilter {
  #hashes: Uint32Array = new Uint32Array(1024)
  #hashCount = 0
  #filters: Buffer = Buffer.alloc(64 * 1024)
  #used = 0
  readonly #offsets: number[] = []

  /** A key in the block that is being made. */
  add(content: Bytes, at: number, bytes: number): void {
    if (this.#hashCount === this.#hashes.length) {
      const wider = new Uint32Array(this.#hashCount * 2)
      wider.set(this.#hashes)
      this.#hashes = wider
    }
    this.#hashes[this.#hashCount] = hashOf(content, at, bytes)
    this.#hashCount += 1
  }

  /** The next block begins here. */
  beginBlock(position: number): void {
    const range = Math.floor(position / 2 ** RANGE_BITS)
    while (range > this.#offsets.length) this.#endFilter()
  }

  /** The content of the filter block. */
  end(): Buffer {
    if (this.#hashCount > 0) this.#endFilter()
    const places = Buffer.allocUnsafe(this.#offsets.length * 4 + 5)
    let at = 0
    for (const offset of [...this.#offsets, this.#used]) at = places.writeUInt32LE(offset, at)
    places[at] = RANGE_BITS
    return Buffer.concat([this.#filters.subarray(0, this.#used), places])
  }

  #endFilter(): void {
    this.#offsets.push(this.#used)
    const count = this.#hashCount
    if (count === 0) return
    const bytes = Math.ceil(Math.max(count * BITS_PER_KEY, BITS_MIN) / 8)
    this.#reserve(bytes + 1)
    const filter = this.#filters
    const at = this.#used
    const bits = (bytes * 8) >>> 0
    filter.fill(0, at, at + bytes)
    for (let index = 0; index < count; index += 1)
      setBits(filter, at, { bits, hash: this.#hashes[index] as number })
    filter[at + bytes] = PROBES
    this.#used = at + bytes + 1
    this.#hashCount = 0
  }

  #reserve(bytes: number): void {
    if (this.#filters.length - this.#used >= bytes) return
    const wider = Buffer.alloc((this.#used + bytes) * 2)
    this.#filters.copy(wider, 0, 0, this.#used)
    this.#filters = wider
  }
}

/** Sets those of a key in the filter that lies at `at`. */
function setBits(
  filter: Buffer,
  at: number,
  { bits, hash }: { readonly bits: number; readonly hash: number },
): void {
  const step = ((hash >>> 17) | (hash << 15)) >>> 0
  let probe = hash
  for (let probes = 0; probes < PROBES; probes += 1) {
    const bit = probe % bits
    const byte = at + (bit >>> 3)
    filter[byte] = (filter[byte] as number) | (1 << (bit & 7))
    probe = (probe + step) >>> 0
  }
}

/** LevelDB's own hash, which resembles Murmur. */
function hashOf({ bytes: memory, words }: Bytes, at: number, bytes: number): number {
  const wordsEnd = at + bytes - (bytes % 4)
  let hash = SEED ^ Math.imul(bytes, MULTIPLIER)
  let byte = at
  for (; byte < wordsEnd; byte += 4) {
    hash = Math.imul(hash + words.getInt32(byte, true), MULTIPLIER)
    hash ^= hash >>> 16
  }
  const left = bytes % 4
  if (left > 2) hash += (memory[byte + 2] as number) << 16
  if (left > 1) hash += (memory[byte + 1] as number) << 8
  if (left > 0) {
    hash = Math.imul(hash + (memory[byte] as number), MULTIPLIER)
    hash ^= hash >>> 24
  }
  return hash >>> 0
}
