/**
 * A table as LevelDB itself writes one, made of operations that are in order already: LevelDB's way there is an insertion of each into
 * a list in memory. See FORMAT.md, "Tables made beside LevelDB".
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */
import { type Bytes, bytesOf, copyBytes } from '../byte-copy.ts'
import { crc32cOf, maskCrc } from '../leveldb/leveldb-crc.ts'
import { FOOTER_BYTES, KEY_SUFFIX_BYTES, MAGIC, TRAILER_BYTES } from '../leveldb/leveldb-table-layout.ts'
import type { BlockHandle } from '../leveldb/leveldb-table-layout.ts'
import { encodeVarint, varintBytes } from '../leveldb/leveldb-varint.ts'
import type { OperationWindow } from './operation-window.ts'
import { FILTER_NAME, TableFilter } from './table-filter.ts'

/** What a MANIFEST has to say of a table. */
export interface EncodedTable {
  readonly bytes: number
  /** Its first and last key, with LevelDB's suffix of 8 bytes. */
  readonly smallest: Buffer
  readonly largest: Buffer
}

const BLOCK_BYTES = 4096
const RESTART_ENTRIES = 16
/** More would leave the nearest memory again before its turn comes. */
const TOUCHED_AT_A_TIME = 16
const PIECE_BYTES = 1024 * 1024
/**
 * The first piece of a table; each is twice as long as the one before, up to the full length. In a young process the code of all this is compiled
 * during the first pieces, a long time for few entries: whoever takes turns with them has work to do that needs none of it.
 */
const FIRST_PIECE_BYTES = 64 * 1024
const VARINT_BYTES_MAX = 5
const PUT = 1
const DELETION = 0

/**
 * The bytes of a table with the newest operation of each key in a window, piece by piece; a piece is valid until the second one behind it is asked
 * for, so that it can be written beside the making of the next.
 * All entries have one sequence number, which must be greater than all before it: LevelDB compares them only between entries of one key.
 */
export function* encodeTable(window: OperationWindow, sequence: number): Generator<Buffer, EncodedTable> {
  const encoder = new TableEncoder(window, sequence)
  const order = window.inOrder()
  let pieceBytes = FIRST_PIECE_BYTES
  for (let place = 0; place < order.length;) {
    place = encoder.addPiece(order, place, pieceBytes)
    if (encoder.readyBytes >= pieceBytes) yield encoder.take()
    pieceBytes = Math.min(pieceBytes * 2, PIECE_BYTES)
  }
  const table = encoder.end()
  yield encoder.take()
  return table
}

class TableEncoder {
  readonly #window: OperationWindow
  /** What LevelDB has behind each key as two numbers, without the type. */
  readonly #suffixLow: number
  readonly #suffixHigh: number
  readonly #filter = new TableFilter()
  readonly #index: { readonly lastKey: Buffer; readonly handle: BlockHandle }[] = []
  #out: Bytes = bytesOf(Buffer.allocUnsafeSlow(PIECE_BYTES + 4 * BLOCK_BYTES))
  /** Where the piece that was taken last lies. */
  #other: Bytes = bytesOf(Buffer.allocUnsafeSlow(PIECE_BYTES + 4 * BLOCK_BYTES))
  /** Bytes of the table that were taken. */
  #taken = 0
  #used = 0
  #blockAt = 0
  #restarts: number[] = []
  #sinceRestart = 0
  #first: Buffer = Buffer.alloc(0)
  #last = -1

  constructor(window: OperationWindow, sequence: number) {
    this.#window = window
    // The type is the lowest byte.
    this.#suffixLow = (sequence % 2 ** 24) << 8
    this.#suffixHigh = Math.floor(sequence / 2 ** 24) | 0
  }

  /** Bytes of whole blocks that were not taken. */
  get readyBytes(): number {
    return this.#blockAt
  }

