import type { Lsn } from '../records/record.ts'

/** The next group waits no longer than this share of a flush, and only for writers who as a rule are back sooner. */
const SHARE_MAX = 0.5
/** What one return counts against all before it. */
const WEIGHT = 0.25

/**
 * Decides whether the next group waits for the writers that the last one released. Two halves of the writers that take turns at a
 * slow device wait for two flushes each; together, for one flush and the time in which they come back. So they are brought
 * together where coming back is quick beside a flush. Once together they stay so, and nobody waits any more. Writers who do
 * not come back at once (a load that comes from outside) are seen not to, and not waited for.
 */
export class ReturnPace {
  readonly #nowMs: () => number
  #flushMs = 0
  #releasedAtMs = 0
  /** When this LSN is appended, as many came as were released. */
  #awaitedLsn: Lsn = Number.POSITIVE_INFINITY
  /** Moving average of returns, as a share of the flush before them; 1 is as long or longer. */
  #share = 1

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** A group is flushed; `flushMs` is 0 when the calling thread did it, which nobody could use meanwhile. */
  released(group: { readonly records: number; readonly flushMs: number }, nextLsn: Lsn): void {
    if (this.#isAwaiting) this.#measure()
    this.#flushMs = group.flushMs
    this.#releasedAtMs = this.#nowMs()
    this.#awaitedLsn = group.flushMs === 0 ? Number.POSITIVE_INFINITY : nextLsn + group.records - 1
  }

  appended(lsn: Lsn): void {
    if (lsn < this.#awaitedLsn) return
    this.#measure()
    this.#awaitedLsn = Number.POSITIVE_INFINITY
  }

  /** Whether a flush that could begin now had better wait for one more turn of the loop. */
  areComing(): boolean {
    return (
      this.#isAwaiting &&
      this.#share < SHARE_MAX &&
      this.#nowMs() - this.#releasedAtMs < this.#flushMs * SHARE_MAX
    )
  }

  get #isAwaiting(): boolean {
    return this.#awaitedLsn !== Number.POSITIVE_INFINITY
  }

  #measure(): void {
    const share = Math.min(1, (this.#nowMs() - this.#releasedAtMs) / this.#flushMs)
    this.#share += (share - this.#share) * WEIGHT
  }
}
