/**
 * One archive of several: opened, retried, shipped into and given up without regard to the others.
 *
 * A shipper begins with an open archive. Before that there is only the log and what the archive confirmed last; the member tells its lag
 * from these, so that an archive that is down from the start is late, not silent.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { listSegments, type Lsn, type TimberlineError } from '@timberline/wal'
import { type Observable, Subject } from 'rxjs'
import type { Archive } from '../archive.ts'
import { archiveError } from '../errors.ts'
import type { ShipperEvent } from './events.ts'
import { holdLogFor, withdrawHold } from './first-hold.ts'
import { asShipperError, isAborted, isTransient, retryDelayMs } from './ship-failure.ts'
import type { RunShippersOptions } from './shipper-fleet.ts'
import type { ShipperStatus } from './shipper-gauge.ts'
import { RETRY_MS } from './shipper-options.ts'
import { runShipper, type Shipper } from './shipper.ts'

/** An archive to ship into. */
export interface FleetTarget {
  /** What the home calls the archive: 1 to 64 letters, digits, `_` and `-`. */
  readonly name: string
  /** Opens the archive, or makes it; asked again while its failure may pass. The fleet closes what it opened. */
  readonly open: () => Promise<Archive>
}

/** How often the log is looked at before the archive is open, in milliseconds at most: it is read for that. */
const LOOK_MS_MAX = 10_000

type Hold = Awaited<ReturnType<typeof holdLogFor>>
type Reach = Pick<
  ShipperStatus,
  'archivedSegment' | 'durableLsn' | 'lagBytes' | 'lagTransactions' | 'shippedLsn'
>

/** The part of a fleet that ships into one archive. */
export class FleetMember {
  readonly name: string
  /** What the shipper tells; before it, failed tries of opening as `ship.retried` with `work: 'open'`. */
  readonly events$: Observable<ShipperEvent>
  /** Resolves when it was stopped, rejects with the error that ended it. */
  readonly done: Promise<void>
  readonly #target: FleetTarget
  readonly #options: RunShippersOptions
  readonly #events = new Subject<ShipperEvent>()
  readonly #stop = new AbortController()
  readonly #opening: Promise<{ readonly archive: Archive; readonly shipper: Shipper } | undefined>
  #shipper: Shipper | undefined
  #failing: { readonly tries: number; readonly error: TimberlineError } | undefined
  #reach: Reach = { archivedSegment: 0, durableLsn: 0, lagBytes: 0, lagTransactions: 0, shippedLsn: 0 }
  /** Whether the hold on the log is this member's own, and nothing was ever archived under its name. */
  #isNew = false
  readonly #timer: NodeJS.Timeout
  #looking: Promise<void> | undefined
  #isEnded = false
  #error: unknown

