// Why a shipper hurries: commits that resolve only once an archive holds them. Their writer says in the log folder up to where
// somebody waits. Rounds then follow each other without a pause, one piece in flight at a time, and each takes all there is:
// the requests of a busy writer are bounded by how fast the store answers, not by its commits.
import { followWanted, type Lsn } from '@timberline/wal'
import type { Backlog } from './backlog.ts'
import type { ShipperSettings } from './shipper-options.ts'

/** The most that commits gather while somebody may wait for them, in milliseconds: they gather during each put anyway. */
const WANTED_GATHER_MS = 2

/** What the writer of a log waits for, as last heard. */
export class Demand {
  readonly #settings: ShipperSettings
  #wanted: Lsn | undefined

  constructor(settings: ShipperSettings) {
    this.#settings = settings
  }

  /** How long commits gather before the log is looked at, in milliseconds. */
  get gatherMs(): number {
    const { gatherMs } = this.#settings
    return this.#wanted === undefined ? gatherMs : Math.min(WANTED_GATHER_MS, gatherMs)
  }

  /** Whether somebody waits for records that could go as a piece now. */
  isUrgent(backlog: Backlog): boolean {
    return (this.#wanted ?? 0) > backlog.shippedLsn && backlog.tails().length > 0
  }

  /** Listens until the signal. */
  async follow(signal: AbortSignal, onHeard: () => void): Promise<void> {
    const { logDirectory: directory, fileSystem } = this.#settings
    const gatherMs = (): number => this.gatherMs
    for await (const wanted of followWanted({ directory, fileSystem, signal, gatherMs })) {
      this.#wanted = wanted
      onHeard()
    }
  }
}
