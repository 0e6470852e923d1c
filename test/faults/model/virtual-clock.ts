/**
 * Time that passes only when told to. While it is installed, timers, `Date.now` and `performance.now` of this process are its own,
 * rxjs included, which looks its timers up anew at each call. `setImmediate` stays real: it says nothing of time, and the
 * simulated disk takes turns with it. What imports `node:timers/promises` is not reached; on the paths driven here that is
 * only the pause of a transaction after a second conflict.
 */
interface Timer {
  readonly id: number
  dueMs: number
  readonly everyMs: number | undefined
  readonly call: () => void
}

const BEGIN_MS = 1_764_000_000_000
const performanceNow = performance.now.bind(performance)
const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  dateNow: Date.now,
  performanceNow,
}

export class VirtualClock {
  #ms = BEGIN_MS
  #nextId = 1
  readonly #timers = new Map<number, Timer>()

  get ms(): number {
    return this.#ms
  }

  /** Takes the place of the system's clock and timers. */
  install(): void {
    const timeout = (call: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): object =>
      this.#add(() => call(...args), ms ?? 0, undefined)
    const interval = (call: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): object =>
      this.#add(() => call(...args), ms ?? 0, ms ?? 0)
    const clear = (timer: unknown): void => {
      if (timer !== undefined && timer !== null) this.#timers.delete(Number(timer))
    }
    Object.assign(globalThis, {
      setTimeout: timeout,
      setInterval: interval,
      clearTimeout: clear,
      clearInterval: clear,
    })
    Date.now = () => this.#ms
    performance.now = () => this.#ms - BEGIN_MS
  }

  /** Gives the system's clock and timers back; timers that are set stay set, and do not fire meanwhile. */
  uninstall(): void {
    const { setTimeout, clearTimeout, setInterval, clearInterval } = real
    Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval })
    Date.now = real.dateNow
    performance.now = real.performanceNow
  }

  /** Goes to the next timer that is due by `throughMs`, and fires it; false when there is none, and it is `throughMs` then. */
  advance(throughMs: number): boolean {
    let next: Timer | undefined
    for (const timer of this.#timers.values()) {
      if (timer.dueMs <= throughMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer
    }
    if (next === undefined) {
      this.#ms = Math.max(this.#ms, throughMs)
      return false
    }
    this.#ms = Math.max(this.#ms, next.dueMs)
    if (next.everyMs === undefined) this.#timers.delete(next.id)
    else next.dueMs += Math.max(1, next.everyMs)
    next.call()
    return true
  }

  get hasTimers(): boolean {
    return this.#timers.size > 0
  }

  #add(call: () => void, ms: number, everyMs: number | undefined): object {
    const id = this.#nextId++
    this.#timers.set(id, { id, dueMs: this.#ms + Math.max(1, ms), everyMs, call })
    const handle = {
      ref: () => handle,
      unref: () => handle,
      hasRef: () => true,
      [Symbol.toPrimitive]: () => id,
    }
    return handle
  }
}
