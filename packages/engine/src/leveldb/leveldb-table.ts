/**
 * LevelDB's tables, read without LevelDB: it serves a flipped bit as data (classic-level asks for no block checksums), and
 * it cannot be opened on files that another LevelDB shares. Used to read the applied position out of a checkpoint and to
 * verify tables whose hash is not known.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */
import { engineError } from '../errors.ts'
import { crc32c, maskCrc } from './leveldb-crc.ts'
import { LeveldbCursor } from './leveldb-cursor.ts'
import { unpackSnappy } from './leveldb-snappy.ts'
import { FOOTER_BYTES, KEY_SUFFIX_BYTES, MAGIC, TRAILER_BYTES } from './leveldb-table-layout.ts'
import type { BlockHandle } from './leveldb-table-layout.ts'

/** The bytes of one table. */
export interface TableSource {
  /** Names it in errors. */
  readonly path: string
  readonly bytes: number
  /** Fills `target` from `position` on; resolves with the bytes read. */
  read(target: Buffer, position: number): Promise<number>
}

/** The newest entry of a key in one table. */
export interface TableEntry {
  /** LevelDB's own count of writes; the greater one is the newer. */
  readonly sequence: number
  /** Absent when the entry is a deletion. */
  readonly value?: Buffer
}

const PLAIN = 0
const SNAPPY = 1
/** A block is 4 KiB, or one entry longer than that; this bounds what a damaged length can make us allocate. */
const UNPACKED_BYTES_MAX = 1024 * 1024 * 1024

/**
 * The newest entry for `userKey` in a table, or `undefined`.
 *
 * @throws ENGINE_TABLE_DAMAGED
 */
export async function findInTable(table: TableSource, userKey: Buffer): Promise<TableEntry | undefined> {
  const { index } = await readFooter(table)
  const directory = await readBlock(table, index)
  for (const [lastKey, handle] of handlesOf(directory, table, seekIn(directory, userKey, table))) {
    // The index names, for each block, a key not smaller than its last one.
    if (Buffer.compare(userKeyOf(lastKey, table), userKey) < 0) continue
    const block = await readBlock(table, handle)
    for (const [key, value] of entriesOf(block, table, seekIn(block, userKey, table))) {
      const order = Buffer.compare(userKeyOf(key, table), userKey)
      // Newer entries of a key come first.
      if (order === 0) return decodeEntry(key, value, table)
      if (order > 0) return undefined
    }
  }
  return undefined
}

/**
 * Checks the checksum of every block of a table; false when some could not be found, because the directory of the blocks is
 * packed in a way that is not known here (zstd, zlib): then only the directory itself is checked.
 *
 * @throws ENGINE_TABLE_DAMAGED
 */
export async function checkTable(table: TableSource): Promise<boolean> {
  const { metaindex, index } = await readFooter(table)
  let isChecked = true
  for (const handle of [metaindex, index]) {
    const stored = await readStored(table, handle)
    if (stored.packing > SNAPPY) isChecked = false
    else for (const [, block] of handlesOf(unpacked(stored, table), table)) await readStored(table, block)
  }
  return isChecked
}

/**
 * Where the blocks of a table lie, in order.
 *
 * @throws ENGINE_TABLE_DAMAGED
 */
export async function openTableBlocks(table: TableSource): Promise<Iterator<BlockHandle>> {
  const { index } = await readFooter(table)
  return onlyHandles(handlesOf(await readBlock(table, index), table))
}

/** The content of a block read with the byte behind it, which tells how it is packed. Its checksum is not looked at. */
export function storedBlock(stored: Buffer, table: TableSource): Buffer {
  const bytes = stored.length - 1
  return unpacked({ data: stored.subarray(0, bytes), packing: stored.readUInt8(bytes) }, table)
}

function* onlyHandles(handles: Iterable<[Buffer, BlockHandle]>): Generator<BlockHandle, void> {
  for (const [, handle] of handles) yield handle
}

async function readFooter(table: TableSource): Promise<{ metaindex: BlockHandle; index: BlockHandle }> {
  if (table.bytes < FOOTER_BYTES) throw tableDamaged(table, 'is shorter than a footer')
  const footer = await readExactly(table, { position: table.bytes - FOOTER_BYTES, bytes: FOOTER_BYTES })
  if (footer.readBigUInt64LE(FOOTER_BYTES - 8) !== MAGIC) throw tableDamaged(table, 'has no footer')
  const cursor = new LeveldbCursor(footer)
  const metaindex = decodeHandle(cursor, table)
  return { metaindex, index: decodeHandle(cursor, table) }
}

function decodeHandle(cursor: LeveldbCursor, table: TableSource): BlockHandle {
  const position = cursor.varint()
  const bytes = cursor.varint()
  if (position === undefined || bytes === undefined || position + bytes + TRAILER_BYTES > table.bytes) {
    throw tableDamaged(table, 'points outside itself')
  }
  return { position, bytes }
}

/** A block's content, unpacked. */
async function readBlock(table: TableSource, handle: BlockHandle): Promise<Buffer> {
  return unpacked(await readStored(table, handle), table)
}

function unpacked({ data, packing }: { data: Buffer; packing: number }, table: TableSource): Buffer {
  if (packing === PLAIN) return data
  const content = packing === SNAPPY ? unpackSnappy(data, UNPACKED_BYTES_MAX) : undefined
  if (content === undefined) throw tableDamaged(table, 'has a block that cannot be unpacked')
  return content
}

