/** Below this average a flush on the calling thread costs less than handing it to another, in microseconds. */
const INLINE_US_MAX = 120
/** Groups above this go to another thread in any case: copying them into the kernel alone would hold up the loop. */
const INLINE_BYTES_MAX = 256 * 1024
/** One hiccup counts no more than this, in microseconds, so that it is soon forgotten. */
const SAMPLE_US_MAX = 1000
/** After this many groups on another thread one is tried here again: what is measured there includes the hop. */
const PROBE_EVERY = 256

/** Decides, by a moving average of what flushes took, where the next group is written and synced. */
export class FlushPace {
  #averageUs = 0
  #handedOver = 0

  inline(bytes: number): boolean {
    if (bytes > INLINE_BYTES_MAX) return false
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