  /**
   * Adds operations until a piece is ready, and tells the place of the next one. Apart from whoever takes the pieces: the compiler begins with this loop
   * long before it has seen a piece taken, and would have to begin once more.
   */
  addPiece(order: Uint32Array, begin: number, pieceBytes: number): number {
    let place = begin
    while (place < order.length && this.#blockAt < pieceBytes) {
      if (place % TOUCHED_AT_A_TIME === 0)
        this.#window.touch(order.subarray(place, place + TOUCHED_AT_A_TIME))
      this.#add(order[place] as number)
      place += 1
    }
    return place
  }

  /** Adds an operation, unless a later one on its key is in. */
  #add(index: number): void {
    const window = this.#window
    const keyBytes = window.keyBytes(index)
    const valueBytes = window.valueBytes(index)
    const common = this.#commonWithLast(index, keyBytes)
    if (common === keyBytes && this.#last !== -1 && window.keyBytes(this.#last) === keyBytes) return
    this.#reserve(keyBytes + valueBytes + KEY_SUFFIX_BYTES + 3 * VARINT_BYTES_MAX)
    const shared = this.#beginsAnew() ? 0 : common
    const keyAt = window.keyAt(index)
    this.#head(shared, keyBytes - shared + KEY_SUFFIX_BYTES, valueBytes)
    this.#copy(window.content, keyAt + shared, keyBytes - shared)
    this.#stamp(index)
    this.#copy(window.content, window.valueAt(index), valueBytes)
    this.#filter.add(window.content, keyAt, keyBytes)
    if (this.#last === -1) this.#first = this.#keyOf(index)
    this.#last = index
    this.#sinceRestart += 1
    if (this.#used - this.#blockAt + this.#restarts.length * 4 + 4 >= BLOCK_BYTES) this.#endDataBlock()
  }

  /** What is ready; the rest stays. Valid until the call after the next. */
  take(): Buffer {
    const taken = this.#out
    const piece = taken.bytes.subarray(0, this.#blockAt)
    this.#out = this.#other
    this.#other = taken
    this.#taken += piece.length
    // Pieces are taken between blocks.
    this.#used = 0
    this.#blockAt = 0
    return piece
  }

  end(): EncodedTable {
    if (this.#used > this.#blockAt) this.#endDataBlock()
    const filter = this.#plainBlock(this.#filter.end())
    const meta = this.#handleBlock([{ lastKey: Buffer.from(`filter.${FILTER_NAME}`), handle: filter }])
    const index = this.#handleBlock(this.#index)
    this.#footer(meta, index)
    return {
      bytes: this.#taken + this.#used,
      smallest: this.#first,
      largest: this.#keyOf(this.#last),
    }
  }

  /** Where readers may begin a key is written whole. */
  #beginsAnew(): boolean {
    if (this.#used > this.#blockAt && this.#sinceRestart < RESTART_ENTRIES) return false
    this.#restarts.push(this.#used - this.#blockAt)
    this.#sinceRestart = 0
    return true
  }

  #commonWithLast(index: number, keyBytes: number): number {
    if (this.#last === -1) return 0
    const window = this.#window
    const { memory } = window
    const at = window.keyAt(index)
    const lastAt = window.keyAt(this.#last)
    const most = Math.min(keyBytes, window.keyBytes(this.#last))
    let common = 0
    while (common < most && memory[at + common] === memory[lastAt + common]) common += 1
    return common
  }

  /** Type and sequence number stand behind a key. */
  #stamp(index: number): void {
    const { words } = this.#out
    const at = this.#used
    words.setInt32(at, this.#suffixOf(index), true)
    words.setInt32(at + 4, this.#suffixHigh, true)
    this.#used = at + KEY_SUFFIX_BYTES
  }

  /** Its first four bytes. */
  #suffixOf(index: number): number {
    return this.#suffixLow | (this.#window.isDeletion(index) ? DELETION : PUT)
  }

  /** A copy of a key with what stands behind it. */
  #keyOf(index: number): Buffer {
    const keyBytes = this.#window.keyBytes(index)
    const key = Buffer.allocUnsafe(keyBytes + KEY_SUFFIX_BYTES)
    copyBytes(bytesOf(key), 0, this.#window.content, this.#window.keyAt(index), keyBytes)
    key.writeInt32LE(this.#suffixOf(index), keyBytes)
    key.writeInt32LE(this.#suffixHigh, keyBytes + 4)
    return key
  }

  #endDataBlock(): void {
    const handle = this.#endBlock()
    this.#index.push({ lastKey: this.#keyOf(this.#last), handle })
    this.#filter.beginBlock(this.#taken + this.#used)
  }

  /** A block that is a list of places of blocks. */
  #handleBlock(entries: readonly { readonly lastKey: Buffer; readonly handle: BlockHandle }[]): BlockHandle {
    for (const { lastKey, handle } of entries) {
      this.#reserve(lastKey.length + 7 * VARINT_BYTES_MAX)
      this.#restarts.push(this.#used - this.#blockAt)
      this.#head(0, lastKey.length, varintBytes(handle.position) + varintBytes(handle.bytes))
      this.#append(lastKey)
      this.#varint(handle.position)
      this.#varint(handle.bytes)
    }
    return this.#endBlock()
  }

  #plainBlock(content: Buffer): BlockHandle {
    this.#reserve(content.length)
    this.#append(content)
    return this.#sealBlock()
  }

  #endBlock(): BlockHandle {
    this.#reserve(this.#restarts.length * 4 + 4)
    for (const restart of this.#restarts) this.#fixed(restart)
    this.#fixed(this.#restarts.length)
    this.#restarts = []
    this.#sinceRestart = 0
    return this.#sealBlock()
  }

  /** Plain, and the checksum, which covers the byte that says so. */
  #sealBlock(): BlockHandle {
    this.#reserve(TRAILER_BYTES)
    const handle = { position: this.#taken + this.#blockAt, bytes: this.#used - this.#blockAt }
    const { bytes, words } = this.#out
    bytes[this.#used] = 0
    this.#used += 1
    this.#fixed(maskCrc(crc32cOf(words, { begin: this.#blockAt, end: this.#used })))
    this.#blockAt = this.#used
    return handle
  }

  #footer(meta: BlockHandle, index: BlockHandle): void {
    this.#reserve(FOOTER_BYTES)
    const footer = Buffer.alloc(FOOTER_BYTES)
    Buffer.concat([encodeHandle(meta), encodeHandle(index)]).copy(footer)
    footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8)
    this.#append(footer)
    this.#blockAt = this.#used
  }

  #reserve(bytes: number): void {
    const out = this.#out.bytes
    if (out.length - this.#used >= bytes) return
    const wider = Buffer.allocUnsafeSlow((this.#used + bytes) * 2)
    out.copy(wider, 0, 0, this.#used)
    this.#out = bytesOf(wider)
  }

  /** What an entry begins with: three lengths, of a byte each for nearly all. */
  #head(shared: number, ownBytes: number, valueBytes: number): void {
    if ((shared | ownBytes | valueBytes) < 0x80) {
      const { bytes } = this.#out
      const at = this.#used
      bytes[at] = shared
      bytes[at + 1] = ownBytes
      bytes[at + 2] = valueBytes
      this.#used = at + 3
      return
    }
    this.#varint(shared)
    this.#varint(ownBytes)
    this.#varint(valueBytes)
  }

  #varint(value: number): void {
    const { bytes } = this.#out
    let rest = value
    while (rest >= 0x80) {
      bytes[this.#used] = (rest & 0x7f) | 0x80
      this.#used += 1
      rest = Math.floor(rest / 0x80)
    }
    bytes[this.#used] = rest
    this.#used += 1
  }

  #fixed(value: number): void {
    this.#out.words.setUint32(this.#used, value, true)
    this.#used += 4
  }

  #copy(from: Bytes, at: number, count: number): void {
    copyBytes(this.#out, this.#used, from, at, count)
    this.#used += count
  }

  #append(content: Buffer): void {
    this.#out.bytes.set(content, this.#used)
    this.#used += content.length
  }
}

function encodeHandle({ position, bytes }: BlockHandle): Buffer {
  return Buffer.concat([encodeVarint(position), encodeVarint(bytes)])
}
