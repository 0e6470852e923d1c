/**
 * Checks groups of a log that lie in memory, in AssemblyScript: TypeScript's syntax over bytes at addresses. Whoever proves a log passes tens of
 * thousands of small groups, mostly in a young process, where JavaScript is compiled while it works. `tools/wasm/build.ts` makes the module of it
 * that is kept beside the sources; see docs/decisions/0041.
 *
 * Layout of groups: FORMAT.md#frame. Whatever is not sound and plain is left to the reader, who judges it.
 */

/** The CRC-32 of a long range, from `begin` to before `end`, by whoever is quicker at it. */
declare function longSum(begin: usize, end: usize, seed: u32): u32

/** Below the groups: the tables of the checksum, by which eight bytes are folded at a time. */
const CHECKSUM_TABLES: usize = 0
const POLYNOMIAL: u32 = 0xedb88320
/** From here on the call is worth it. */
const LONG_BYTES: usize = 512

const FRAME_HEADER_BYTES: usize = 40
const RECORD_HEADER_BYTES: usize = 16
/** The type of a group, with the reserved byte behind it. */
const FRAME_GROUP: u32 = 1
const KIND_ENTRY: u32 = 1
const KIND_NOTE: u32 = 3
/** The largest number that JavaScript counts to. */
const SAFE_MAX: u64 = 0x1fffffffffffff

/** What is known of the segment so far. */
let nextLsn: u64 = 0
let durableLsn: u64 = 0
let timeFloorUs: u64 = 0
let chain: u32 = 0
/** Of the first record that was passed; 0 while there was none. */
let firstUs: u64 = 0

/** To be called once, before all else. */
export function begin(): void {
  for (let index: u32 = 0; index < 256; index += 1) {
    let crc = index
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) == 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    store<u32>(CHECKSUM_TABLES + ((<usize>index) << 2), crc)
  }
  for (let index: u32 = 256; index < 8 * 256; index += 1) {
    const before = load<u32>(CHECKSUM_TABLES + ((<usize>(index - 256)) << 2))
    store<u32>(CHECKSUM_TABLES + ((<usize>index) << 2), (before >>> 8) ^ entry(0, before & 0xff))
  }
}

/** What the groups must follow; numbers are whole and not above `SAFE_MAX`. */
export function follow(next: f64, durable: f64, floorUs: f64, chained: u32): void {
  nextLsn = <u64>next
  durableLsn = <u64>durable
  timeFloorUs = <u64>floorUs
  chain = chained
  firstUs = 0
}

/**
 * Passes groups that begin before `stop` and lie wholly before `limit`, none behind the one that holds the record `throughLsn`; returns the place
 * behind the last one.
 */
export function pass(from: usize, stop: usize, limit: usize, throughLsn: f64, seed: u32): usize {
  let at = from
  while (at < stop && <f64>nextLsn <= throughLsn) {
    const end = endOf(at, limit)
    if (end == 0 || !isSound(at, end, seed) || !count(at)) break
    at = end
  }
  return at
}

export function passedLsn(): f64 {
  return <f64>nextLsn
}

export function passedDurableLsn(): f64 {
  return <f64>durableLsn
}

export function passedFirstUs(): f64 {
  return <f64>firstUs
}

export function passedLastUs(): f64 {
  return <f64>timeFloorUs
}

export function passedChain(): u32 {
  return chain
}

/** Behind the frame; 0 when it is no group, or not all of it is here. */
function endOf(at: usize, limit: usize): usize {
  if (at + FRAME_HEADER_BYTES > limit || load<u16>(at, 14) != FRAME_GROUP) return 0
  const payloadBytes: usize = load<u32>(at, 8)
  const payload = at + FRAME_HEADER_BYTES
  if (payloadBytes > limit - payload) return 0
  // Padded to the next eight bytes.
  const end = payload + ((payloadBytes + 7) & ~7)
  return end > limit ? 0 : end
}

/** Whether both checksums hold. */
function isSound(at: usize, end: usize, seed: u32): bool {
  const payload = at + FRAME_HEADER_BYTES
  if (sum(at + 4, payload, seed) != load<u32>(at)) return false
  const found = end - payload < LONG_BYTES ? sum(payload, end, seed) : longSum(payload, end, seed)
  return found == load<u32>(at, 4)
}

/** Counts a group whose checksums hold; false, and nothing has happened, when it has a mark in it or contradicts what came before. */
function count(at: usize): bool {
  const durable = load<u64>(at, 24)
  const committedAtUs = load<u64>(at, 32)
  if (load<u64>(at, 16) != nextLsn || durable >= nextLsn || committedAtUs <= timeFloorUs) return false
  const records: u32 = load<u16>(at, 12)
  const lastUs = lastOf(at, records)
  if (lastUs == 0) return false
  chain = sum(at, at + FRAME_HEADER_BYTES, chain)
  if (firstUs == 0) firstUs = committedAtUs
  timeFloorUs = lastUs
  durableLsn = max(durableLsn, durable)
  nextLsn += records
  return true
}

/** Commit time of the last record, which is never 0; 0 for a group without records, with a mark, or one that contradicts itself. */
function lastOf(at: usize, records: u32): u64 {
  let place = at + FRAME_HEADER_BYTES
  const end = place + load<u32>(at, 8)
  let lastUs: u64 = 0
  for (let index: u32 = 0; index < records; index += 1) {
    if (end - place < RECORD_HEADER_BYTES) return 0
    const kind = load<u32>(place, 4)
    const committedAtUs = load<u64>(place, 8)
    if ((kind != KIND_ENTRY && kind != KIND_NOTE) || committedAtUs > SAFE_MAX) return 0
    if (index == 0 ? committedAtUs != load<u64>(at, 32) : committedAtUs <= lastUs) return 0
    lastUs = committedAtUs
    const bytes: usize = load<u32>(place)
    place += RECORD_HEADER_BYTES
    if (bytes > end - place) return 0
    place += bytes
  }
  return place == end ? lastUs : 0
}

/** CRC-32 of a range, computed on from `seed` as if that were the sum of bytes before it. The range has a multiple of four bytes. */
function sum(from: usize, end: usize, seed: u32): u32 {
  let crc = ~seed
  let at = from
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ load<u32>(at)
    const high = load<u32>(at, 4)
    crc =
      entry(7, low & 0xff) ^
      entry(6, (low >>> 8) & 0xff) ^
      entry(5, (low >>> 16) & 0xff) ^
      entry(4, low >>> 24) ^
      entry(3, high & 0xff) ^
      entry(2, (high >>> 8) & 0xff) ^
      entry(1, (high >>> 16) & 0xff) ^
      entry(0, high >>> 24)
  }
  if (at < end) {
    const word = crc ^ load<u32>(at)
    crc =
      entry(3, word & 0xff) ^
      entry(2, (word >>> 8) & 0xff) ^
      entry(1, (word >>> 16) & 0xff) ^
      entry(0, word >>> 24)
  }
  return ~crc
}

function entry(table: u32, index: u32): u32 {
  return load<u32>(CHECKSUM_TABLES + ((<usize>((table << 8) + index)) << 2))
}
