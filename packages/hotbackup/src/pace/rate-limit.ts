import { sleep } from './sleep.ts'
import { SliceSize } from './slice-size.ts'

/**
 * A leaky bucket on a schedule: every byte taken moves the earliest time of the next one. Idle time earns at most one
 * burst, so that a pause (a slow flush, say) is not followed by a rush.
 *
 * What is limited moves in slices that are made durable one by one: whoever else flushes to the same disk waits behind what is being
 * flushed there already, and must neither meet that often nor wait for long.
 */
export interface RateLimit {
  /**
   * Resolves with how many of `bytes` may be moved now: at least one, and all without a limit. Rejects with the signal's reason when it
   * aborts first.
   */
  take(bytes: number): Promise<number>
  /**
   * Makes durable so many bytes that were moved, if they are a slice, and tells whether it did; without a limit that is left for later, when it costs least.
   */
  settle(bytes: number, sync: () => Promise<void>): Promise<boolean>
  /** Whether what was taken last is a slice, to be flushed by `settle` and not before. */
  readonly isSlicing: boolean
  /** For how long somebody has been made to wait so far, in milliseconds; several who wait at once count once. */
  readonly waitedMs: number
}

/** `bytesPerS` undefined = no limit. The clock is an argument so that tests need not wait. */
export interface RateLimitOptions {
  readonly bytesPerS: number | undefined
  /** Asked at each take: while it says no, nothing waits. Default: always. */
  readonly applies?: (() => boolean | Promise<boolean>) | undefined
  readonly signal?: AbortSignal | undefined
  readonly nowMs?: () => number
  readonly sleepMs?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/** How much idle time may be caught up with, in milliseconds of allowance. */
const BURST_MS = 100

/** Makes a limit shared by everything that calls its `take`. */
export function rateLimit(options: RateLimitOptions): RateLimit {
  const { bytesPerS, signal } = options
  if (bytesPerS !== undefined) return new Bucket(options, bytesPerS)
  return {
    isSlicing: false,
    waitedMs: 0,
    take: async (bytes) => {
      signal?.throwIfAborted()
      return bytes
    },
    settle: async () => false,
  }
}

class Bucket implements RateLimit {
  readonly #bytesPerS: number
  readonly #slices: SliceSize
  readonly #signal: AbortSignal | undefined
  readonly #applies: () => boolean | Promise<boolean>
  readonly #nowMs: () => number
  readonly #sleepMs: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  #freeAtMs: number
  #isLimiting = true
  #waitingCount = 0
  #waitingSinceMs = 0
  #waitedMs = 0

  constructor(options: RateLimitOptions, bytesPerS: number) {
    this.#bytesPerS = bytesPerS
    this.#slices = new SliceSize(bytesPerS)
    this.#signal = options.signal
    this.#applies = options.applies ?? (() => true)
    this.#nowMs = options.nowMs ?? (() => performance.now())
    this.#sleepMs = options.sleepMs ?? sleep
    this.#freeAtMs = this.#nowMs()
  }

  get isSlicing(): boolean {
    return this.#isLimiting
  }

  get waitedMs(): number {
    return this.#waitedMs
  }

  async take(bytes: number): Promise<number> {
    this.#isLimiting = await this.#applies()
    // After that answer, in whose time it may have been aborted: a sleep waits for aborts to come only.
    this.#signal?.throwIfAborted()
    if (!this.#isLimiting) return bytes
    const slice = Math.min(bytes, this.#slices.bytes)
    const now = this.#nowMs()
    const beginMs = Math.max(this.#freeAtMs, now - BURST_MS)
    this.#freeAtMs = beginMs + (slice / this.#bytesPerS) * 1000
    if (beginMs > now) await this.#wait(beginMs - now)
    return slice
  }

  async settle(bytes: number, sync: () => Promise<void>): Promise<boolean> {
    if (!this.#isLimiting) return false
    const beginMs = this.#nowMs()
    await sync()
    this.#slices.flushed(bytes, this.#nowMs() - beginMs)
    return true
  }

  async #wait(ms: number): Promise<void> {
    if (this.#waitingCount === 0) this.#waitingSinceMs = this.#nowMs()
    this.#waitingCount += 1
    try {
      await this.#sleepMs(ms, this.#signal)
    } finally {
      this.#waitingCount -= 1
      if (this.#waitingCount === 0) this.#waitedMs += this.#nowMs() - this.#waitingSinceMs
    }
  }
}
