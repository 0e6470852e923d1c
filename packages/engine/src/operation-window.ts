/**
 * Operations gathered to become one table. Half a million records would be as many objects, and the collector would work longer
 * than the sorting: so keys and values lie one behind the other in one memory, and numbers tell where.
 */
import { orderByKey } from './key-order.ts'
import { KEY_SUFFIX_BYTES } from './leveldb-table.ts'

/** Memory to begin with: a short log needs no more. */
const MEMORY_BYTES_MIN = 1024 * 1024
const MEMORY_BYTES_USUAL = 64 * MEMORY_BYTES_MIN
const PLACES_MIN = 16 * 1024
const DELETED = -1

/** Gathers operations in their order, and tells the order of their keys. */
export class OperationWindow {
  /** Where all keys and values lie. */
  memory: Buffer = Buffer.alloc(0)
  #keyAt: Uint32Array = new Uint32Array(0)
  #keyBytes: Uint32Array = new Uint32Array(0)
  #valueBytes: Int32Array = new Int32Array(0)
  #count = 0
  #used = 0

  /** Operations since the last `clear`. */
  get count(): number {
    return this.#count
  }

  /** Bytes of the memory that they take. */
  get bytes(): number {
    return this.#used
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#begin(key, value.length)
    this.memory.set(value, this.#used)
    this.#used += value.length
    this.#valueBytes[this.#count] = value.length
    this.#count += 1
  }

  del(key: Uint8Array): void {
    this.#begin(key, 0)
    this.#valueBytes[this.#count] = DELETED
    this.#count += 1
  }

  /**
   * Where the key of an operation begins. Behind it is room for LevelDB's suffix, so that an entry of a table is copied by one call, and
   * then its value.
   */
  keyAt(index: number): number {
    return this.#keyAt[index] as number
  }

  keyBytes(index: number): number {
    return this.#keyBytes[index] as number
  }

  /** 0 for a deletion. */
  valueBytes(index: number): number {
    return Math.max(this.#valueBytes[index] as number, 0)
  }

  isDeletion(index: number): boolean {
    return this.#valueBytes[index] === DELETED
  }

  key(index: number): Buffer {
    const at = this.keyAt(index)
    return this.memory.subarray(at, at + this.keyBytes(index))
  }

  /** `undefined` for a deletion. */
  value(index: number): Buffer | undefined {
    if (this.isDeletion(index)) return undefined
    const at = this.keyAt(index) + this.keyBytes(index) + KEY_SUFFIX_BYTES
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

  #begin(key: Uint8Array, valueBytes: number): void {
    this.#reserve(key.length + KEY_SUFFIX_BYTES + valueBytes)
    const at = this.#used
    this.#keyAt[this.#count] = at
    this.#keyBytes[this.#count] = key.length
    // Most keys are short: a call for each would take longer.
    for (let index = 0; index < key.length; index += 1) this.memory[at + index] = key[index] as number
    this.#used = at + key.length + KEY_SUFFIX_BYTES
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes > this.memory.length) {
      // Memory that is never touched costs nothing, and copying it does.
      const grown = this.memory.length * (this.memory.length < MEMORY_BYTES_USUAL ? 8 : 1.25)
      const wider = Buffer.allocUnsafeSlow(Math.max(grown, this.#used + bytes, MEMORY_BYTES_MIN))
      this.memory.copy(wider, 0, 0, this.#used)
      this.memory = wider
    }
    if (this.#count < this.#keyAt.length) return
    const places = Math.max(this.#count * 2, PLACES_MIN)
    this.#keyAt = widened(this.#keyAt, new Uint32Array(places))
    this.#keyBytes = widened(this.#keyBytes, new Uint32Array(places))
    this.#valueBytes = widened(this.#valueBytes, new Int32Array(places))
  }
}

function widened<List extends Uint32Array | Int32Array>(from: List, into: List): List {
  into.set(from)
  return into
}
