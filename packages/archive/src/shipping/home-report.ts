// What a home is told of its archive. The confirmation is the ground on which log is removed: durable, and dear, a new file and two
// flushes. Commits that wait for the archive need a number that is true, not one that outlives a power loss: where somebody may
// wait, that number is written in place for each piece, and the confirmation follows now and then.
import { ReachedWriter, writeConfirmation } from '@timberline/wal'
import type { Backlog } from './backlog.ts'
import type { ShipperSettings } from './shipper-options.ts'

/** The longest that a confirmation stays behind what those who wait were told, while nothing else delays it, in milliseconds. */
export const CONFIRMATION_MS_MAX = 1000

type Reach = Pick<Backlog, 'archivedSegment' | 'shippedLsn'>

/** The shipper's reports to its home, one after the other. Only what was read back is reported. */
export class HomeReport {
  readonly #settings: ShipperSettings
  readonly #nowMs: () => number
  readonly #reached: ReachedWriter
  /** The newest report, and the newest that is confirmed, as text. */
  #told = ''
  #confirmed = ''
  #confirmedSegment: number | undefined
  #confirmedMs = Number.NEGATIVE_INFINITY
  #isHeard = false
  #turn: Promise<unknown> = Promise.resolve()

  /** @param nowMs - the clock by which confirmations follow; any that only goes forward. */
  constructor(settings: ShipperSettings, nowMs: () => number = () => performance.now()) {
    const { logDirectory: directory, name, fileSystem } = settings
    this.#settings = settings
    this.#nowMs = nowMs
    this.#reached = new ReachedWriter({ directory, name }, fileSystem, nowMs)
  }

  /** Whether a confirmation is to follow. */
  get isOwing(): boolean {
    return this.#told !== this.#confirmed
  }

  /** Reports how far the archive is. */
  async report(backlog: Reach): Promise<void> {
    const turn = this.#turn.then(() => this.#write(backlog))
    this.#turn = turn.catch(() => undefined)
    await turn
  }

  /** Nothing more is reported. */
  async close(): Promise<void> {
    await this.#turn
    await this.#reached.close()
  }

  async #write({ archivedSegment: segmentNumber, shippedLsn: lsn }: Reach): Promise<void> {
    const { logDirectory, name, fileSystem, identity } = this.#settings
    const place = { segmentNumber, lsn, timeline: identity.timeline }
    const text = JSON.stringify(place)
    // Never the same twice: a home that was exchanged meanwhile would take it for a word about its own records.
    if (text !== this.#told) {
      this.#isHeard = await this.#reached.tell(place)
      this.#told = text
    }
    if (text === this.#confirmed) return
    const isRecent = this.#nowMs() - this.#confirmedMs < CONFIRMATION_MS_MAX
    if (this.#isHeard && isRecent && segmentNumber === this.#confirmedSegment) return
    await writeConfirmation(logDirectory, name, place, fileSystem)
    this.#confirmed = text
    this.#confirmedSegment = segmentNumber
    this.#confirmedMs = this.#nowMs()
  }
}
