/*
 * The shipper as a pipeline of facts; payloads go from file to store as byte streams and never through an Observable.
 *
 *   follow   the log's durable growth → the backlog (a picture, not a queue)
 *   pieces   every interval: what is durable and unsealed goes as pieces, one put after the other
 *   segments one after the other: sealed segments whole, verified, entered in the catalogue; their pieces go
 *   merges   in the lane of segments: pieces of past slots of time become one
 *            who waits for the archive is heard with it: rounds of pieces then follow each other, however long the interval
 *   heartbeat while idle, a look whether the archive is still ours
 *
 * Pieces and segments are two lanes, because a large segment under way must not delay the recovery point.
 *
 * Failure. `unavailable` (store down, disk full, a read refused): tried again for ever, with delays that double up to a cap,
 * visible in status and events; the log keeps what is not confirmed. Everything else (conflict, fencing, damage) stops the
 * shipper with its error. Stop at any point, also by a crash: what is held is found again from the archive and the log.
 */
import type { Lsn } from '@timberline/wal'
import {
  concatMap,
  defer,
  EMPTY,
  firstValueFrom,
  lastValueFrom,
  merge,
  type Observable,
  of,
  repeat,
  retry,
  Subject,
  takeUntil,
  tap,
  throwError,
  timer,
} from 'rxjs'
import { Demand } from './demand.ts'
import type { ShipperEvent, ShipperWork } from './events.ts'
import { CONFIRMATION_MS_MAX, HomeReport } from './home-report.ts'
import { beginVoyage, type Voyage } from './ship-begin.ts'
import { followBacklog } from './ship-follow.ts'
import { shipPiece } from './ship-piece.ts'
import { mergeSlot } from './piece-levels.ts'
import { mergePieces, runsToMerge } from './ship-merge.ts'
import { archiveSegment, removePieces } from './ship-segment.ts'
import { ShipperGauge, type ShipperStatus } from './shipper-gauge.ts'
import { asShipperError, isAborted, isTransient, retryDelayMs } from './ship-failure.ts'
import { completeShipperOptions, type RunShipperOptions, type ShipperSettings } from './shipper-options.ts'
import { durableEnd } from './ship-survey.ts'
import { type Claimant, newClaimant } from './reign.ts'

/** What the lane of whole segments does, one after the other, so that no piece is merged while its segment replaces it. */
interface Errand {
  readonly work: 'merge' | 'segment'
  readonly segmentNumber: number
}

/** Begins to ship a log into an archive. @throws ARCHIVE_OPTION_INVALID, ARCHIVE_FOREIGN_ENVIRONMENT */
export function runShipper(options: RunShipperOptions): Shipper {
  return new Shipper(completeShipperOptions(options), options.signal)
}

/** A running shipper. */
export class Shipper {
  /** Completes when the shipper ends; a subscriber's own error does not reach the shipper. */
  readonly events$: Observable<ShipperEvent>
  /** Resolves when the signal ended the shipper, rejects with the error that did. */
  readonly done: Promise<void>
  readonly #settings: ShipperSettings
  readonly #events = new Subject<ShipperEvent>()
  /** Something moved: waiting flushes look again. */
  readonly #moved = new Subject<void>()
  readonly #stopped = new Subject<void>()
  readonly #stop = new AbortController()
  readonly #busy = new Set<Promise<unknown>>()
  readonly #gauge = new ShipperGauge()
  readonly #demand: Demand
  readonly #report: HomeReport
  #voyage: Voyage | undefined
  #isHurried = false
  /** Ends the pause between two rounds, while there is one. */
  #hurry: (() => void) | undefined
  #lastPieceMs = 0
  /** When the store last answered a piece: a heartbeat after that tells nothing new. */
  #usedMs = 0
  #isMerging = false
  /** Of the newest commit shipped, and where it was when merges were last looked for. */
  #newestAtUs = 0
  #mergedSlot: number | undefined
  #claimant: Claimant | undefined

