/**
 * LevelDB's tables read in order and in bulk, without LevelDB: its iterator makes three objects for every entry, which costs
 * several times what reading the entry does. Here an entry is a place in a block, valid until the next one is asked for.
 *
 * Memory stays within two windows, one of which is read ahead, and one block for each run.
 */
import { type Bytes, bytesOf, copyBytes } from '../byte-copy.ts'
import type { TableSource } from '../leveldb/leveldb-table.ts'
import type { BlockHandle } from '../leveldb/leveldb-table-layout.ts'
import { openTableBlocks, storedBlock, tableDamaged } from '../leveldb/leveldb-table.ts'
import { TRAILER_BYTES } from '../leveldb/leveldb-table-layout.ts'

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
const WINDOW_BYTES = 1024 * 1024
/** Room for most keys. */
const KEY_BYTES = 256
/** The bytes of a key that are compared as one number. */
const PREFIX_BYTES = 6

/** Blocks of one table that lie one behind the other. */
interface Piece {
  readonly table: TableSource
  readonly bytes: Buffer
  /** Where they begin in the table. */
  readonly position: number
  readonly handles: readonly BlockHandle[]
}

/** The entries of tables that follow one another without overlap, in LevelDB's order: by key, the newest of a key first. */
export class TableRun {
  /** The key, in its first `keyBytes` bytes, and what LevelDB has behind it. The one before stays where it is until the next is asked for. */
  key: Bytes = bytesOf(Buffer.allocUnsafeSlow(KEY_BYTES))
  keyBytes = 0
  /** The first bytes of the key as a number, short keys filled up with zeros: it orders most keys at once. */
  prefix = 0
  /** What the value lies in. */
  block: Bytes = bytesOf(Buffer.alloc(0))
  valueAt = 0
  valueBytes = 0
  #endAt = 0
  /** Takes the next key. */
  #otherKey: Bytes = bytesOf(Buffer.allocUnsafeSlow(KEY_BYTES))
  readonly #pieces: AsyncGenerator<Piece, void>
  /** Is read while its forerunner is gone through. */
  #ahead: Promise<IteratorResult<Piece, void>> | undefined
  #piece: Piece | undefined
  #nextHandle = 0

  constructor(tables: Iterable<RunTable>) {
    this.#pieces = piecesOf(tables)
  }

  get isDeletion(): boolean {
    return byteAt(this.key.bytes, this.keyBytes) === DELETION
  }

  /** LevelDB's own count of writes: the greater one is the newer. */
  get sequence(): number {
    const { words } = this.key
    return words.getUint32(this.keyBytes + 1, true) + readU24(words, this.keyBytes + 5) * 2 ** 32
  }

