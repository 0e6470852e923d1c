/**
 * Sorting of keys that lie in one memory. A comparison written here costs many times what comparing two numbers inside the sort of
 * the engine does; so four bytes of each key and its place become one number, and keys that agree in these are sorted again by the
 * next four that differ.
 */

/** Keys in one memory, by number. */
export interface KeyPlaces {
  readonly memory: Uint8Array
  readonly count: number
  keyAt(index: number): number
  keyBytes(index: number): number
}

/** Up to here putting each in its place is faster than numbers. */
const FEW = 24
/** 32 bits of key and 21 of place make a number that is exact. */
const PLACE_COUNT = 2 ** 21
const HEAD_BYTES = 4

/** The numbers of all keys in the order of the keys; of equal ones the greatest number comes first. */
export function orderByKey(keys: KeyPlaces): Uint32Array {
  return new KeySort(keys).run()
}

class KeySort {
  readonly #keys: KeyPlaces
  readonly #order: Uint32Array
  readonly #scratch: Uint32Array
  readonly #heads: Float64Array
  /** Beginnings and ends of what is still to be sorted. */
  readonly #parts: number[] = []

  constructor(keys: KeyPlaces) {
    this.#keys = keys
    this.#order = new Uint32Array(keys.count)
    // Backward, because what follows leaves equal ones as they stand.
    for (let index = 0; index < keys.count; index += 1) this.#order[index] = keys.count - 1 - index
    this.#scratch = new Uint32Array(keys.count)
    this.#heads = new Float64Array(keys.count)
  }

  run(): Uint32Array {
    this.#parts.push(0, this.#order.length)
    for (;;) {
      const end = this.#parts.pop()
      const begin = this.#parts.pop()
      if (begin === undefined || end === undefined) return this.#order
      if (end - begin <= FEW) this.#insert(begin, end)
      else this.#sort(begin, end)
    }
  }

  #sort(begin: number, end: number): void {
    const depth = this.#commonBytes(begin, end)
    // Nothing but one key, again and again: they stand as they should.
    if (depth === undefined) return
    if (end - begin > PLACE_COUNT) {
      this.#compareAll(begin, end)
      return
    }
    const order = this.#order
    const part = this.#heads.subarray(0, end - begin)
    for (let place = 0; place < part.length; place += 1) {
      part[place] = this.#head(order[begin + place] as number, depth) * PLACE_COUNT + place
    }
    part.sort()
    this.#scratch.set(order.subarray(begin, end))
    let runBegin = begin
    let runHead = -1
    for (let place = 0; place < part.length; place += 1) {
      const mixed = part[place] as number
      const head = Math.floor(mixed / PLACE_COUNT)
      order[begin + place] = this.#scratch[mixed - head * PLACE_COUNT] as number
      if (head === runHead) continue
      this.#leave(runBegin, begin + place)
      runBegin = begin + place
      runHead = head
    }
    // Where the heads tell none apart, one key is the beginning of others that go on with zeros.
    if (runBegin === begin) this.#compareAll(begin, end)
    else this.#leave(runBegin, end)
  }

  /** Keys that agree so far. */
  #leave(begin: number, end: number): void {
    if (end - begin > 1) this.#parts.push(begin, end)
  }

  #compareAll(begin: number, end: number): void {
    this.#order.subarray(begin, end).sort((a, b) => this.#compare(a, b))
  }

  #insert(begin: number, end: number): void {
    const order = this.#order
    for (let at = begin + 1; at < end; at += 1) {
      const index = order[at] as number
      let to = at
      for (; to > begin && this.#compare(order[to - 1] as number, index) > 0; to -= 1) {
        order[to] = order[to - 1] as number
      }
      order[to] = index
    }
  }

  /** How many bytes all of them begin with; `undefined` when all are the same. */
  #commonBytes(begin: number, end: number): number | undefined {
    const keys = this.#keys
    const { memory } = keys
    const first = this.#order[begin] as number
    const firstAt = keys.keyAt(first)
    const firstBytes = keys.keyBytes(first)
    let common = firstBytes
    let isSameLength = true
    for (let at = begin + 1; at < end; at += 1) {
      const index = this.#order[at] as number
      const keyAt = keys.keyAt(index)
      const keyBytes = keys.keyBytes(index)
      if (keyBytes !== firstBytes) isSameLength = false
      if (keyBytes < common) common = keyBytes
      let same = 0
      while (same < common && memory[keyAt + same] === memory[firstAt + same]) same += 1
      common = same
    }
    return isSameLength && common === firstBytes ? undefined : common
  }

  /** Four bytes of a key as a number, a short one filled up with zeros. */
  #head(index: number, depth: number): number {
    const { memory } = this.#keys
    const at = this.#keys.keyAt(index) + depth
    const left = this.#keys.keyBytes(index) - depth
    if (left >= HEAD_BYTES) {
      return (
        (((memory[at] as number) << 24) |
          ((memory[at + 1] as number) << 16) |
          ((memory[at + 2] as number) << 8) |
          (memory[at + 3] as number)) >>>
        0
      )
    }
    let head = 0
    for (let byte = 0; byte < HEAD_BYTES; byte += 1) {
      head = head * 256 + (byte < left ? (memory[at + byte] as number) : 0)
    }
    return head
  }

  #compare(a: number, b: number): number {
    const keys = this.#keys
    const { memory } = keys
    const aAt = keys.keyAt(a)
    const bAt = keys.keyAt(b)
    const aBytes = keys.keyBytes(a)
    const bBytes = keys.keyBytes(b)
    const common = Math.min(aBytes, bBytes)
    for (let byte = 0; byte < common; byte += 1) {
      const difference = (memory[aAt + byte] as number) - (memory[bAt + byte] as number)
      if (difference !== 0) return difference
    }
    return aBytes - bBytes || b - a
  }
}