  /** Use `runShipper`. */
  constructor(settings: ShipperSettings, signal: AbortSignal | undefined) {
    this.#settings = settings
    this.#demand = new Demand(settings)
    this.#report = new HomeReport(settings)
    this.events$ = this.#events.asObservable()
    const stop = (): void => this.#end(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) stop()
    this.done = this.#run().finally(() => signal?.removeEventListener('abort', stop))
    // A caller may look at `done` much later; the error is not lost by that.
    this.done.catch(() => undefined)
  }

  /** How things stand now. */
  status(): ShipperStatus {
    return this.#gauge.status(this.#voyage)
  }

  /**
   * Ships what is durable in the log now without waiting for the interval; resolves with the last record that the archive then
   * holds without a hole.
   */
  async flush(): Promise<Lsn> {
    const lsn = await this.#tracked(durableEnd(this.#settings))
    return this.#hurryUntil(({ shippedLsn }) => shippedLsn >= lsn)
  }

  /**
   * As `flush`, and waits until the sealed segments are held whole: before a shipper ends that runs only now and then, whose
   * archive would otherwise stay in pieces.
   */
  async flushWhole(): Promise<Lsn> {
    const lsn = await this.#tracked(durableEnd(this.#settings))
    return this.#hurryUntil(({ shippedLsn, hasSealed }) => shippedLsn >= lsn && !hasSealed)
  }

  async #hurryUntil(isDone: (backlog: Voyage['backlog']) => boolean): Promise<Lsn> {
    while (this.#voyage === undefined || !isDone(this.#voyage.backlog)) {
      const moved = firstValueFrom(this.#moved, { defaultValue: undefined })
      // Asked again after each move: the follower may have been behind the log when the hurry was heard.
      this.#isHurried = true
      this.#hurry?.()
      if (this.#stop.signal.aborted) {
        await this.done
        throw asShipperError(this.#stop.signal.reason, this.#stop.signal)
      }
      await moved
    }
    return this.#voyage.backlog.shippedLsn
  }

  async #run(): Promise<void> {
    // A turn of the loop, so that the caller can subscribe before the first event.
    await Promise.resolve()
    try {
      await lastValueFrom(this.#pipeline(), { defaultValue: undefined })
    } catch (error) {
      if (!this.#stop.signal.aborted || !isAborted(error)) {
        this.#gauge.failed(error)
        throw error
      }
    } finally {
      this.#end(undefined)
      // Lanes that an error in another one cut off finish their step; nothing goes on after `done`.
      await Promise.allSettled(this.#busy)
      this.#gauge.ended()
      this.#events.next({ type: 'ship.ended' })
      this.#events.complete()
      this.#moved.complete()
      // What fails here costs a certainty about one piece, and is no reason to end otherwise.
      await this.#voyage?.bundles.end().catch(() => undefined)
      await this.#voyage?.segment.close().catch(() => undefined)
      await this.#report.close()
    }
  }

  #pipeline(): Observable<unknown> {
    return this.#work('begin', () => this.#begin()).pipe(concatMap((voyage) => this.#lanes(voyage)))
  }

  /** The lanes; all end when the shipper is told to stop, or with the first error. */
  #lanes(voyage: Voyage): Observable<unknown> {
    const whole = new Subject<Errand>()
    const listener = { onNoted: () => this.#noted(voyage), onAsked: () => this.#hurryIfUrgent(voyage) }
    const follow = this.#work('follow', () => followBacklog(voyage, this.#demand, listener))
    const pieces = this.#work('piece', () => this.#rounds(voyage, whole)).pipe(
      tap({ complete: () => whole.complete() }),
    )
    const segments = whole.pipe(
      concatMap(({ work, segmentNumber }) =>
        this.#work(work, () =>
          work === 'merge' ? this.#merge(voyage, segmentNumber) : this.#archive(voyage, segmentNumber),
        ),
      ),
    )
    return merge(segments, follow, pieces, this.#heartbeat(voyage))
  }

