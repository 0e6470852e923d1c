/**
 * LevelDB's tables read in order and in bulk, without LevelDB: its iterator makes three objects for every entry, which costs
 * several times what reading the entry does. Here an entry is a place in a block, valid until the next one is asked for.
 *
 * Memory stays within one window and one block for each run.
 */
import type { BlockHandle, TableSource } from './leveldb-table.ts'
import { openTableBlocks, storedBlock, TRAILER_BYTES, tableDamaged } from './leveldb-table.ts'

/** A table that is open; whoever reads it closes it. */
export interface OpenTable extends TableSource {
  close(): Promise<void>
}

/** A table that is opened when its turn comes. */
export interface RunTable {
  open(): Promise<OpenTable>
}

/** LevelDB appends sequence number and type to every key. */
const SUFFIX_BYTES = 8
const DELETION = 0
/** Read at a time: blocks are 4 KiB, and a call for each would cost more than the reading. */
const WINDOW_BYTES = 256 * 1024
/** The bytes of a key that are compared as one number. */
const PREFIX_BYTES = 6

/** The entries of tables that follow one another without overlap, in LevelDB's order: by key, the newest of a key first. */
export class TableRun {
  /** The key, in its first `keyBytes` bytes. */
  key: Buffer = Buffer.allocUnsafe(256)
  keyBytes = 0
  /** The first bytes of the key as a number, short keys filled up with zeros: it orders most keys at once. */
  prefix = 0
  /** What the value lies in. */
  block: Buffer = Buffer.alloc(0)
  valueAt = 0
  valueBytes = 0
  #endAt = 0
  readonly #tables: Iterator<RunTable>
  #table: OpenTable | undefined
  #handles: Iterator<BlockHandle> | undefined
  #waiting: BlockHandle | undefined
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0
  #loaded: BlockHandle[] = []
  #nextLoaded = 0

  constructor(tables: Iterable<RunTable>) {
    this.#tables = tables[Symbol.iterator]()
  }

  get isDeletion(): boolean {
    return byteAt(this.key, this.keyBytes) === DELETION
  }

  /** LevelDB's own count of writes: the greater one is the newer. */
  get sequence(): number {
    const { key, keyBytes: at } = this
    const low = byteAt(key, at + 1) | (byteAt(key, at + 2) << 8) | (byteAt(key, at + 3) << 16)
    const high = byteAt(key, at + 5) | (byteAt(key, at + 6) << 8) | (byteAt(key, at + 7) << 16)
    return ((low | (byteAt(key, at + 4) << 24)) >>> 0) + high * 2 ** 32
  }

