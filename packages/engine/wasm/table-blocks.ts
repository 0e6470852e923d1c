/**
 * The data blocks of a table and their filters, in AssemblyScript: TypeScript's syntax over bytes at addresses. It is the same work in a third of
 * the time, and from the first block on, where JavaScript is compiled while it works. `tools/wasm/build.ts` makes the module of it that is
 * kept beside the sources; see docs/decisions/0040.
 *
 * Whoever calls has checked everything: there are no bounds but those of the memory, which holds what `WindowMemory` lays out.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */

/** Below the window: the tables of the checksum, and of the block that is being made where it may be entered and the hashes of its keys. */
const CHECKSUM_TABLES: usize = 0
const RESTARTS: usize = 8192
const HASHES: usize = 8448

const BLOCK_BYTES: u32 = 4096
const RESTART_ENTRIES: u32 = 16
/** More would leave the nearest memory again before its turn comes. */
const TOUCHED_AT_A_TIME: u32 = 16
const CACHE_LINE_BYTES: usize = 64
const KEY_SUFFIX_BYTES: u32 = 8
/** As the length of a value: there is none. */
const DELETED: u32 = 0xffffffff

const POLYNOMIAL: u32 = 0x82f63b78
const MASK_DELTA: u32 = 0xa282ead8

const BITS_PER_KEY: u32 = 10
const PROBES: u32 = 6
const FILTER_BYTES_MIN: u32 = 8
const HASH_SEED: u32 = 0xbc9f1d34
const HASH_MULTIPLIER: u32 = 0xc6a4a793

/** Keys and values, where each of them lies, and the order of the operations: numbers of 32 bits. */
let content: usize = 0
let places: usize = 0
let order: usize = 0
let count: u32 = 0
/** What LevelDB has behind each key, without the type. */
let suffixLow: u32 = 0
let suffixHigh: u32 = 0

/** The end of what was written of the piece, and where its last block begins. */
let at: usize = 0
let blockAt: usize = 0
let filterAt: usize = 0
let restartCount: u32 = 0
let sinceRestart: u32 = 0
let hashCount: u32 = 0
/** The operation that was added last; none yet. */
let last: u32 = DELETED
/** Means nothing: kept, because the compiler leaves out looks at what is not. */
let touched: u32 = 0

/** To be called before all other functions. */
export function begin(contentAt: usize, placesAt: usize, orderAt: usize, operations: u32): void {
  content = contentAt
  places = placesAt
  order = orderAt
  count = operations
  last = DELETED
  makeChecksumTables()
}

/** The number that all operations get, and where the filters go. */
export function number(low: u32, high: u32, filtersAt: usize): void {
  suffixLow = low
  suffixHigh = high
  filterAt = filtersAt
}

/** Blocks go here from now on. */
export function beginPiece(pieceAt: usize): void {
  at = pieceAt
}

/** Adds operations from a place in the order on until a block is whole, or there are no more; returns the place of the next one. */
export function addBlock(from: u32): u32 {
  let place = from
  blockAt = at
  restartCount = 0
  sinceRestart = RESTART_ENTRIES
  hashCount = 0
  while (place < count && <u32>(at - blockAt) + restartCount * 4 + 4 < BLOCK_BYTES) {
    if (place % TOUCHED_AT_A_TIME == 0) touch(place)
    add(load<u32>(order + ((<usize>place) << 2)))
    place += 1
  }
  if (hashCount > 0) endBlock()
  return place
}

/** Where the piece ends. */
export function pieceEnd(): usize {
  return at
}

/** Where the filters end. */
export function filtersEnd(): usize {
  return filterAt
}

/** The number of the operation that was added last. */
export function lastAdded(): u32 {
  return last
}

/** CRC32C of a range, in the form in which LevelDB stores it beside the data. */
function maskedChecksum(begin: usize, end: usize): u32 {
  let crc: u32 = 0xffffffff
  let position = begin
  for (; position + 8 <= end; position += 8) {
    const low = crc ^ load<u32>(position)
    const high = load<u32>(position + 4)
    crc =
      checksumWord(7, low & 0xff) ^
      checksumWord(6, (low >>> 8) & 0xff) ^
      checksumWord(5, (low >>> 16) & 0xff) ^
      checksumWord(4, low >>> 24) ^
      checksumWord(3, high & 0xff) ^
      checksumWord(2, (high >>> 8) & 0xff) ^
      checksumWord(1, (high >>> 16) & 0xff) ^
      checksumWord(0, high >>> 24)
  }
  for (; position < end; position += 1) crc = checksumWord(0, (crc ^ load<u8>(position)) & 0xff) ^ (crc >>> 8)
  return rotr<u32>(~crc, 15) + MASK_DELTA
}

function checksumWord(table: u32, index: u32): u32 {
  return load<u32>(CHECKSUM_TABLES + ((<usize>((table << 8) + index)) << 2))
}

/** Eight of them, so that eight bytes are folded at a time. */
function makeChecksumTables(): void {
  for (let index: u32 = 0; index < 256; index += 1) {
    let crc = index
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) == 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    store<u32>(CHECKSUM_TABLES + ((<usize>index) << 2), crc)
  }
  for (let index: u32 = 256; index < 8 * 256; index += 1) {
    const before = checksumWord(0, index - 256)
    store<u32>(CHECKSUM_TABLES + ((<usize>index) << 2), checksumWord(0, before & 0xff) ^ (before >>> 8))
  }
}

/** Where the four numbers of an operation lie: where its key begins, its length, and the same of its value. */
function placeOf(index: u32): usize {
  return places + ((<usize>index) << 4)
}