  /** Without it an idle shipper would not notice that it lost its right, or that the store is gone. */
  #heartbeat({ reign }: Voyage): Observable<unknown> {
    if (this.#stop.signal.aborted) return EMPTY
    let begunMs = this.#usedMs
    const beat = defer(() => {
      const isIdle = this.#usedMs === begunMs
      begunMs = this.#usedMs
      return isIdle ? this.#work('heartbeat', () => reign.check()) : EMPTY
    })
    return timer(this.#settings.heartbeatMs).pipe(
      concatMap(() => beat),
      repeat({ delay: () => (this.#stop.signal.aborted ? EMPTY : of(undefined)) }),
      takeUntil(this.#stopped),
    )
  }

  /** One piece of work, tried again while its failure may pass; nothing when the shipper was told to stop. */
  #work<T>(work: ShipperWork, step: () => Promise<T>): Observable<T> {
    return defer(() => (this.#stop.signal.aborted ? EMPTY : this.#tracked(step()))).pipe(
      retry({ delay: (error: unknown) => this.#nextTry(work, error) }),
      tap(() => this.#gauge.succeeded(work)),
    )
  }

  async #tracked<T>(step: Promise<T>): Promise<T> {
    const busy = step.catch((error: unknown) => {
      throw asShipperError(error, this.#stop.signal)
    })
    this.#busy.add(busy)
    try {
      return await busy
    } finally {
      this.#busy.delete(busy)
    }
  }

  #nextTry(work: ShipperWork, error: unknown): Observable<unknown> {
    // Told to stop, it does not wait for better times; what is not held is found again.
    if (this.#stop.signal.aborted && (isAborted(error) || isTransient(error))) return EMPTY
    if (!isTransient(error)) return throwError(() => error)
    const tries = this.#gauge.failing(work, error)
    const delayMs = retryDelayMs(tries, this.#settings.retryMs)
    this.#events.next({ type: 'ship.retried', work, tries, delayMs, error })
    // Completing without a value ends the work quietly.
    return timer(delayMs).pipe(takeUntil(this.#stopped))
  }

  /** Round after round until the shipper is told to stop: in a hurry, what goes on for each of them counts. */
  async #rounds(voyage: Voyage, whole: Subject<Errand>): Promise<void> {
    const begin = (): Promise<void> => this.#demand.round(() => this.#shipPieces(voyage, whole))
    await begin()
    while (!this.#stop.signal.aborted) {
      this.#gauge.succeeded('piece')
      const pauseMs = this.#pauseMs(voyage)
      await (pauseMs === 0 ? begin() : this.#afterPause(pauseMs, begin))
    }
  }

  /** The pause before the next piece, so that a commit just missed is still held within the interval. */
  #pauseMs({ backlog }: Voyage): number {
    if (this.#isHurried || this.#demand.isUrgent(backlog)) return 0
    const { intervalMs, gatherMs } = this.#settings
    const pauseMs = Math.max(intervalMs / 4, intervalMs * 0.9 - gatherMs - 2 * this.#lastPieceMs)
    // A confirmation that is owed does not wait for a long interval.
    return this.#report.isOwing ? Math.min(pauseMs, CONFIRMATION_MS_MAX) : pauseMs
  }

  /** Begins what comes after a pause, earlier in a hurry: then at once, so that whoever hurries finds it under way. */
  #afterPause(pauseMs: number, begin: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#hurry = undefined
        resolve(this.#stop.signal.aborted ? undefined : begin())
      }
      const timer = setTimeout(end, pauseMs)
      this.#hurry = end
    })
  }

  async #begin(): Promise<Voyage> {
    const { archive, logDirectory, identity, fileSystem, name } = this.#settings
    const shipment = { archive, logDirectory, name, identity, fileSystem, signal: this.#stop.signal }
    this.#claimant ??= newClaimant(name)
    const voyage = await beginVoyage(shipment, this.#claimant, identity)
    this.#voyage = voyage
    // Before anything is shipped: from now on the home removes no log that this archive lacks.
    await this.#report.report(voyage.backlog)
    const { survey, reign, backlog } = voyage
    if (survey.lost !== undefined) this.#events.next({ type: 'log.lost', ...survey.lost })
    const { pieced, nextSegment } = survey
    this.#events.next({
      type: 'ship.began',
      epoch: reign.epoch,
      timeline: identity.timeline,
      segmentNumber: pieced?.segmentNumber ?? nextSegment,
      position: pieced?.endPosition ?? 0,
      lsn: backlog.shippedLsn,
    })
    // A flush may have been waiting to hear how far the archive is, and an empty log gives it no other occasion.
    this.#moved.next()
    return voyage
  }

  #noted(voyage: Voyage): void {
    this.#gauge.succeeded('follow')
    this.#moved.next()
    this.#hurryIfUrgent(voyage)
  }

  #hurryIfUrgent({ backlog }: Voyage): void {
    if (this.#demand.isUrgent(backlog)) this.#hurry?.()
  }

  async #shipPieces(voyage: Voyage, whole: Subject<Errand>): Promise<void> {
    this.#isHurried = false
    const { backlog, pieces } = voyage
    const tails = backlog.tails()
    if (tails.length === 0) await voyage.bundles.settle()
    for (const tail of tails) {
      const begunMs = performance.now()
      const storedBytes = await shipPiece(voyage, tail)
      backlog.pieceShipped(tail)
      this.#newestAtUs = tail.lastCommittedAtUs
      this.#moved.next()
      this.#usedMs = performance.now()
      this.#lastPieceMs = this.#usedMs - begunMs
      const { segmentNumber, position, endPosition, lastLsn: lsn } = tail
      const durationMs = this.#lastPieceMs
      const place = { segmentNumber, position, endPosition, lsn }
      this.#events.next({ type: 'piece.shipped', ...place, storedBytes, durationMs })
    }
    for (const number of backlog.takeWhole()) whole.next({ work: 'segment', segmentNumber: number })
    await this.#report.report(voyage.backlog)
    const active = Math.max(0, ...pieces.keys())
    const slot = mergeSlot(this.#newestAtUs)
    // A shipper in a hurry makes thousands of pieces in a slot: to go over all of them each time would cost more than the pieces.
    if (this.#isMerging || slot === this.#mergedSlot) return
    this.#mergedSlot = slot
    if (runsToMerge(voyage, active).length === 0) return
    this.#isMerging = true
    whole.next({ work: 'merge', segmentNumber: active })
  }

  async #merge(voyage: Voyage, segmentNumber: number): Promise<void> {
    for (const run of runsToMerge(voyage, segmentNumber)) {
      this.#events.next({ type: 'pieces.merged', segmentNumber, ...(await mergePieces(voyage, run)) })
    }
    this.#isMerging = false
  }

  async #archive(voyage: Voyage, segmentNumber: number): Promise<void> {
    const { backlog, shipment, reign, pieces, bundles } = voyage
    const begunMs = performance.now()
    this.#gauge.uploading(segmentNumber)
    this.#events.next({ type: 'segment.uploading', segmentNumber })
    const { segment } = await archiveSegment(shipment, reign, segmentNumber)
    backlog.segmentArchived(segmentNumber, segment.lastLsn)
    const { lastLsn: lsn, bytes, storedBytes } = segment
    const durationMs = performance.now() - begunMs
    this.#events.next({ type: 'segment.archived', segmentNumber, lsn, bytes, storedBytes, durationMs })
    await this.#report.report(voyage.backlog)
    await bundles.close(segmentNumber)
    const count = await removePieces(shipment, pieces.get(segmentNumber) ?? [])
    pieces.delete(segmentNumber)
    if (count > 0) this.#events.next({ type: 'pieces.removed', segmentNumber, count })
    this.#gauge.uploading(undefined)
    this.#moved.next()
  }

  #end(reason: unknown): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort(reason)
    this.#stopped.next()
    this.#hurry?.()
    this.#stopped.complete()
  }
}
