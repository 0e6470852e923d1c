import type { Lsn } from './record.ts'

/** The next group waits no longer than this share of a flush, and only for writers who as a rule are back sooner. */
const SHARE_MAX = 0.5
/** The first half goes out alone when its own round took this share of a flush: the whole one takes as long as a flush then. */
const HALF_SHARE_MIN = 0.5
/** What one return counts against all before it. */
const WEIGHT = 0.25

/**
 * Who shares a flush at a slow device. It depends on what takes longer: the flush, or the round in which the writers that a flush
 * released come back with their next records.
 *
 * The flush: two halves of the writers that take turns wait for two flushes each; together, for one flush and one round. So the
 * next group waits until they are back. Once together they stay so, and nobody waits any more. Writers who do not come back at
 * once (a load that comes from outside) are seen not to, and not waited for.
 *
 * The round: one group of all would let the device rest while the processor works, and the processor while the device does. So the
 * first half goes out while the other one comes back, and from then on they take turns.
 */
export class ReturnPace {
  readonly #nowMs: () => number
  #flushMs = 0
  #releasedAtMs = 0
  #begunAtMs = 0
  /** When this LSN is appended, half as many came as were released. */
  #halfLsn: Lsn = 0
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
    this.#halfLsn = nextLsn + Math.floor(group.records / 2) - 1
    this.#awaitedLsn = group.flushMs === 0 ? Number.POSITIVE_INFINITY : nextLsn + group.records - 1
  }

  /** The device rests, and the first record of a group came. */
  began(): void {
    if (this.#isAwaiting) this.#begunAtMs = this.#nowMs()
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

  /** Whether this record is the middle one of a round that had better not share one flush. */
  isLongRound(lsn: Lsn): boolean {
    return (
      lsn === this.#halfLsn &&
      this.#isAwaiting &&
      this.#nowMs() - this.#begunAtMs > this.#flushMs * HALF_SHARE_MIN
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