/**
 * Looks at what will be read next, one right behind the other: in the order of the keys nothing lies beside the one before, and the processor
 * waits for all of it at once instead of for each.
 */
function touch(from: u32): void {
  const end = min(from + TOUCHED_AT_A_TIME, count)
  let seen: u32 = 0
  for (let place = from; place < end; place += 1) {
    const found = placeOf(load<u32>(order + ((<usize>place) << 2)))
    const key = content + load<u32>(found)
    const value = content + load<u32>(found, 8)
    // Whatever lies there: nothing is made of it.
    seen ^=
      <u32>load<u8>(key) ^ <u32>load<u8>(key + CACHE_LINE_BYTES) ^ <u32>load<u8>(value + CACHE_LINE_BYTES)
  }
  touched = seen
}

/** Adds an operation, unless a later one on its key is in. */
function add(index: u32): void {
  const found = placeOf(index)
  const key = content + load<u32>(found)
  const keyBytes = load<u32>(found, 4)
  const valueBytes = load<u32>(found, 12)
  const common = commonWithLast(key, keyBytes)
  if (common == keyBytes && last != DELETED && load<u32>(placeOf(last), 4) == keyBytes) return
  const shared = beginsAnew() ? 0 : common
  const isDeletion = valueBytes == DELETED
  varint(shared)
  varint(keyBytes - shared + KEY_SUFFIX_BYTES)
  varint(isDeletion ? 0 : valueBytes)
  append(key + shared, keyBytes - shared)
  store<u32>(at, suffixLow | (isDeletion ? 0 : 1))
  store<u32>(at, suffixHigh, 4)
  at += KEY_SUFFIX_BYTES
  if (!isDeletion) append(content + load<u32>(found, 8), valueBytes)
  store<u32>(HASHES + ((<usize>hashCount) << 2), hashOf(key, keyBytes))
  hashCount += 1
  sinceRestart += 1
  last = index
}

function commonWithLast(key: usize, keyBytes: u32): u32 {
  if (last == DELETED) return 0
  const found = placeOf(last)
  const before = content + load<u32>(found)
  const most = min(keyBytes, load<u32>(found, 4))
  let common: u32 = 0
  while (common < most && load<u8>(key + common) == load<u8>(before + common)) common += 1
  return common
}

/** Where readers may begin a key is written whole. */
function beginsAnew(): bool {
  if (sinceRestart < RESTART_ENTRIES) return false
  store<u32>(RESTARTS + ((<usize>restartCount) << 2), <u32>(at - blockAt))
  restartCount += 1
  sinceRestart = 0
  return true
}

/** Where it may be entered, that it is plain, and the checksum, which covers the byte that says so; and its filter. */
function endBlock(): void {
  for (let index: u32 = 0; index < restartCount; index += 1)
    fixed(load<u32>(RESTARTS + ((<usize>index) << 2)))
  fixed(restartCount)
  store<u8>(at, 0)
  at += 1
  fixed(maskedChecksum(blockAt, at))
  addFilter()
}

/** LevelDB's filter of the keys of a block. */
function addFilter(): void {
  const bytes = max((hashCount * BITS_PER_KEY + 7) / 8, FILTER_BYTES_MIN)
  const bits = bytes * 8
  memory.fill(filterAt, 0, bytes)
  for (let index: u32 = 0; index < hashCount; index += 1) {
    let probe = load<u32>(HASHES + ((<usize>index) << 2))
    const step = rotr<u32>(probe, 17)
    for (let probes: u32 = 0; probes < PROBES; probes += 1) {
      const bit = probe % bits
      const byte = filterAt + (bit >>> 3)
      store<u8>(byte, <u8>(<u32>load<u8>(byte) | ((<u32>1) << (bit & 7))))
      probe += step
    }
  }
  store<u8>(filterAt + bytes, <u8>PROBES)
  filterAt += bytes + 1
}

/** LevelDB's own hash, which resembles Murmur. */
function hashOf(key: usize, bytes: u32): u32 {
  const end = key + bytes
  let hash = HASH_SEED ^ (bytes * HASH_MULTIPLIER)
  let position = key
  for (; position + 4 <= end; position += 4) {
    hash = (hash + load<u32>(position)) * HASH_MULTIPLIER
    hash ^= hash >>> 16
  }
  const left = <u32>(end - position)
  if (left > 2) hash += (<u32>load<u8>(position, 2)) << 16
  if (left > 1) hash += (<u32>load<u8>(position, 1)) << 8
  if (left > 0) {
    hash = (hash + <u32>load<u8>(position)) * HASH_MULTIPLIER
    hash ^= hash >>> 24
  }
  return hash
}

function varint(value: u32): void {
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) {
    store<u8>(at, <u8>(rest | 0x80))
    at += 1
  }
  store<u8>(at, <u8>rest)
  at += 1
}

function fixed(value: u32): void {
  store<u32>(at, value)
  at += 4
}

/** Keys and values are mostly short: a loop takes less than the call that copies any length. */
function append(from: usize, bytes: u32): void {
  let done: u32 = 0
  for (; done + 16 <= bytes; done += 16) {
    store<u64>(at + done, load<u64>(from + done))
    store<u64>(at + done, load<u64>(from + done, 8), 8)
  }
  for (; done + 4 <= bytes; done += 4) store<u32>(at + done, load<u32>(from + done))
  for (; done < bytes; done += 1) store<u8>(at + done, load<u8>(from + done))
  at += bytes
}