  /** Moves to the next entry; false when more must be loaded first. */
  next(): boolean {
    const at = this.valueAt + this.valueBytes
    if (at < this.#endAt) {
      this.#decode(at)
      return true
    }
    const piece = this.#piece
    if (piece === undefined) return false
    for (;;) {
      const handle = piece.handles[this.#nextHandle]
      if (handle === undefined) return false
      this.#nextHandle += 1
      if (this.#enter(piece, handle)) return true
    }
  }

  /**
   * Loads more and moves to the first entry in it; false at the end of the run.
   *
   * @throws ENGINE_TABLE_DAMAGED
   */
  async load(): Promise<boolean> {
    for (;;) {
      const loaded = await (this.#ahead ?? this.#pieces.next())
      this.#ahead = undefined
      if (loaded.done === true) return false
      this.#piece = loaded.value
      this.#nextHandle = 0
      this.#ahead = this.#pieces.next()
      // Met when its turn comes.
      this.#ahead.catch(() => undefined)
      if (this.next()) return true
    }
  }

  /** Closes the table that is open; the run ends with it. */
  async close(): Promise<void> {
    // Behind what is being read ahead.
    await this.#pieces.return()
  }

  /** False for a block without entries. */
  #enter({ table, bytes, position }: Piece, handle: BlockHandle): boolean {
    const at = handle.position - position
    const block = storedBlock(bytes.subarray(at, at + handle.bytes + 1), table)
    this.block = bytesOf(block)
    const restartCount = block.length < 4 ? -1 : block.readUInt32LE(block.length - 4)
    this.#endAt = block.length - 4 - restartCount * 4
    if (restartCount < 0 || this.#endAt < 0) throw tableDamaged(table, 'has a block without a directory')
    this.valueAt = 0
    this.valueBytes = 0
    if (this.#endAt === 0) return false
    this.#decode(0)
    return true
  }

  #decode(start: number): void {
    const { block } = this
    let at = start
    let shared = byteAt(block.bytes, at)
    let own = byteAt(block.bytes, at + 1)
    let value = byteAt(block.bytes, at + 2)
    if ((shared | own | value) < 0x80) at += 3
    else {
      ;[shared, at] = this.#varint(at)
      ;[own, at] = this.#varint(at)
      ;[value, at] = this.#varint(at)
    }
    const keyBytesBefore = start === 0 ? -SUFFIX_BYTES : this.keyBytes
    const whole = shared + own
    if (shared > keyBytesBefore + SUFFIX_BYTES || whole < SUFFIX_BYTES || at + own + value > this.#endAt) {
      throw this.#damaged('has an entry that reaches outside its block')
    }
    const before = this.key
    const key = this.#keyOfBytes(whole)
    copyBytes(key, 0, before, 0, shared)
    copyBytes(key, shared, block, at, own)
    this.#otherKey = before
    this.key = key
    this.keyBytes = whole - SUFFIX_BYTES
    this.valueAt = at + own
    this.valueBytes = value
    // What is shared may reach into the suffix of the key before: a short key shares less of itself than it seems.
    const isSamePrefix = Math.min(shared, keyBytesBefore, this.keyBytes) >= PREFIX_BYTES
    if (!isSamePrefix) this.prefix = prefixOf(key, this.keyBytes)
  }

  #keyOfBytes(bytes: number): Bytes {
    return bytes <= this.#otherKey.bytes.length ? this.#otherKey : bytesOf(Buffer.allocUnsafeSlow(bytes * 2))
  }

  #varint(from: number): [number, number] {
    let value = 0
    let at = from
    for (let scale = 1; at < this.#endAt && at - from < 6; scale *= 128) {
      const byte = byteAt(this.block.bytes, at)
      at += 1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return [value, at]
    }
    throw this.#damaged('has a cut entry')
  }

  #damaged(what: string): Error {
    if (this.#piece === undefined) throw new Error('an entry is decoded before it is read')
    return tableDamaged(this.#piece.table, what)
  }
}

/** Everything in tables, at most a window at a time; a piece is valid until the second one behind it is asked for. */
async function* piecesOf(tables: Iterable<RunTable>): AsyncGenerator<Piece, void> {
  let [window, other]: Buffer[] = [Buffer.alloc(0), Buffer.alloc(0)]
  for (const next of tables) {
    const table = await next.open()
    try {
      for (const span of spansOf(await openTableBlocks(table))) {
        ;[window, other] = [other, window]
        if (window === undefined || window.length < span.bytes) {
          // Spans differ by a block: each that is a little longer than all before it would be one more window.
          window = Buffer.allocUnsafeSlow(Math.max(span.bytes, Math.min(WINDOW_BYTES, table.bytes)))
        }
        const bytes = window.subarray(0, span.bytes)
        const read = await table.read(bytes, span.position)
        if (read !== span.bytes) throw tableDamaged(table, 'is shorter than its length')
        yield { table, bytes, position: span.position, handles: span.handles }
      }
    } finally {
      await table.close()
    }
  }
}

/** Blocks that are read in one call. */
interface Span {
  readonly position: number
  readonly bytes: number
  readonly handles: readonly BlockHandle[]
}

function* spansOf(all: Iterator<BlockHandle>): Generator<Span, void> {
  let handles: BlockHandle[] = []
  let position = 0
  let endAt = 0
  for (let next = all.next(); next.done !== true; next = all.next()) {
    const handle = next.value
    const handleEndAt = handle.position + handle.bytes + TRAILER_BYTES
    if (handles.length > 0 && handleEndAt - position > WINDOW_BYTES) {
      yield { position, bytes: endAt - position, handles }
      handles = []
    }
    if (handles.length === 0) position = handle.position
    handles.push(handle)
    endAt = handleEndAt
  }
  if (handles.length > 0) yield { position, bytes: endAt - position, handles }
}

function prefixOf({ bytes, words }: Bytes, keyBytes: number): number {
  if (keyBytes >= PREFIX_BYTES) return words.getUint16(0) * 2 ** 32 + words.getUint32(2)
  let prefix = 0
  for (let index = 0; index < PREFIX_BYTES; index += 1) {
    prefix = prefix * 256 + (index < keyBytes ? byteAt(bytes, index) : 0)
  }
  return prefix
}

function readU24(words: DataView, at: number): number {
  return words.getUint16(at, true) + words.getUint8(at + 2) * 2 ** 16
}

/** Negative when `a` comes before `b`: by key, the newer entry of a key first. */
export function compareRuns(a: TableRun, b: TableRun): number {
  if (a.prefix !== b.prefix) return a.prefix - b.prefix
  const common = Math.min(a.keyBytes, b.keyBytes)
  for (let index = 0; index < common; index += 1) {
    const difference = byteAt(a.key.bytes, index) - byteAt(b.key.bytes, index)
    if (difference !== 0) return difference
  }
  return a.keyBytes - b.keyBytes || b.sequence - a.sequence
}

/** Within bounds by the checks around it; beyond the end it would be `undefined`, which no comparison takes for a byte. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}
