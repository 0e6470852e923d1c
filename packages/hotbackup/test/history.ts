/**
 * A history that can be computed again: transaction n is a function of n, so the state after n is known without having
 * watched it. Every transaction also writes its own number, which tells where a recovered state stands.
 */
import { createHash } from 'node:crypto'

export interface Operation {
  readonly type: 'put' | 'del'
  readonly key: string
  readonly value: string
}

/** Keys that the history moves among. */
export interface Shape {
  readonly keyCount: number
  readonly valueBytes: number
  /** Each transaction whose number this divides also writes a value that fills several blocks of a log; default none. */
  readonly bigEvery?: number
}

const BIG_BYTES = 90_000

export const POSITION_KEY = 'position'

/** The operations of transaction n, n from 1: a few puts and deletes, and its number. */
export function transaction(n: number, shape: Shape): Operation[] {
  let random = createHash('sha256').update(String(n)).digest().readUInt32LE(0)
  const next = (bound: number): number => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0
    return Math.floor((random / 2 ** 32) * bound)
  }
  const operations: Operation[] = []
  for (let count = 4 + next(5); count > 0; count -= 1) {
    const key = `key-${String(next(shape.keyCount)).padStart(6, '0')}`
    const type = next(4) === 0 ? 'del' : 'put'
    operations.push({ type, key, value: type === 'put' ? valueOf(n, key, shape) : '' })
  }
  if (shape.bigEvery !== undefined && n % shape.bigEvery === 0) {
    operations.push({
      type: 'put',
      key: 'big',
      value: valueOf(n, 'big', { ...shape, valueBytes: BIG_BYTES }),
    })
  }
  operations.push({ type: 'put', key: POSITION_KEY, value: String(n) })
  return operations
}

function valueOf(n: number, key: string, shape: Shape): string {
  const seed = createHash('sha256').update(`${n} ${key}`).digest('hex')
  return seed.repeat(Math.ceil(shape.valueBytes / seed.length)).slice(0, shape.valueBytes)
}

/** The state after any transaction; going forward costs only the way between. */
export class Model {
  readonly #shape: Shape
  #state = new Map<string, string>()
  #n = 0

  constructor(shape: Shape) {
    this.#shape = shape
  }

  at(n: number): ReadonlyMap<string, string> {
    if (n < this.#n) {
      this.#state = new Map()
      this.#n = 0
    }
    while (this.#n < n) {
      this.#n += 1
      for (const { type, key, value } of transaction(this.#n, this.#shape)) {
        if (type === 'put') this.#state.set(key, value)
        else this.#state.delete(key)
      }
    }
    return this.#state
  }
}

/** The first difference between a state and the model, in words; `undefined` when they are equal. */
export function difference(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string | undefined {
  for (const [key, value] of expected) {
    if (found.get(key) !== value) return `${key}: ${String(found.get(key))} instead of ${value}`
  }
  for (const key of found.keys()) if (!expected.has(key)) return `${key}: should not be there`
  return undefined
}
