// Why a shipper hurries: commits that resolve only once an archive holds them. Their writer says in the log folder up to where
// somebody waits. Rounds of pieces then follow each other, one piece in flight at a time, and each takes all there is: what a
// busy writer costs is bounded by how often a round may begin, not by its commits; nor by how soon who waited commits again.
//
// A look at the log costs about as much as the reading back of a piece. So nobody looks while a round is under way: what comes
// meanwhile is found by one look after it, no sooner than a few milliseconds after the one before: waking the process and looking
// costs more than what is put. Who comes while the shipper rests is served at once.
import { WantedReader, type Lsn } from '@timberline/wal'
import type { Backlog } from './backlog.ts'
import type { ShipperSettings } from './shipper-options.ts'

/** The most that commits gather when one of them may be waited for and the shipper rests, in milliseconds. */
const WANTED_GATHER_MS = 2
/** From the begin of a round to the next one, in milliseconds: half of it is what a commit waits beside the put. */
const ROUND_MS_MIN = 13

/** What the writer of a log waits for, and when to look for it. */
export class Demand {
  readonly #settings: ShipperSettings
  readonly #reader: WantedReader
  #wanted: Lsn | undefined
  /** Of the last round of pieces. */
  #begunMs = Number.NEGATIVE_INFINITY
  /** Where the archive was at the last look. */
  #shippedLsn: Lsn = Number.POSITIVE_INFINITY
  /** Of the round under way. */
  #ended: Promise<void> | undefined

  constructor(settings: ShipperSettings) {
    this.#settings = settings
    const { logDirectory: directory, identity, fileSystem } = settings
    this.#reader = new WantedReader({ directory, timeline: identity.timeline }, fileSystem)
  }

  /** The writer says that its log is durable up to here, as last read. */
  get durableLsn(): Lsn {
    return this.#wanted ?? 0
  }

  /** Whether somebody waits for records that could go as a piece now. */
  isUrgent(backlog: Backlog): boolean {
    return this.#isAwaited(backlog) && backlog.hasTail
  }

  /** A round of pieces, which looks at the log keep clear of. */
  async round<T>(work: () => Promise<T>): Promise<T> {
    this.#begunMs = performance.now()
    const result = work()
    const ended = result.then(noop, noop)
    this.#ended = ended
    void ended.then(() => (this.#ended = undefined))
    return result
  }

  /**
   * Resolves when it is time to look at the log, with whether another look is certain: somebody waits, and the archive moves. While it does
   * not, nobody asks it without a pause.
   */
  async gather(rang: boolean, backlog: Backlog): Promise<boolean> {
    const { gatherMs } = this.#settings
    if (this.#wanted === undefined) {
      if (rang) await pause(gatherMs)
    } else if (this.#ended === undefined) {
      // Somebody who comes long after the last round is served at once.
      if (rang) await pause(Math.min(Math.max(WANTED_GATHER_MS, this.#paceMs()), gatherMs))
    } else {
      // A store that does not answer must not hide how far the log is ahead of it.
      await endOrPause(this.#ended, gatherMs)
      const paceMs = this.#paceMs()
      if (paceMs > 0) await pause(Math.min(paceMs, gatherMs))
    }
    this.#wanted = await this.#reader.read()
    const { shippedLsn } = backlog
    const isMoving = shippedLsn > this.#shippedLsn
    this.#shippedLsn = shippedLsn
    return isMoving && this.#isAwaited(backlog)
  }

  /** Until the next round may begin, in milliseconds. */
  #paceMs(): number {
    return this.#begunMs + ROUND_MS_MIN - performance.now()
  }

  /** Nothing is looked for any more. */
  close(): Promise<void> {
    return this.#reader.close()
  }

  #isAwaited(backlog: Backlog): boolean {
    return (this.#wanted ?? 0) > backlog.shippedLsn
  }
}

/** By the global timer, so that a clock that stands in for it rules this pause, too. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

async function endOrPause(ended: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const passed = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
  await Promise.race([ended, passed])
  // Left alone it would wake the process for nothing.
  clearTimeout(timer)
}

function noop(): void {
  // How a round ends is its caller's to handle.
}
