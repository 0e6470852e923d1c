/**
 * The memory of a window, in one piece, so that the module that makes blocks reaches all of it: the module's own, keys and values, where each
 * of them lies, and room for the order, the filters and two pieces of a table. What is never touched is no memory.
 */
import { PAGE_BYTES } from '@timberline/wal'
import type { ModuleMemory } from '@timberline/wal'
import { type Bytes, bytesOf } from '../byte-copy.ts'
import { tableBlocks, windowPages } from './table-blocks.ts'
import type { TableBlocks } from './table-blocks.ts'

/** The module keeps its own below. */
const CONTENT_AT = 16_384
/** Where key and value begin, and their lengths: side by side, since who needs one of them mostly needs all. */
export const PLACE_NUMBERS = 4
const NUMBER_BYTES = 4
const PLACE_BYTES = PLACE_NUMBERS * NUMBER_BYTES
/** Ten bits of a filter, and what a filter has at least, if each key had one of its own. */
const FILTER_BYTES = 12
/** A data block ends with the entry by which it has so many. */
const BLOCK_BYTES = 4096
/** So long is a piece before its last block. */
export const PIECE_BYTES: number = 1024 * 1024

/** Memory for so many bytes of keys and values, and so many operations. */
export class WindowMemory {
  readonly contentAt: number = CONTENT_AT
  readonly placesAt: number
  readonly orderAt: number
  readonly filtersAt: number
  readonly piecesAt: readonly [number, number]
  /** Where all keys and values lie. */
  readonly content: Bytes
  readonly places: Uint32Array
  readonly #memory: ModuleMemory
  #blocks: TableBlocks | undefined

  constructor(contentBytes: number, operations: number) {
    this.placesAt = aligned(CONTENT_AT + contentBytes)
    this.orderAt = this.placesAt + operations * PLACE_BYTES
    this.filtersAt = this.orderAt + operations * NUMBER_BYTES
    const firstAt = aligned(this.filtersAt + operations * FILTER_BYTES)
    // A block may be as long as all that there is.
    const pieceBytes = aligned(PIECE_BYTES + 2 * BLOCK_BYTES + contentBytes)
    this.piecesAt = [firstAt, firstAt + pieceBytes]
    const pages = Math.ceil((firstAt + 2 * pieceBytes) / PAGE_BYTES)
    this.#memory = windowPages(pages)
    this.content = bytesOf(this.bytes(CONTENT_AT, contentBytes))
    this.places = this.numbers(this.placesAt, operations * PLACE_NUMBERS)
  }

  /** What makes blocks of what lies here. */
  get blocks(): TableBlocks {
    this.#blocks ??= tableBlocks(this.#memory)
    return this.#blocks
  }

  bytes(at: number, count: number): Buffer {
    return Buffer.from(this.#memory.buffer, at, count)
  }

  numbers(at: number, count: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, at, count)
  }
}

/** Numbers lie at multiples of four. */
function aligned(at: number): number {
  return Math.ceil(at / PLACE_BYTES) * PLACE_BYTES
}
