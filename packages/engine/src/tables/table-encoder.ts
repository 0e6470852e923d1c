/**
 * A table as LevelDB itself writes one, made of operations that are in order already: LevelDB's way there is an insertion of each into
 * a list in memory. See FORMAT.md, "Tables made beside LevelDB".
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */
import { KEY_SUFFIX_BYTES, TRAILER_BYTES } from '../leveldb/leveldb-table-layout.ts'
import type { OperationWindow } from './operation-window.ts'
import type { TableBlocks } from './table-blocks.ts'
import { TableFilter } from './table-filter.ts'
import { encodeTail } from './table-tail.ts'
import type { IndexedBlock } from './table-tail.ts'
import { PIECE_BYTES } from './window-memory.ts'

/** What a MANIFEST has to say of a table. */
export interface EncodedTable {
  readonly bytes: number
  /** Its first and last key, with LevelDB's suffix of 8 bytes. */
  readonly smallest: Buffer
  readonly largest: Buffer
}

/** The first piece of a table; each is twice as long as the one before, up to the full length: what is on its way early is written early. */
const FIRST_PIECE_BYTES = 64 * 1024
const PUT = 1
const DELETION = 0

/**
 * The bytes of a table with the newest operation of each key in a window, piece by piece; a piece is valid until the second one behind it is asked
 * for, so that it can be written beside the making of the next. Nothing may be put into the window meanwhile.
 * All entries have one sequence number, which must be greater than all before it: LevelDB compares them only between entries of one key.
 */
export function* encodeTable(window: OperationWindow, sequence: number): Generator<Buffer, EncodedTable> {
  const encoder = new TableEncoder(window, sequence)
  for (
    let pieceBytes = FIRST_PIECE_BYTES;
    encoder.hasMore;
    pieceBytes = Math.min(pieceBytes * 2, PIECE_BYTES)
  )
    yield encoder.piece(pieceBytes)
  const { tail, table } = encoder.end()
  yield tail
  return table
}

class TableEncoder {
  readonly #window: OperationWindow
  readonly #order: Uint32Array
  readonly #blocks: TableBlocks
  /** What LevelDB has behind each key as two numbers, without the type. */
  readonly #suffixLow: number
  readonly #suffixHigh: number
  readonly #filter = new TableFilter()
  readonly #index: IndexedBlock[] = []
  /** Of the next operation in the order. */
  #place = 0
  /** Bytes of the table in pieces so far. */
  #bytes = 0
  #pieces = 0
  #last: Buffer = Buffer.alloc(0)

  constructor(window: OperationWindow, sequence: number) {
    this.#window = window
    // The type is the lowest byte.
    this.#suffixLow = (sequence % 2 ** 24) << 8
    this.#suffixHigh = Math.floor(sequence / 2 ** 24) | 0
    const { all } = window
    this.#order = window.inOrder()
    all.numbers(all.orderAt, this.#order.length).set(this.#order)
    this.#blocks = all.blocks
    this.#blocks.begin(all.contentAt, all.placesAt, all.orderAt, this.#order.length)
    this.#blocks.number(this.#suffixLow, this.#suffixHigh, all.filtersAt)
  }

  get hasMore(): boolean {
    return this.#place < this.#order.length
  }

  /** Whole blocks, until they have so many bytes or there is nothing left. */
  piece(bytes: number): Buffer {
    const { all } = this.#window
    const blocks = this.#blocks
    const at = all.piecesAt[this.#pieces % 2] as number
    blocks.beginPiece(at)
    let end = at
    while (end - at < bytes && this.hasMore) {
      const blockAt = end
      this.#place = blocks.addBlock(this.#place)
      end = unsigned(blocks.pieceEnd())
      // Nothing but older operations on the key before.
      if (end === blockAt) continue
      const position = this.#bytes + blockAt - at
      this.#last = this.#keyOf(unsigned(blocks.lastAdded()))
      this.#index.push({ lastKey: this.#last, handle: { position, bytes: end - blockAt - TRAILER_BYTES } })
      this.#filter.endBlock(unsigned(blocks.filtersEnd()) - all.filtersAt, this.#bytes + end - at)
    }
    this.#pieces += 1
    this.#bytes += end - at
    return all.bytes(at, end - at)
  }

  end(): { readonly tail: Buffer; readonly table: EncodedTable } {
    const { all } = this.#window
    const filter = this.#filter.end(
      all.bytes(all.filtersAt, unsigned(this.#blocks.filtersEnd()) - all.filtersAt),
    )
    const tail = encodeTail(this.#bytes, this.#index, filter)
    const smallest = this.#keyOf(this.#order[0] as number)
    return { tail, table: { bytes: this.#bytes + tail.length, smallest, largest: this.#last } }
  }

  /** A copy of a key with what stands behind it. */
  #keyOf(index: number): Buffer {
    const window = this.#window
    const [at, bytes] = [window.keyAt(index), window.keyBytes(index)]
    const key = Buffer.allocUnsafe(bytes + KEY_SUFFIX_BYTES)
    window.memory.copy(key, 0, at, at + bytes)
    key.writeInt32LE(this.#suffixLow | (window.isDeletion(index) ? DELETION : PUT), bytes)
    key.writeInt32LE(this.#suffixHigh, bytes + 4)
    return key
  }
}

/** The module's numbers have no sign. */
function unsigned(value: number): number {
  return value >>> 0
}
