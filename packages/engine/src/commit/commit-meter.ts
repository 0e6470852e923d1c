/**
 * What commits wait while somebody wants to know: a backup that says what it cost the writers. While nobody asks, a commit pays one
 * comparison; while somebody does, a reading of the clock, and an entry among those under way.
 */

/** What writers saw between two moments; JSON-safe. */
export interface WriterReport {
  /** Length of the span, in milliseconds. */
  readonly ms: number
  /** Commits that began and succeeded in it. */
  readonly commitCount: number
  /** The longest that one of them waited, from its call until it was durable and readable; one that still waits counts so far. In ms. */
  readonly longestWaitMs: number
}

interface Meter {
  readonly beganMs: number
  commitCount: number
  longestWaitMs: number
  /** When those under way began; a set keeps their order, so that the oldest is the first. */
  readonly waiting: Set<{ readonly beganMs: number }>
}

/** Meters the commits of one open database, for as many as ask. */
export class CommitMeter {
  readonly #meters = new Set<Meter>()

  /** Meters from now on until aborted; the result tells how it stands. */
  begin(signal: AbortSignal): () => WriterReport {
    const meter: Meter = {
      beganMs: performance.now(),
      commitCount: 0,
      longestWaitMs: 0,
      waiting: new Set(),
    }
    if (!signal.aborted) this.#meters.add(meter)
    signal.addEventListener('abort', () => this.#meters.delete(meter), { once: true })
    return () => reportOf(meter)
  }

  /** A commit begins; it is over when the promise settles. */
  watch(commit: Promise<unknown>): void {
    if (this.#meters.size === 0) return
    const meters = [...this.#meters]
    const entry = { beganMs: performance.now() }
    for (const { waiting } of meters) waiting.add(entry)
    const over = (commits: 0 | 1): void => {
      const waitedMs = performance.now() - entry.beganMs
      for (const meter of meters) {
        meter.waiting.delete(entry)
        meter.commitCount += commits
        if (commits === 1) meter.longestWaitMs = Math.max(meter.longestWaitMs, waitedMs)
      }
    }
    commit.then(
      () => over(1),
      () => over(0),
    )
  }
}

function reportOf({ beganMs, commitCount, longestWaitMs, waiting }: Meter): WriterReport {
  const nowMs = performance.now()
  const [oldest] = waiting
  const stillMs = oldest === undefined ? 0 : nowMs - oldest.beganMs
  return { ms: nowMs - beganMs, commitCount, longestWaitMs: Math.max(longestWaitMs, stillMs) }
}
