/** Below this average a flush on the calling thread costs less than handing it to another, in microseconds. */
const INLINE_US_MAX = 250
/**
 * What a record takes of the calling thread in any case, in microseconds. A group of many holds the thread up for so long anyway, and
 * its owner's other threads work on it while the thread flushes: so it is flushed here for so much longer.
 */
const RECORD_US = 4
/** No flush that takes longer than this on average is done on the calling thread, however many wait for it, in microseconds. */
const HOLD_US_MAX = 1000
/** Groups above this go to another thread in any case: copying them into the kernel alone would hold up the loop. */
const INLINE_BYTES_MAX = 256 * 1024
/** One hiccup counts no more than so many times the bound, so that it is soon forgotten. */
const SAMPLE_SHARE_MAX = 2
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

  /** Whether the next sync, of a group of so many records, is done on the calling thread. */
  inline(records: number): boolean {
    if (this.#averageUs < boundUs(records)) return true
    this.#handedOver += 1
    return this.#handedOver % PROBE_EVERY === 0
  }

  measured(ms: number, inline: boolean, records: number): void {
    const bound = boundUs(records)
    const sampleUs = Math.min(ms * 1000, bound * SAMPLE_SHARE_MAX)
    const probe = inline && this.#averageUs >= bound
    this.#averageUs = probe && sampleUs < bound ? sampleUs : this.#averageUs * 0.875 + sampleUs * 0.125
  }
}

function boundUs(records: number): number {
  return Math.min(INLINE_US_MAX + records * RECORD_US, HOLD_US_MAX)
}
