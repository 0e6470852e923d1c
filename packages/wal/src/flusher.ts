import { ActiveSegment } from './active-segment.ts'
import { CommitClock } from './commit-clock.ts'
import { walError, type TimberlineError } from './errors.ts'
import { callSafely, type WalEvent } from './events.ts'
import { FlushPace } from './flush-pace.ts'
import { Group, GROUP_BYTES_MAX } from './group.ts'
import { createNext } from './log-opening.ts'
import type { LogSettings } from './log-options.ts'
import { Deferred } from './deferred.ts'
import type { Lsn, RecordKind, RecordPlace } from './record.ts'
import type { SegmentSummary } from './segment-file.ts'

/** Records that nobody waits for become durable within this, in milliseconds. */
const BACKGROUND_SYNC_MS = 500
const SPARE_BUFFERS_MAX = 2
const SPARE_BYTES_MAX: number = 2 * GROUP_BYTES_MAX

/** What a flusher starts from. */
export interface FlusherStart {
  readonly settings: LogSettings
  readonly segment: ActiveSegment
  readonly lastCommittedAtUs: number
  readonly emit: (event: WalEvent) => void
}

/**
 * Collects records into groups and flushes one group at a time: one write and at most one sync each. While a group is on its
 * way the next one collects; that is the whole of group commit. The first failure ends it: one error for everything waiting.
 */
export class Flusher {
  readonly #settings: LogSettings
  readonly #emit: (event: WalEvent) => void
  readonly #clock: CommitClock
  readonly #pace = new FlushPace()
  #segment: ActiveSegment
  #pending: Group
  #flight: Group | undefined
  /** Full groups before the pending one. */
  #queue: Group[] = []
  #spare: Buffer[] = []
  #failure: TimberlineError | undefined
  #draining = false
  #drained: Deferred<void> | undefined
  #wantSync: Deferred<void> | undefined
  #wantRoll: Deferred<SegmentSummary> | undefined
  #ageDue = false
  #ageTimer: NodeJS.Timeout | undefined
  #syncTimer: NodeJS.Timeout | undefined
  #writtenLsn: Lsn
  #durableLsn: Lsn
  #queuedBytes = 0

  constructor(start: FlusherStart) {
    this.#settings = start.settings
    this.#emit = start.emit
    this.#segment = start.segment
    this.#clock = new CommitClock(start.settings.now, start.lastCommittedAtUs)
    const { nextLsn } = start.segment.tally
    this.#writtenLsn = nextLsn - 1
    this.#durableLsn = nextLsn - 1
    this.#pending = new Group(nextLsn, undefined)
    if (start.segment.tally.records > 0) this.#armAge()
  }

  get failure(): TimberlineError | undefined {
    return this.#failure
  }

  get nextLsn(): Lsn {
    return this.#pending.nextLsn
  }

