/**
 * Operations gathered to become one table. Half a million records would be as many objects, and the collector would work longer
 * than the sorting: so keys and values lie one behind the other in one memory, and numbers tell where.
 */
import { orderByKey } from './key-order.ts'
import type { TransactionCursor } from '../records/transaction-cursor.ts'
import { PLACE_NUMBERS, WindowMemory } from './window-memory.ts'

/** Memory for those who expect no more. */
const MEMORY_BYTES_MIN = 1024 * 1024
/** Operations of fewer bytes in the middle make the memory for places grow. */
const PLACE_BYTES = 64
const GROWTH = 1.5
/** As the length of a value: there is none. */
const DELETED = 0xffff_ffff

/** Gathers operations in their order, and tells the order of their keys. */
export class OperationWindow {
  readonly #expectedBytes: number
  /** None before the first operation. */
  #all: WindowMemory | undefined
  #memory: Buffer = Buffer.alloc(0)
  #places: Uint32Array = new Uint32Array(0)
  #count = 0
  #used = 0

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

  /** Where all keys and values lie. */
  get memory(): Buffer {
    return this.#memory
  }

  /** The same, and what is beside them. */
  get all(): WindowMemory {
    return this.#all ?? this.#widen(this.#expectedBytes, 0)
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
    const { payload } = transaction
    this.#reserve(payload.length)
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
    const { position } = transaction
    this.#memory.set(position === payload.length ? payload : payload.subarray(0, position), begin)
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
    this.#memory.set(key, keyAt)
    this.#memory.set(value, valueAt)
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
    const { length } = this.#memory
    if (this.#used + bytes <= length) return
    this.#widen(Math.max(Math.ceil(length * GROWTH), this.#used + bytes, this.#expectedBytes), this.#count)
  }

  #reservePlaces(count: number): void {
    const wanted = this.#count + count
    if (wanted * PLACE_NUMBERS > this.#places.length) this.#widen(this.#memory.length, wanted * 2)
  }

  #widen(contentBytes: number, operations: number): WindowMemory {
    const expected = Math.ceil(Math.max(this.#expectedBytes, contentBytes) / PLACE_BYTES)
    const wider = new WindowMemory(contentBytes, Math.max(operations, expected))
    this.#memory.copy(wider.content.bytes, 0, 0, this.#used)
    wider.places.set(this.#places.subarray(0, this.#count * PLACE_NUMBERS))
    this.#all = wider
    this.#memory = wider.content.bytes
    this.#places = wider.places
    return wider
  }
}