/** A block as it is stored, its checksum verified; that covers the packing byte too. */
async function readStored(
  table: TableSource,
  handle: BlockHandle,
): Promise<{ data: Buffer; packing: number }> {
  const stored = await readExactly(table, { position: handle.position, bytes: handle.bytes + TRAILER_BYTES })
  const covered = stored.subarray(0, handle.bytes + 1)
  if (maskCrc(crc32c(covered)) !== stored.readUInt32LE(handle.bytes + 1)) {
    throw tableDamaged(table, `has a damaged block at position ${handle.position}`)
  }
  return { data: covered.subarray(0, handle.bytes), packing: covered.readUInt8(handle.bytes) }
}

/** The blocks that a block of handles names, in order. LevelDB writes one behind the other, so that none is read twice. */
function* handlesOf(block: Buffer, table: TableSource, from = 0): Generator<[Buffer, BlockHandle], void> {
  let endBytes = 0
  for (const [key, coded] of entriesOf(block, table, from)) {
    const handle = decodeHandle(new LeveldbCursor(coded), table)
    if (handle.position < endBytes) throw tableDamaged(table, 'names its blocks out of order')
    endBytes = handle.position + handle.bytes
    yield [key, handle]
  }
}

/**
 * Keys and values of a block in order; each key shares a prefix with the one before it. A key is valid until the next one is
 * asked for: it is mended in place, because a copy of each would grow with the square of a block made for that.
 */
function* entriesOf(block: Buffer, table: TableSource, from = 0): Generator<[Buffer, Buffer], void> {
  const cursor = new LeveldbCursor(block.subarray(0, entriesEndOf(block, table)), from)
  let key: Buffer = Buffer.alloc(0)
  let room: Buffer = Buffer.alloc(0)
  while (cursor.remainingBytes > 0) {
    const sharedBytes = cursor.varint()
    const ownBytes = cursor.varint()
    const valueBytes = cursor.varint()
    if (sharedBytes === undefined || ownBytes === undefined || valueBytes === undefined) {
      throw tableDamaged(table, 'has a cut entry')
    }
    const own = cursor.take(ownBytes)
    const value = cursor.take(valueBytes)
    if (own === undefined || value === undefined || sharedBytes > key.length) {
      throw tableDamaged(table, 'has an entry that reaches outside its block')
    }
    const keyBytes = sharedBytes + own.length
    if (keyBytes > room.length) {
      const wider = Buffer.allocUnsafe(keyBytes * 2)
      key.copy(wider, 0, 0, sharedBytes)
      room = wider
    }
    room.set(own, sharedBytes)
    key = room.subarray(0, keyBytes)
    yield [key, value]
  }
}

/** Where the entries of a block end, and the places begin at which a key is written whole. */
function entriesEndOf(block: Buffer, table: TableSource): number {
  const restartCount = block.length < 4 ? -1 : block.readUInt32LE(block.length - 4)
  const endBytes = block.length - 4 - restartCount * 4
  if (restartCount < 0 || endBytes < 0) throw tableDamaged(table, 'has a block without a directory')
  return endBytes
}

/**
 * Where to begin in a block so that no entry of a key is passed, and few others are read: the directory of a large table has an entry for each of
 * thousands of blocks, of which the applied position is in the last.
 */
function seekIn(block: Buffer, userKey: Buffer, table: TableSource): number {
  const endBytes = entriesEndOf(block, table)
  const entries = block.subarray(0, endBytes)
  let first = 0
  let last = (block.length - 4 - endBytes) / 4 - 1
  while (first < last) {
    const middle = Math.ceil((first + last) / 2)
    const key = keyAt(entries, block.readUInt32LE(endBytes + middle * 4), table)
    if (Buffer.compare(userKeyOf(key, table), userKey) < 0) first = middle
    else last = middle - 1
  }
  return first === 0 ? 0 : block.readUInt32LE(endBytes + first * 4)
}

/** A key that is written whole. */
function keyAt(entries: Buffer, position: number, table: TableSource): Buffer {
  const cursor = new LeveldbCursor(entries, Math.min(position, entries.length))
  const sharedBytes = cursor.varint()
  const ownBytes = cursor.varint()
  const key = cursor.varint() === undefined || ownBytes === undefined ? undefined : cursor.take(ownBytes)
  if (sharedBytes !== 0 || key === undefined)
    throw tableDamaged(table, 'has a directory that leads to no entry')
  return key
}

function decodeEntry(key: Buffer, value: Buffer, table: TableSource): TableEntry {
  const suffix = key.readBigUInt64LE(key.length - KEY_SUFFIX_BYTES)
  const sequence = Number(suffix >> 8n)
  if (!Number.isSafeInteger(sequence)) throw tableDamaged(table, 'has a sequence number out of range')
  return (suffix & 0xffn) === 1n ? { sequence, value: Buffer.from(value) } : { sequence }
}

function userKeyOf(key: Buffer, table: TableSource): Buffer {
  if (key.length < KEY_SUFFIX_BYTES) throw tableDamaged(table, 'has a key without a suffix')
  return key.subarray(0, key.length - KEY_SUFFIX_BYTES)
}

async function readExactly(table: TableSource, range: BlockHandle): Promise<Buffer> {
  const target = Buffer.allocUnsafe(range.bytes)
  const got = await table.read(target, range.position)
  if (got !== range.bytes) throw tableDamaged(table, 'is shorter than its length')
  return target
}

/** The error for a table that is not what LevelDB writes. */
export function tableDamaged(table: TableSource, what: string): Error {
  return engineError('ENGINE_TABLE_DAMAGED', `a table ${what}`, { details: { path: table.path } })
}
