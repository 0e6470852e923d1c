/** How far log and archive are, as a shipper tells it. */
export interface Reach {
  /** The last record that is durable in the log. */
  readonly durableLsn: number
  /** The last record that the archive holds without a hole. */
  readonly shippedLsn: number
}

/** Samples kept; beyond that neighbours become one, which makes the lag look older by up to a 256th of itself, never younger. */
const SAMPLES_MAX = 512

/**
 * The age of the oldest durable record that the archive lacks. A shipper knows LSNs, not when each became durable; samples of
 * them, taken every second or so, tell the age to within one sample.
 */
export class LagGauge {
  /** Records up to `lsn` that no sample before had; the first of them was durable at `atMs` or later. */
  #samples: { readonly lsn: number; readonly atMs: number }[] = []
  /** Samples closer together than this are one. */
  #strideMs = 0

  /** Takes a sample. Times are of any clock that does not go back, in milliseconds. */
  note({ durableLsn, shippedLsn }: Reach, nowMs: number): void {
    this.#samples = this.#samples.filter(({ lsn }) => lsn > shippedLsn)
    if (this.#samples.length === 0) this.#strideMs = 0
    const last = this.#samples.at(-1)
    if (durableLsn <= Math.max(last?.lsn ?? 0, shippedLsn)) return
    if (last !== undefined && nowMs - last.atMs < this.#strideMs) {
      this.#samples[this.#samples.length - 1] = { lsn: durableLsn, atMs: last.atMs }
    } else {
      this.#samples.push({ lsn: durableLsn, atMs: nowMs })
    }
    if (this.#samples.length > SAMPLES_MAX) this.#thin(nowMs)
  }

  /** 0 when the archive holds everything. */
  secondsBehind(nowMs: number): number {
    const oldest = this.#samples[0]
    return oldest === undefined ? 0 : Math.max(0, nowMs - oldest.atMs) / 1000
  }

  #thin(nowMs: number): void {
    const all = this.#samples
    this.#strideMs = ((nowMs - (all[0]?.atMs ?? nowMs)) * 2) / SAMPLES_MAX
    this.#samples = []
    for (const sample of all) {
      const last = this.#samples.at(-1)
      if (last !== undefined && sample.atMs - last.atMs < this.#strideMs) {
        this.#samples[this.#samples.length - 1] = { lsn: sample.lsn, atMs: last.atMs }
      } else {
        this.#samples.push(sample)
      }
    }
  }
}
