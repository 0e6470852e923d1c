/**
 * The history that killed writers write: step n is one commit, a function of n and of the way in which it was written, so that the
 * state after any step is known without having watched it. Every value begins with the number of its step, and no step takes
 * away the number of the last but a clear, so that a state tells where it stands.
 */
import { transaction, type Operation } from '../../packages/hotbackup/test/history.ts'

/** The ways in which a writer writes, or what runs beside it. */
export const WAYS = [
  'single puts',
  'concurrent puts',
  'batches',
  'transactions',
  'clears',
  'unsynced commits among others',
  'checkpoints and rolls',
  'a shipper in the same process',
  'a shipper beside, killed as well',
  'a hot backup beside, killed as well',
] as const

export type Way = (typeof WAYS)[number]

/** One commit. */
export type Step =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'batch'; readonly operations: readonly Operation[] }
  | { readonly type: 'clear'; readonly gte: string; readonly lt: string }

const SHAPE = { keyCount: 300, valueBytes: 90 }

/** The commit with this number. */
export function stepOf(way: Way, n: number): Step {
  if (way === 'single puts' || way === 'concurrent puts') {
    const key = `single-${String((n * 7) % 100).padStart(3, '0')}`
    return { type: 'put', key, value: `${String(n)} ${'single '.repeat(n % 30)}` }
  }
  if (way === 'clears' && n % 3 === 0) {
    const from = (n * 31) % SHAPE.keyCount
    return { type: 'clear', gte: keyOf(from), lt: keyOf(from + 40) }
  }
  return { type: 'batch', operations: transaction(n, SHAPE) }
}

function keyOf(index: number): string {
  return `key-${String(index).padStart(6, '0')}`
}

/** The number that a state tells: its step, or the one before when the last step was a clear. */
export function numberIn(state: ReadonlyMap<string, string>): number {
  let most = 0
  for (const [key, value] of state) {
    if (key === 'position' || key.startsWith('single-')) most = Math.max(most, Number.parseInt(value, 10))
  }
  return most
}

/** The states of one home's life, whose steps were written in changing ways. */
export class KillModel {
  readonly #eras: { readonly from: number; readonly way: Way }[] = []
  #state = new Map<string, string>()
  #n = 0

  /** All steps after this number are written in this way, until the next era begins. */
  begin(after: number, way: Way): void {
    while ((this.#eras.at(-1)?.from ?? 0) > after) this.#eras.pop()
    this.#eras.push({ from: after + 1, way })
    if (this.#n > after) this.#rewind()
  }

  at(n: number): ReadonlyMap<string, string> {
    if (n < this.#n) this.#rewind()
    while (this.#n < n) {
      this.#n += 1
      const way = this.#eras.findLast(({ from }) => from <= this.#n)?.way
      if (way === undefined) throw new Error(`nobody has written step ${String(this.#n)}`)
      this.#apply(stepOf(way, this.#n))
    }
    return this.#state
  }

  #rewind(): void {
    this.#state = new Map()
    this.#n = 0
  }

  #apply(step: Step): void {
    if (step.type === 'put') this.#state.set(step.key, step.value)
    else if (step.type === 'clear') {
      for (const key of this.#state.keys()) {
        if (key >= step.gte && key < step.lt) this.#state.delete(key)
      }
    } else {
      for (const { type, key, value } of step.operations) {
        if (type === 'put') this.#state.set(key, value)
        else this.#state.delete(key)
      }
    }
  }
}