  /** Use `runShippers`. */
  constructor(target: FleetTarget, options: RunShippersOptions, firstHold: Promise<Hold>) {
    this.name = target.name
    this.#target = target
    this.#options = options
    this.events$ = this.#events.asObservable()
    const { signal } = options
    const stop = (): void => this.stop()
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) stop()
    // By a clock and not by failed tries: an archive that neither opens nor fails is late all the same.
    this.#timer = setInterval(() => this.#look(), Math.min(options.heartbeatMs ?? LOOK_MS_MAX, LOOK_MS_MAX))
    this.#timer.unref()
    this.#opening = this.#begin(firstHold)
    this.done = this.#run().finally(() => signal?.removeEventListener('abort', stop))
    // A caller may look at `done` much later; the error is not lost by that.
    this.done.catch(() => undefined)
  }

  /** How things stand now; before the archive answered, its lag is what it has not confirmed. */
  status(): ShipperStatus {
    const own = this.#shipper?.status()
    if (own?.epoch !== undefined) return own
    return { ...(own ?? this.#statusWithout()), ...this.#reach }
  }

  /** Ends this member alone. */
  stop(): void {
    this.#stop.abort()
  }

  /** As `Shipper.flushWhole`, once the archive is open. @throws ARCHIVE_ABORTED */
  async flushWhole(): Promise<Lsn> {
    const begun = await this.#opening
    if (begun === undefined) throw archiveError('ARCHIVE_ABORTED', 'the shipper was stopped')
    return begun.shipper.flushWhole()
  }

  async #run(): Promise<void> {
    try {
      const begun = await this.#opening
      if (begun === undefined) return
      try {
        await begun.shipper.done
      } finally {
        await begun.archive.close()
      }
    } catch (error) {
      this.#error = error
      throw error
    } finally {
      this.#isEnded = true
      clearInterval(this.#timer)
      await this.#looking
      if (this.#shipper === undefined) this.#events.next({ type: 'ship.ended' })
      this.#events.complete()
    }
  }

  async #begin(firstHold: Promise<Hold>) {
    try {
      const archive = await this.#open(firstHold)
      return archive === undefined ? undefined : { archive, shipper: await this.#ship(archive) }
    } catch (error) {
      if (this.#isNew && isMistake(error)) await withdrawHold(this.#claim)
      throw error
    }
  }

  async #ship(archive: Archive): Promise<Shipper> {
    try {
      const own = { archive, name: this.name, signal: this.#stop.signal }
      const shipper = runShipper({ ...this.#options, ...own })
      this.#shipper = shipper
      shipper.events$.subscribe((event) => {
        // From here on it knows its lag itself.
        if (event.type === 'ship.began') clearInterval(this.#timer)
        this.#events.next(event)
      })
      return shipper
    } catch (error) {
      await archive.close()
      throw error
    }
  }

  /** Tries until the archive is open; `undefined` when stopped before. */
  async #open(firstHold: Promise<Hold>): Promise<Archive | undefined> {
    const { retryMs = RETRY_MS, openTriesMax = Number.POSITIVE_INFINITY } = this.#options
    // Placed for all before any is opened; its failure is met again below, where it is tried again.
    let hold = await firstHold.catch(() => undefined)
    for (let tries = 1; !this.#stop.signal.aborted; tries++) {
      try {
        hold ??= await holdLogFor(this.#claim)
        this.#confirmed(hold)
        const archive = await this.#target.open()
        this.#failing = undefined
        return archive
      } catch (thrown) {
        const error = asShipperError(thrown, this.#stop.signal)
        if (this.#stop.signal.aborted && (isAborted(error) || isTransient(error))) return undefined
        if (!isTransient(error) || tries >= openTriesMax) throw error
        await this.#pause({ tries, error, delayMs: retryDelayMs(tries, retryMs) })
      }
    }
    return undefined
  }

  async #pause(failure: {
    readonly tries: number
    readonly error: TimberlineError
    readonly delayMs: number
  }): Promise<void> {
    this.#failing = failure
    this.#events.next({ type: 'ship.retried', work: 'open', ...failure })
    try {
      await delay(failure.delayMs, undefined, { signal: this.#stop.signal })
    } catch (error) {
      // Told to stop, it does not wait for better times.
      if (!isAborted(error)) throw error
    }
  }

  get #claim() {
    const { logDirectory, identity, fileSystem } = this.#options
    return { logDirectory, name: this.name, timeline: identity.timeline, fileSystem }
  }

  #confirmed({ confirmed, isNew }: Hold): void {
    this.#isNew = isNew
    const { segmentNumber: archivedSegment, lsn: shippedLsn } = confirmed
    this.#reach = { ...this.#reach, archivedSegment, shippedLsn }
    this.#look()
  }

  /** Asks the log itself how far it is, one look at a time. */
  #look(): void {
    const look = async (): Promise<void> => {
      const { logDirectory, fileSystem } = this.#options
      const segments = await listSegments(logDirectory, fileSystem)
      const { shippedLsn } = this.#reach
      const durableLsn = segments.at(-1)?.lastLsn ?? 0
      const lacking = segments.filter(({ lastLsn }) => lastLsn > shippedLsn)
      // Whole segments, though pieces may hold a part of the first: what this tells is at least the lag.
      const lagBytes = lacking.reduce((sum, { bytes }) => sum + bytes, 0)
      this.#reach = { ...this.#reach, durableLsn, lagBytes, lagTransactions: durableLsn - shippedLsn }
    }
    // A log that cannot be read leaves the last known figures; the shipper, which must read it, tells why.
    this.#looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        this.#looking = undefined
      })
  }

  #statusWithout(): ShipperStatus {
    const failing = this.#failing === undefined ? [] : [{ work: 'open' as const, ...this.#failing }]
    return {
      state: this.#state,
      epoch: undefined,
      uploadingSegment: undefined,
      failing,
      error: this.#error,
      ...this.#reach,
    }
  }

  get #state(): ShipperStatus['state'] {
    if (this.#error !== undefined) return 'failed'
    if (this.#isEnded) return 'ended'
    return this.#failing === undefined ? 'beginning' : 'retrying'
  }
}

/** Whether the address names something that was never meant: log is not kept for it. */
function isMistake(error: unknown): boolean {
  return error instanceof Error && 'kind' in error && (error.kind === 'invalid' || error.kind === 'conflict')
}
