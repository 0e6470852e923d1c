/** How far the fast clock may stray from the wall clock before it is set anew, in microseconds. */
const DRIFT_US_MAX = 2000

/** The wall clock in microseconds, between its own milliseconds continued by the monotonic clock. */
export function wallClock(): () => number {
  let offsetUs = 0
  return () => {
    const monotonicUs = performance.now() * 1000
    const wallUs = Date.now() * 1000
    if (Math.abs(monotonicUs + offsetUs - wallUs) > DRIFT_US_MAX) offsetUs = wallUs - monotonicUs
    return Math.floor(monotonicUs + offsetUs)
  }
}

/** Gives commit times that strictly increase, also when the clock goes back and over reopening. */
export class CommitClock {
  readonly #now: () => number
  #lastUs: number

  constructor(now: () => number, lastUs: number) {
    this.#now = now
    this.#lastUs = lastUs
  }

  next(): number {
    const now = Math.floor(this.#now())
    this.#lastUs = now > this.#lastUs ? now : this.#lastUs + 1
    return this.#lastUs
  }

  /** The present time, for what is no record. */
  now(): number {
    return Math.floor(this.#now())
  }
}
