// Why a shipper hurries: commits that resolve only once an archive holds them. Their writer says in the log folder up to where
// somebody waits. Rounds of pieces then follow each other, one piece in flight at a time, and each takes all there is: what a
// busy writer costs is bounded by how often a round may begin, not by its commits.
//
// A look at the log costs about as much as the reading back of a piece. So nobody looks while a round is under way: what comes
// meanwhile is found by one look after it. Somebody who waited through that round can wait for the next one to be worth it;
// who comes while the shipper rests is served at once.
import { WantedReader, type Lsn } from '@timberline/wal'
import type { Backlog } from './backlog.ts'
import type { ShipperSettings } from './shipper-options.ts'

/** The most that commits gather when one of them may be waited for and the shipper rests, in milliseconds. */
const WANTED_GATHER_MS = 2
/** Who waited for a round, and commits again at once, is heard within this, in milliseconds. */
const RETURN_MS_MAX = 4
/** Each look wakes the process, and who commits without a pause goes on so. */
const BUSY_ROUND_COUNT = 8
/** From the begin of a round to the next one that follows it without a rest, in milliseconds. */
const ROUND_MS_MIN = 13

/** What the writer of a log waits for, and when to look for it. */
export class Demand {
  readonly #settings: ShipperSettings
  readonly #reader: WantedReader
  #wanted: Lsn | undefined
  /** Of the last round of pieces. */
  #begunMs = Number.NEGATIVE_INFINITY
  /** Rounds for which the writer is taken to be busy without another look. */
  #busyRounds = 0
  /** Of the round under way. */
  #ended: Promise<void> | undefined

  constructor(settings: ShipperSettings) {
    this.#settings = settings
    this.#reader = new WantedReader(settings.logDirectory, settings.fileSystem)
  }

  /** Whether somebody waits for records that could go as a piece now. */
  isUrgent(backlog: Backlog): boolean {
    return this.#isAwaited(backlog) && backlog.tails().length > 0
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

  /** Resolves when it is time to look at the log, and knows by then what is wanted. */
  async gather(rang: boolean, backlog: Backlog): Promise<void> {
    const { gatherMs } = this.#settings
    if (this.#wanted === undefined) {
      if (rang) await pause(gatherMs)
    } else if (this.#ended === undefined) {
      if (rang) await this.#rest()
    } else {
      // A store that does not answer must not hide how far the log is ahead of it.
      await endOrPause(this.#ended, gatherMs)
      this.#wanted = await this.#reader.read()
      const paceMs = this.#paceMs()
      if (this.#isAwaited(backlog) && paceMs > 0) await pause(Math.min(paceMs, gatherMs))
    }
    this.#wanted = await this.#reader.read()
  }

  /** The rest before a round: long where commits come without a pause, short where all who could wait do so by now. */
  async #rest(): Promise<void> {
    const { gatherMs } = this.#settings
    const paceMs = this.#paceMs()
    if (paceMs <= WANTED_GATHER_MS) return pause(Math.min(WANTED_GATHER_MS, gatherMs))
    if (this.#busyRounds > 0) {
      this.#busyRounds--
      return pause(Math.min(paceMs, gatherMs))
    }
    const stepMs = Math.min(RETURN_MS_MAX, gatherMs)
    await pause(stepMs)
    const before = await this.#reader.read()
    await pause(stepMs)
    if ((await this.#reader.read()) === before) return
    this.#busyRounds = BUSY_ROUND_COUNT
    await pause(Math.min(Math.max(0, this.#paceMs()), gatherMs))
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
