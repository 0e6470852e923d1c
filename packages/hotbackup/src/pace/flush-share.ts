/**
 * The copy at full speed beside a writer: no rate, but a bounded share of the disk's time. A commit waits behind whatever is being flushed,
 * so the copy flushes slice by slice, one at a time, and between two flushes leaves the disk to the writer for a multiple of what the last
 * one took. That holds on any disk, fast or slow, where a rate would be right for one of them.
 */
import { sleep } from './sleep.ts'
import type { RateLimit } from './rate-limit.ts'

export interface FlushShareOptions {
  /** Asked at each take: while it says no, nothing waits and nothing is flushed before its time. */
  readonly applies: () => boolean | Promise<boolean>
  readonly signal?: AbortSignal | undefined
  readonly nowMs?: () => number
  readonly sleepMs?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/**
 * Larger ones make the writer wait longer, smaller ones cost it more for each byte: whatever a flush holds, it commits the file system's
 * journal too.
 */
export const SHARED_SLICE_BYTES: number = 512 * 1024

/** The writer has the disk so many times as long as the copy. */
export const REST_FACTOR = 5

/** A flush that would earn more was a disk that stood still, or a machine that slept: nobody had that time, and none is owed for it. */
export const REST_MS_MAX = 10_000

/** So much of a rest may be made up for by a shorter one: timers are late by a millisecond or two. */
const CATCH_UP_MS = 5

/** Makes a limit shared by everything that calls its `take` and `settle`. */
export function flushShare(options: FlushShareOptions): RateLimit {
  return new FlushShare(options)
}

class FlushShare implements RateLimit {
  readonly #applies: () => boolean | Promise<boolean>
  readonly #signal: AbortSignal | undefined
  readonly #nowMs: () => number
  readonly #sleepMs: (ms: number, signal: AbortSignal | undefined) => Promise<void>
  #isSharing = true
  #turn: Promise<void> = Promise.resolve()
  #freeAtMs: number
  #waitedMs = 0

  constructor({ applies, signal, nowMs, sleepMs }: FlushShareOptions) {
    this.#applies = applies
    this.#signal = signal
    this.#nowMs = nowMs ?? (() => performance.now())
    this.#sleepMs = sleepMs ?? sleep
    this.#freeAtMs = this.#nowMs()
  }

  get isSlicing(): boolean {
    return this.#isSharing
  }

  get waitedMs(): number {
    return this.#waitedMs
  }

  async take(bytes: number): Promise<number> {
    this.#isSharing = await this.#applies()
    this.#signal?.throwIfAborted()
    return this.#isSharing ? Math.min(bytes, SHARED_SLICE_BYTES) : bytes
  }

  async settle(_bytes: number, sync: () => Promise<void>): Promise<boolean> {
    if (!this.#isSharing) return false
    const flushed = this.#turn.then(() => this.#flush(sync))
    // A failure is told to whoever asked for that flush; the next one has its turn all the same.
    this.#turn = flushed.catch(() => undefined)
    await flushed
    return true
  }

  async #flush(sync: () => Promise<void>): Promise<void> {
    const askedAtMs = this.#nowMs()
    if (this.#freeAtMs > askedAtMs) {
      await this.#sleepMs(this.#freeAtMs - askedAtMs, this.#signal)
      this.#waitedMs += this.#nowMs() - askedAtMs
    }
    const beginMs = this.#nowMs()
    await sync()
    const flushMs = this.#nowMs() - beginMs
    const restMs = Math.min(flushMs * REST_FACTOR, REST_MS_MAX)
    this.#freeAtMs = Math.max(this.#freeAtMs, beginMs - CATCH_UP_MS) + flushMs + restMs
  }
}
