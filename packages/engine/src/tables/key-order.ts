/**
 * Sorting of keys that lie in one memory. A comparison written here costs many times what counting does; so four bytes of each key become
 * a number, by which they are put in their places a third of it at a time, and keys that agree in these are sorted again by the next
 * four that differ. For few, the engine's own sort of numbers takes less than clearing the counts.
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
/** Fewer than this are left to the engine's own sort: 32 bits of key and the place make a number that is exact. */
const PLACE_COUNT = 2 ** 11
/** A third of 32 bits, rounded up. */
const DIGIT_BITS = 11
const DIGITS = 2 ** DIGIT_BITS
const DIGIT_COUNT = 3
const HEAD_BYTES = 4

/** The numbers of all keys in the order of the keys; of equal ones the greatest number comes first. */
export function orderByKey(keys: KeyPlaces): Uint32Array {
  return new KeySort(keys).run()
}

class KeySort {
  readonly #keys: KeyPlaces
  readonly #order: Uint32Array
  readonly #otherOrder: Uint32Array
  #heads: Uint32Array
  #otherHeads: Uint32Array
  /** Heads with places, of as many as are left to the engine's sort. */
  readonly #mixed: Float64Array = new Float64Array(PLACE_COUNT)
  /** Beginnings and ends of what is still to be sorted. */
  readonly #parts: number[] = []

  constructor(keys: KeyPlaces) {
    this.#keys = keys
    this.#order = new Uint32Array(keys.count)
    // Backward, because what follows leaves equal ones as they stand.
    for (let index = 0; index < keys.count; index += 1) this.#order[index] = keys.count - 1 - index
    this.#otherOrder = new Uint32Array(keys.count)
    this.#heads = new Uint32Array(keys.count)
    this.#otherHeads = new Uint32Array(keys.count)
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
    const isOne = end - begin > PLACE_COUNT ? this.#count(begin, end, depth) : this.#mix(begin, end, depth)
    // Where the heads tell none apart, one key is the beginning of others that go on with zeros.
    if (isOne) this.#compareAll(begin, end)
  }

  /** By the engine's sort of numbers. True when all heads are the same. */
  #mix(begin: number, end: number, depth: number): boolean {
    const order = this.#order
    const part = this.#mixed.subarray(0, end - begin)
    for (let place = 0; place < part.length; place += 1) {
      part[place] = this.#head(order[begin + place] as number, depth) * PLACE_COUNT + place
    }
    part.sort()
    this.#otherOrder.set(order.subarray(begin, end))
    for (let place = 0; place < part.length; place += 1) {
      const mixed = part[place] as number
      const head = Math.floor(mixed / PLACE_COUNT)
      this.#heads[place] = head
      order[begin + place] = this.#otherOrder[mixed - head * PLACE_COUNT] as number
    }
    return this.#leaveRuns(begin, end)
  }

  /** By counting, the last third of the heads first: equal ones stay as they stand. True when all heads are the same. */
  #count(begin: number, end: number, depth: number): boolean {
    const length = end - begin
    const counts = new Uint32Array(DIGIT_COUNT * DIGITS)
    let heads = this.#heads
    let order = this.#order.subarray(begin, end)
    for (let place = 0; place < length; place += 1) {
      const head = this.#head(order[place] as number, depth)
      heads[place] = head
      for (let digit = 0; digit < DIGIT_COUNT; digit += 1) {
        const at = digit * DIGITS + ((head >>> (digit * DIGIT_BITS)) & (DIGITS - 1))
        counts[at] = (counts[at] as number) + 1
      }
    }
    let otherHeads = this.#otherHeads
    let otherOrder = this.#otherOrder
    for (let digit = 0; digit < DIGIT_COUNT; digit += 1) {
      const from = { heads, order, length }
      distribute(from, { heads: otherHeads, order: otherOrder }, { counts, digit })
      ;[heads, otherHeads] = [otherHeads, heads]
      ;[order, otherOrder] = [otherOrder, order]
    }
    // An odd number of times: they are in the others now.
    this.#heads = heads
    this.#otherHeads = otherHeads
    otherOrder.set(order.subarray(0, length))
    return this.#leaveRuns(begin, end)
  }

  /** Leaves those whose heads agree for another round; true, and leaves nothing, when all of them do. */
  #leaveRuns(begin: number, end: number): boolean {
    const heads = this.#heads
    let runBegin = begin
    for (let place = begin + 1; place < end; place += 1) {
      if (heads[place - begin] === heads[place - 1 - begin]) continue
      this.#leave(runBegin, place)
      runBegin = place
    }
    if (runBegin === begin) return true
    this.#leave(runBegin, end)
    return false
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
      // Most scattered keys: nothing that follows would say otherwise.
      if (common === 0) return 0
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

interface Heads {
  readonly heads: Uint32Array
  readonly order: Uint32Array
}

/** Puts heads and what they belong to in the order of one digit. */
function distribute(
  from: Heads & { readonly length: number },
  to: Heads,
  { counts, digit }: { readonly counts: Uint32Array; readonly digit: number },
): void {
  const places = counts.subarray(digit * DIGITS, (digit + 1) * DIGITS)
  let before = 0
  for (let value = 0; value < DIGITS; value += 1) {
    const count = places[value] as number
    places[value] = before
    before += count
  }
  const shift = digit * DIGIT_BITS
  for (let place = 0; place < from.length; place += 1) {
    const head = from.heads[place] as number
    const value = (head >>> shift) & (DIGITS - 1)
    const at = places[value] as number
    places[value] = at + 1
    to.heads[at] = head
    to.order[at] = from.order[place] as number
  }
}