  get durableLsn(): Lsn {
    return this.#durableLsn
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get activeSegment(): number {
    return this.#segment.header.segmentNumber
  }

  append(payload: Uint8Array, kind: RecordKind, durable: boolean): RecordPlace {
    if (!this.#pending.hasRoomFor(payload.length)) this.#nextGroup()
    const group = this.#pending
    const lsn = group.nextLsn
    const committedAtUs = this.#clock.next()
    group.add(payload, kind, committedAtUs)
    if (durable) group.durable = true
    if (kind === 'mark') group.marks.push({ name: Buffer.from(payload).toString('utf8'), lsn, committedAtUs })
    this.#queuedBytes += payload.length
    if (!this.#draining) this.#schedule()
    return { lsn, committedAtUs }
  }

  flushed(lsn: Lsn): Promise<void> {
    if (lsn >= this.nextLsn) {
      return Promise.reject(walError('WAL_INVALID', 'the lsn was not appended yet', { details: { lsn } }))
    }
    if (lsn <= this.#durableLsn) return Promise.resolve()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const group = this.#groupOf(lsn)
    return group === undefined ? Promise.resolve() : group.whenDone()
  }

  async sync(): Promise<Lsn> {
    if (this.#failure !== undefined) throw this.#failure
    const target = this.nextLsn - 1
    if (this.#pending.records > 0) {
      this.#pending.durable = true
      await this.#pending.whenDone()
    } else if (this.#durableLsn < target) {
      this.#wantSync ??= new Deferred()
      this.#schedule()
      await this.#wantSync.promise
    }
    return this.#durableLsn
  }

  async roll(): Promise<SegmentSummary> {
    await this.sync()
    if (this.#failure !== undefined) throw this.#failure
    this.#wantRoll ??= new Deferred()
    this.#schedule()
    return this.#wantRoll.promise
  }

  /** Makes everything durable and closes the file; after a failure it only closes. */
  async close(): Promise<void> {
    clearTimeout(this.#ageTimer)
    try {
      if (this.#failure === undefined) await this.sync()
      await this.#idle()
      if (this.#failure === undefined) await this.#fence()
    } finally {
      clearTimeout(this.#ageTimer)
      clearTimeout(this.#syncTimer)
      await this.#segment.close()
    }
  }

  #schedule(): void {
    if (this.#draining) return
    this.#draining = true
    // Not now: everything that is about to commit in this turn of the loop shall be in the group.
    setImmediate(() => void this.#drain())
  }

  async #drain(): Promise<void> {
    while (this.#failure === undefined) {
      if (this.#wantRoll !== undefined || this.#ageDue) await this.#rollOnDemand()
      const group = this.#take()
      if (group !== undefined) await this.#flush(group)
      else if (this.#wantSync !== undefined) await this.#syncAlone()
      else if (this.#wantRoll === undefined) break
      // Completions run, and new commits gather, before the next group is taken.
      await new Promise(setImmediate)
    }
    this.#draining = false
    this.#drained?.resolve()
    this.#drained = undefined
  }

  async #idle(): Promise<void> {
    if (!this.#draining) return
    this.#drained ??= new Deferred()
    await this.#drained.promise
  }

  #take(): Group | undefined {
    let group = this.#queue.shift()
    if (group === undefined && this.#pending.records > 0) {
      group = this.#pending
      this.#pending = new Group(group.nextLsn, this.#spare.pop())
    }
    if (group !== undefined && this.#wantSync !== undefined) group.durable = true
    return group
  }

  #nextGroup(): void {
    this.#queue.push(this.#pending)
    this.#pending = new Group(this.#pending.nextLsn, this.#spare.pop())
  }

  #groupOf(lsn: Lsn): Group | undefined {
    if (lsn >= this.#pending.firstLsn) return this.#pending
    if (this.#flight !== undefined && lsn < this.#flight.nextLsn && lsn >= this.#flight.firstLsn)
      return this.#flight
    return this.#queue.find((group) => lsn >= group.firstLsn && lsn < group.nextLsn)
  }

  async #flush(group: Group): Promise<void> {
    this.#flight = group
    if (this.#segment.isFullFor(group) && !(await this.#rollNow())) return
    const segment = this.#segment
    const frame = group.encode(segment.header.checksum, this.#durableLsn)
    const inline = this.#pace.inline(frame.length) && segment.isClear(frame.length)
    const begin = performance.now()
    try {
      if (inline) segment.writeNow(frame)
      else await segment.write(frame)
    } catch (cause) {
      await this.#failWrite(cause)
      return
    }
    const first = segment.tally.records === 0
    segment.pass(frame, group)
    this.#writtenLsn = group.nextLsn - 1
    if (group.durable) {
      try {
        // The group and everything before it is durable when this is over; only then is anybody told.
        if (inline) segment.syncNow()
        else await segment.sync()
      } catch (cause) {
        this.#failSync(cause, 'unknown')
        return
      }
      this.#durableLsn = this.#writtenLsn
      this.#pace.measured(performance.now() - begin, inline)
    }
    if (first) this.#armAge()
    this.#finish(group)
  }

  #finish(group: Group): void {
    this.#flight = undefined
    this.#queuedBytes -= group.payloadBytes - group.records * 16
    const { onFlushed } = this.#settings
    if (onFlushed !== undefined) {
      const flushed = { writtenLsn: this.#writtenLsn, durableLsn: this.#durableLsn }
      callSafely(() => onFlushed(flushed))
    }
    group.succeed()
    if (this.#durableLsn === this.#writtenLsn) this.#syncDone()
    else this.#armSync()
    const { buffer } = group
    if (this.#spare.length < SPARE_BUFFERS_MAX && buffer.length <= SPARE_BYTES_MAX) this.#spare.push(buffer)
  }

  #syncDone(): void {
    clearTimeout(this.#syncTimer)
    this.#syncTimer = undefined
    this.#wantSync?.resolve()
    this.#wantSync = undefined
  }

  async #syncAlone(): Promise<void> {
    try {
      // Records written without waiting are durable from here on.
      await this.#segment.sync()
    } catch (cause) {
      this.#failSync(cause, 'unknown')
      return
    }
    this.#durableLsn = this.#writtenLsn
    const { onFlushed } = this.#settings
    const flushed = { writtenLsn: this.#writtenLsn, durableLsn: this.#durableLsn }
    if (onFlushed !== undefined) callSafely(() => onFlushed(flushed))
    this.#syncDone()
  }

  async #rollOnDemand(): Promise<void> {
    this.#ageDue = false
    const wanted = this.#wantRoll
    this.#wantRoll = undefined
    if (this.#segment.tally.records === 0) {
      wanted?.resolve(this.#segment.summary())
      return
    }
    // On failure the deferred is rejected with all the others.
    this.#rolling = wanted
    const summary = await this.#rollNow()
    this.#rolling = undefined
    if (summary !== undefined) wanted?.resolve(summary)
  }

  #rolling: Deferred<SegmentSummary> | undefined

  /** Seals the active segment and goes on in a new one; `undefined` after a failure. */
  async #rollNow(): Promise<SegmentSummary | undefined> {
    const begin = performance.now()
    clearTimeout(this.#ageTimer)
    this.#ageTimer = undefined
    try {
      if (this.#durableLsn < this.#writtenLsn) {
        // A seal states that everything before it is durable.
        await this.#segment.sync()
        this.#durableLsn = this.#writtenLsn
      }
      const old = this.#segment
      const { summary, link } = await old.seal()
      const place = await createNext(this.#settings, { previous: link, nextLsn: summary.lastLsn + 1 })
      this.#segment = await ActiveSegment.open(place, this.#settings)
      await old.close()
      this.#ageDue = false
      this.#emit({ type: 'segment.sealed', summary, durationMs: performance.now() - begin })
      this.#emit({
        type: 'segment.created',
        segmentNumber: this.activeSegment,
        firstLsn: summary.lastLsn + 1,
      })
      return summary
    } catch (cause) {
      // The groups that wait were not written at all.
      this.#fail(
        walError('WAL_WRITE_FAILED', 'the segment could not be sealed or the next one not be made', {
          cause,
          details: { path: this.#segment.path, outcome: 'rejected', lsn: this.#writtenLsn + 1 },
        }),
      )
      return undefined
    }
  }

  async #failWrite(cause: unknown): Promise<void> {
    const segment = this.#segment
    let outcome: 'rejected' | 'unknown' = 'rejected'
    try {
      await segment.cutBack()
    } catch {
      // The error below says it: whether bytes of the group stay in the file is not known.
      outcome = 'unknown'
    }
    this.#fail(
      walError('WAL_WRITE_FAILED', 'a group of commits could not be written', {
        cause,
        details: { path: segment.path, outcome, position: segment.position, lsn: this.#writtenLsn + 1 },
      }),
    )
  }

  #failSync(cause: unknown, outcome: 'unknown'): void {
    this.#fail(
      walError('WAL_SYNC_FAILED', 'the log could not be synced', {
        cause,
        details: { path: this.#segment.path, outcome, lsn: this.#durableLsn + 1 },
      }),
    )
  }

  #fail(error: TimberlineError): void {
    this.#failure = error
    clearTimeout(this.#ageTimer)
    clearTimeout(this.#syncTimer)
    const { onFailed } = this.#settings
    if (onFailed !== undefined) callSafely(() => onFailed(error))
    for (const group of [this.#flight, ...this.#queue, this.#pending]) group?.fail(error)
    this.#wantSync?.reject(error)
    this.#wantRoll?.reject(error)
    this.#rolling?.reject(error)
    this.#emit({ type: 'log.failed', error })
  }

  async #fence(): Promise<void> {
    const { tally } = this.#segment
    if (tally.records === 0 || tally.durableLsn === this.#durableLsn) return
    try {
      await this.#segment.writeFence(this.#durableLsn)
      // Promises nothing new: it lets the next opener tell damage of the last records from a torn tail.
      await this.#segment.sync()
    } catch (cause) {
      this.#failSync(cause, 'unknown')
      throw this.#failure
    }
  }

  #armAge(): void {
    const { segmentAgeMsMax } = this.#settings
    if (segmentAgeMsMax === 0 || this.#ageTimer !== undefined) return
    this.#ageTimer = setTimeout(() => {
      this.#ageTimer = undefined
      this.#ageDue = true
      this.#schedule()
    }, segmentAgeMsMax).unref()
  }

  #armSync(): void {
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined
      this.#wantSync ??= new Deferred()
      // Nobody waits for this one: a failure reaches callers through the failed log.
      this.#wantSync.promise.catch(() => undefined)
      this.#schedule()
    }, BACKGROUND_SYNC_MS).unref()
  }
}
