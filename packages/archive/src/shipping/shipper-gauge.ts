import type { TimberlineError } from '@timberline/wal'
import type { ShipperWork } from './events.ts'
import type { Voyage } from './ship-begin.ts'

/** How a shipper stands. */
export interface ShipperStatus {
  /** `retrying`: some work fails for a reason that may pass. */
  readonly state: 'beginning' | 'running' | 'retrying' | 'ended' | 'failed'
  readonly epoch: number | undefined
  /** The archive holds every segment up to this one, 0 is none, and every record up to `shippedLsn`. */
  readonly archivedSegment: number
  readonly shippedLsn: number
  /** The last record seen durable in the log. */
  readonly durableLsn: number
  readonly lagTransactions: number
  readonly lagBytes: number
  readonly uploadingSegment: number | undefined
  readonly failing: readonly {
    readonly work: ShipperWork
    readonly tries: number
    readonly error: TimberlineError
  }[]
  /** What ended a `failed` shipper. */
  readonly error: unknown
}

/** Remembers for `status` what the pipeline does not. */
export class ShipperGauge {
  readonly #failing = new Map<ShipperWork, { tries: number; error: TimberlineError }>()
  #uploading: number | undefined
  #isEnded = false
  #error: unknown

  /** Counts a failed try; resolves how many there were in a row. */
  failing(work: ShipperWork, error: TimberlineError): number {
    const tries = (this.#failing.get(work)?.tries ?? 0) + 1
    this.#failing.set(work, { tries, error })
    return tries
  }

  succeeded(work: ShipperWork): void {
    this.#failing.delete(work)
  }

  uploading(segmentNumber: number | undefined): void {
    this.#uploading = segmentNumber
  }

  failed(error: unknown): void {
    this.#error = error
  }

  ended(): void {
    this.#isEnded = true
  }

  status(voyage: Voyage | undefined): ShipperStatus {
    const backlog = voyage?.backlog
    const shippedLsn = backlog?.shippedLsn ?? 0
    const durableLsn = backlog?.durableLsn ?? 0
    return {
      state: this.#state(voyage),
      epoch: voyage?.reign.epoch,
      archivedSegment: backlog?.archivedSegment ?? 0,
      shippedLsn,
      durableLsn,
      lagTransactions: durableLsn - shippedLsn,
      lagBytes: backlog?.backlogBytes ?? 0,
      uploadingSegment: this.#uploading,
      failing: [...this.#failing].map(([work, failure]) => ({ work, ...failure })),
      error: this.#error,
    }
  }

  #state(voyage: Voyage | undefined): ShipperStatus['state'] {
    if (this.#error !== undefined) return 'failed'
    if (this.#isEnded) return 'ended'
    if (this.#failing.size > 0) return 'retrying'
    return voyage === undefined ? 'beginning' : 'running'
  }
}