  /** Moves to the next entry; false when more must be loaded first. */
  next(): boolean {
    const at = this.valueAt + this.valueBytes
    if (at < this.#endAt) {
      this.#decode(at)
      return true
    }
    for (;;) {
      const handle = this.#loaded[this.#nextLoaded]
      if (handle === undefined) return false
      this.#nextLoaded += 1
      if (this.#enter(handle)) return true
    }
  }

  /**
   * Loads more and moves to the first entry in it; false at the end of the run.
   *
   * @throws ENGINE_TABLE_DAMAGED
   */
  async load(): Promise<boolean> {
    for (;;) {
      if (this.#handles === undefined) {
        const next = this.#tables.next()
        if (next.done === true) return false
        this.#table = await next.value.open()
        this.#handles = await openTableBlocks(this.#table)
      }
      if (await this.#fill()) {
        if (this.next()) return true
      } else await this.close()
    }
  }

  /** Closes the table that is open; the run ends with it. */
  async close(): Promise<void> {
    this.#handles = undefined
    const table = this.#table
    this.#table = undefined
    await table?.close()
  }

  /** Reads blocks that lie one behind the other in one call. */
  async #fill(): Promise<boolean> {
    this.#loaded = []
    this.#nextLoaded = 0
    let endAt = 0
    for (
      let handle = this.#waiting ?? this.#nextHandle();
      handle !== undefined;
      handle = this.#nextHandle()
    ) {
      this.#waiting = undefined
      if (this.#loaded.length === 0) this.#windowAt = handle.position
      const handleEndAt = handle.position + handle.bytes + TRAILER_BYTES
      if (this.#loaded.length > 0 && handleEndAt - this.#windowAt > WINDOW_BYTES) {
        this.#waiting = handle
        break
      }
      this.#loaded.push(handle)
      endAt = handleEndAt
    }
    if (this.#loaded.length === 0) return false
    const bytes = endAt - this.#windowAt
    if (this.#window.length < bytes) this.#window = Buffer.allocUnsafe(bytes)
    const table = this.#opened
    const read = await table.read(this.#window.subarray(0, bytes), this.#windowAt)
    if (read !== bytes) throw tableDamaged(table, 'is shorter than its length')
    return true
  }

  #nextHandle(): BlockHandle | undefined {
    const next = this.#handles?.next()
    return next === undefined || next.done === true ? undefined : next.value
  }

  get #opened(): TableSource {
    if (this.#table === undefined) throw new Error('a table is read before it is open')
    return this.#table
  }

  /** False for a block without entries. */
  #enter(handle: BlockHandle): boolean {
    const at = handle.position - this.#windowAt
    this.block = storedBlock(this.#window.subarray(at, at + handle.bytes + 1), this.#opened)
    const restartCount = this.block.length < 4 ? -1 : this.block.readUInt32LE(this.block.length - 4)
    this.#endAt = this.block.length - 4 - restartCount * 4
    if (restartCount < 0 || this.#endAt < 0)
      throw tableDamaged(this.#opened, 'has a block without a directory')
    this.valueAt = 0
    this.valueBytes = 0
    if (this.#endAt === 0) return false
    this.#decode(0)
    return true
  }

  #decode(start: number): void {
    const { block } = this
    let at = start
    let shared = byteAt(block, at)
    let own = byteAt(block, at + 1)
    let value = byteAt(block, at + 2)
    if ((shared | own | value) < 0x80) at += 3
    else {
      ;[shared, at] = this.#varint(at)
      ;[own, at] = this.#varint(at)
      ;[value, at] = this.#varint(at)
    }
    const keyBytesBefore = start === 0 ? -SUFFIX_BYTES : this.keyBytes
    const whole = shared + own
    if (shared > keyBytesBefore + SUFFIX_BYTES || whole < SUFFIX_BYTES || at + own + value > this.#endAt) {
      throw tableDamaged(this.#opened, 'has an entry that reaches outside its block')
    }
    if (whole > this.key.length) {
      const wider = Buffer.allocUnsafe(whole * 2)
      this.key.copy(wider, 0, 0, shared)
      this.key = wider
    }
    const { key } = this
    for (let index = 0; index < own; index += 1) key[shared + index] = byteAt(block, at + index)
    this.keyBytes = whole - SUFFIX_BYTES
    this.valueAt = at + own
    this.valueBytes = value
    // What is shared may reach into the suffix of the key before: a short key shares less of itself than it seems.
    const isSamePrefix = Math.min(shared, keyBytesBefore, this.keyBytes) >= PREFIX_BYTES
    if (!isSamePrefix) this.prefix = prefixOf(key, this.keyBytes)
  }

  #varint(from: number): [number, number] {
    let value = 0
    let at = from
    for (let scale = 1; at < this.#endAt && at - from < 6; scale *= 128) {
      const byte = byteAt(this.block, at)
      at += 1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return [value, at]
    }
    throw tableDamaged(this.#opened, 'has a cut entry')
  }
}

function prefixOf(key: Buffer, keyBytes: number): number {
  if (keyBytes >= PREFIX_BYTES) {
    return (
      (byteAt(key, 0) * 256 + byteAt(key, 1)) * 2 ** 32 +
      (((byteAt(key, 2) << 24) | (byteAt(key, 3) << 16) | (byteAt(key, 4) << 8) | byteAt(key, 5)) >>> 0)
    )
  }
  let prefix = 0
  for (let index = 0; index < PREFIX_BYTES; index += 1) {
    prefix = prefix * 256 + (index < keyBytes ? byteAt(key, index) : 0)
  }
  return prefix
}

/** Negative when `a` comes before `b`: by key, the newer entry of a key first. */
export function compareRuns(a: TableRun, b: TableRun): number {
  if (a.prefix !== b.prefix) return a.prefix - b.prefix
  const common = Math.min(a.keyBytes, b.keyBytes)
  for (let index = 0; index < common; index += 1) {
    const difference = byteAt(a.key, index) - byteAt(b.key, index)
    if (difference !== 0) return difference
  }
  return a.keyBytes - b.keyBytes || b.sequence - a.sequence
}

/** Within bounds by the checks around it; beyond the end it would be `undefined`, which no comparison takes for a byte. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}
