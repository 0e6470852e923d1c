/**
 * How much of a limited copy is made durable at once. Each flush is met by a commit, and costs something whatever it holds, so they should be
 * few: ten a second. What it holds costs time too, which a commit that meets it waits for, so on a slower disk a slice is halved as long as
 * that makes its flush shorter.
 */

export const SLICE_BYTES_MIN: number = 64 * 1024
export const SLICE_BYTES_MAX: number = 4 * 1024 * 1024

/** A slice holds what may be copied in so long. */
const SLICE_S = 0.1
/** Longer than this nobody should wait, if it can be helped. */
const LONG_FLUSH_MS = 4
/** Of a flush so short there may be twice as much. */
const QUICK_FLUSH_MS = 2
/** Half a slice must be flushed in less than so much of the time, or it is not its bytes that take it. */
const HALF_WORTH = 0.75

/** The size of the slices of one copy, which learns from their flushes. */
export class SliceSize {
  readonly #bytesMax: number
  #bytes: number
  /** What the flush of twice as much took, right after it was halved. */
  #wholeMs: number | undefined
  #mayHalve = true

  constructor(bytesPerS: number) {
    const doublings = Math.round(Math.log2((bytesPerS * SLICE_S) / SLICE_BYTES_MIN))
    this.#bytesMax = Math.min(SLICE_BYTES_MAX, SLICE_BYTES_MIN * 2 ** Math.max(0, doublings))
    this.#bytes = this.#bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** So many bytes were flushed in so many milliseconds. Only those of the present size tell something: others were under way before, or ended a file. */
  flushed(bytes: number, ms: number): void {
    if (bytes !== this.#bytes) return
    const wholeMs = this.#wholeMs
    this.#wholeMs = undefined
    if (wholeMs !== undefined && ms > wholeMs * HALF_WORTH) {
      this.#bytes *= 2
      this.#mayHalve = false
    } else if (ms > LONG_FLUSH_MS && this.#mayHalve && this.#bytes > SLICE_BYTES_MIN) {
      this.#bytes /= 2
      this.#wholeMs = ms
    } else if (ms < QUICK_FLUSH_MS) this.#bytes = Math.min(this.#bytesMax, this.#bytes * 2)
  }
}
