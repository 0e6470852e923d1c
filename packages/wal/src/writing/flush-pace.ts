/** Below this average a flush on the calling thread costs less than handing it to another, in microseconds. */
const INLINE_US_MAX = 250
/** Groups above this go to another thread in any case: copying them into the kernel alone would hold up the loop. */
const INLINE_BYTES_MAX = 256 * 1024
/** One hiccup counts no more than this, in microseconds, so that it is soon forgotten. */
const SAMPLE_US_MAX = 500
/** After this many groups on another thread one is tried here again: what is measured there includes the hop. */
const PROBE_EVERY = 64

/** Whether a frame is written on the calling thread. */
export function isSmall(bytes: number): boolean {
  return bytes <= INLINE_BYTES_MAX
}

/** Decides, by a moving average of what flushes took, where the next group is synced. */
export class FlushPace {
  #averageUs = 0
  #handedOver = 0

  /** Whether the next sync is done on the calling thread. */
  inline(): boolean {
    if (this.#averageUs < INLINE_US_MAX) return true
    this.#handedOver += 1
    return this.#handedOver % PROBE_EVERY === 0
  }

  measured(ms: number, inline: boolean): void {
    const sampleUs = Math.min(ms * 1000, SAMPLE_US_MAX)
    const probe = inline && this.#averageUs >= INLINE_US_MAX
    this.#averageUs =
      probe && sampleUs < INLINE_US_MAX ? sampleUs : this.#averageUs * 0.875 + sampleUs * 0.125
  }
}
