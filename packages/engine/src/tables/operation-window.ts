/**
 * Operations gathered to become one table. Half a million records would be as many objects, and the collector would work longer
 * than the sorting: so keys and values lie one behind the other in one memory, and numbers tell where.
 */
import { type Bytes, bytesOf } from '../byte-copy.ts'
import { orderByKey } from './key-order.ts'
import type { TransactionCursor } from '../records/transaction-cursor.ts'

/** Memory for those who expect no more. */
const MEMORY_BYTES_MIN = 1024 * 1024
/** Operations of fewer bytes in the middle make the memory for places grow. */
const PLACE_BYTES = 64
/** Where key and value begin, and their lengths: side by side, since who needs one of them mostly needs all. */
const PLACE_NUMBERS = 4
const GROWTH = 1.5
const CACHE_LINE_BYTES = 64
/** As the length of a value: there is none. */
const DELETED = 0xffff_ffff

/** Gathers operations in their order, and tells the order of their keys. */
export class OperationWindow {
  readonly #expectedBytes: number
  /** Where all keys and values lie. */
  content: Bytes = bytesOf(Buffer.alloc(0))
  #places: Uint32Array<ArrayBufferLike> = new Uint32Array(0)
  #count = 0
  #used = 0
  /** Means nothing: kept, because the compiler leaves out looks at what is not. */
  touched = 0

  /**
   * @param expectedBytes - of keys and values. It costs nothing to expect too much: memory that is never touched is none, while to grow means to copy, and to
   * have the collecting compiled once more
   */
  constructor(expectedBytes: number = MEMORY_BYTES_MIN) {
    this.#expectedBytes = expectedBytes
  }

  /** Operations since the last `clear`. */
  get count(): number {
    return this.#count
  }

  /** Bytes of the memory that they take. */
  get bytes(): number {
    return this.#used
  }

  get memory(): Buffer {
    return this.content.bytes
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#add(key, value, value.length)
  }

  del(key: Uint8Array): void {
    this.#add(key, new Uint8Array(0), DELETED)
  }

  /**
   * Adds the operations of a transaction that was begun. It is copied as it is, by one call, and only places are kept of what is in it.
   *
   * @throws ENGINE_RECORD_DAMAGED; then some may be in, and nothing must be made of them
   */
  addAll(transaction: TransactionCursor): void {
    const begin = this.#used
    this.#reservePlaces(transaction.count)
    const places = this.#places
    let at = this.#count * PLACE_NUMBERS
    while (transaction.next()) {
      places[at] = begin + transaction.keyAt
      places[at + 1] = transaction.keyBytes
      places[at + 2] = begin + transaction.valueAt
      places[at + 3] = transaction.isDeletion ? DELETED : transaction.valueBytes
      at += PLACE_NUMBERS
    }
    const { payload, position } = transaction
    this.#reserve(position)
    this.memory.set(position === payload.length ? payload : payload.subarray(0, position), begin)
    this.#used = begin + position
    this.#count = at / PLACE_NUMBERS
  }

  /** Where the key of an operation begins. */
  keyAt(index: number): number {
    return this.#places[index * PLACE_NUMBERS] as number
  }

  keyBytes(index: number): number {
    return this.#places[index * PLACE_NUMBERS + 1] as number
  }

  valueAt(index: number): number {
    return this.#places[index * PLACE_NUMBERS + 2] as number
  }

  /** 0 for a deletion. */
  valueBytes(index: number): number {
    const bytes = this.#places[index * PLACE_NUMBERS + 3] as number
    return bytes === DELETED ? 0 : bytes
  }

  isDeletion(index: number): boolean {
    return this.#places[index * PLACE_NUMBERS + 3] === DELETED
  }

  key(index: number): Buffer {
    const at = this.keyAt(index)
    return this.memory.subarray(at, at + this.keyBytes(index))
  }

  /** `undefined` for a deletion. */
  value(index: number): Buffer | undefined {
    if (this.isDeletion(index)) return undefined
    const at = this.valueAt(index)
    return this.memory.subarray(at, at + this.valueBytes(index))
  }

  /** The numbers of all operations, by key; of one key the last operation comes first. */
  inOrder(): Uint32Array {
    return orderByKey(this)
  }

  /**
   * Looks at what will be read next, one right behind the other: in the order of the keys nothing lies beside the one before, and the processor waits
   * for all of it at once instead of for each. A quarter of the time of a table goes without.
   */
  touch(indices: Uint32Array): void {
    const { memory } = this
    let touched = 0
    for (let place = 0; place < indices.length; place += 1) {
      const index = indices[place] as number
      const keyAt = this.keyAt(index)
      const endAt = this.valueAt(index) + this.valueBytes(index) - 1
      touched ^= byteAt(memory, keyAt) ^ byteAt(memory, keyAt + CACHE_LINE_BYTES) ^ byteAt(memory, endAt)
    }
    this.touched = touched
  }

  /** Forgets all, and keeps the memory for what comes next. */
  clear(): void {
    this.#count = 0
    this.#used = 0
  }

  #add(key: Uint8Array, value: Uint8Array, valueBytes: number): void {
    this.#reserve(key.length + value.length)
    this.#reservePlaces(1)
    const keyAt = this.#used
    const valueAt = keyAt + key.length
    this.memory.set(key, keyAt)
    this.memory.set(value, valueAt)
    const places = this.#places
    const at = this.#count * PLACE_NUMBERS
    places[at] = keyAt
    places[at + 1] = key.length
    places[at + 2] = valueAt
    places[at + 3] = valueBytes
    this.#used = valueAt + value.length
    this.#count += 1
  }

  #reserve(bytes: number): void {
    const { memory } = this
    if (this.#used + bytes <= memory.length) return
    const wanted = Math.max(Math.ceil(memory.length * GROWTH), this.#used + bytes, this.#expectedBytes)
    // Shared with nobody: but of what is not shared V8's collector counts all of it as used, and looks through everything for more.
    const wider = Buffer.from(new SharedArrayBuffer(wanted))
    memory.copy(wider, 0, 0, this.#used)
    this.content = bytesOf(wider)
  }

  #reservePlaces(count: number): void {
    const wanted = (this.#count + count) * PLACE_NUMBERS
    if (wanted <= this.#places.length) return
    const expected = Math.ceil(this.#expectedBytes / PLACE_BYTES) * PLACE_NUMBERS
    const numbers = Math.max(wanted * 2, expected)
    const wider = new Uint32Array(new SharedArrayBuffer(numbers * Uint32Array.BYTES_PER_ELEMENT))
    wider.set(this.#places)
    this.#places = wider
  }
}

/** Anything beyond the end, where there is nothing to be looked at. */
function byteAt(memory: Buffer, index: number): number {
  return memory[Math.max(0, Math.min(index, memory.length - 1))] as number
}
