import { ActiveSegment } from '../segments/active-segment.ts'
import { Alarm } from '../alarm.ts'
import { CommitClock } from '../records/commit-clock.ts'
import { Deferred } from './deferred.ts'
import { walError, type TimberlineError } from '../errors.ts'
import { callSafely, type WalEvent } from '../events.ts'
import { syncFailure, writeFailure, type FlushOutcome } from './flush-failure.ts'
import { FlushPace, isSmall } from './flush-pace.ts'
import { GROUP_BYTES_MAX, type Group } from '../records/group.ts'
import { GroupQueue } from './group-queue.ts'
import { createNext } from './log-opening.ts'
import type { Flushed, LogSettings } from './log-options.ts'
import type { Lsn, RecordKind, RecordPlace } from '../records/record.ts'
import { ReturnPace } from './return-pace.ts'
import { HEADER_BYTES } from '../segments/segment-header.ts'
import type { SegmentSummary } from '../segments/segment-file.ts'

/** Records that nobody waits for become durable within this, in milliseconds. */
const BACKGROUND_SYNC_MS = 500

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
  readonly #returns = new ReturnPace(() => performance.now())
  readonly #groups: GroupQueue
  readonly #age: Alarm
  readonly #background: Alarm
  #segment: ActiveSegment
  #failure: TimberlineError | undefined
  #draining = false
  #drained: Deferred<void> | undefined
  #wantSync: Deferred<void> | undefined
  #wantRoll: Deferred<SegmentSummary> | undefined
  #rolling: Deferred<SegmentSummary> | undefined
  #ageDue = false
  #writtenLsn: Lsn
  #durableLsn: Lsn

  constructor(start: FlusherStart) {
    this.#settings = start.settings
    this.#emit = start.emit
    this.#segment = start.segment
    this.#clock = new CommitClock(start.settings.now, start.lastCommittedAtUs)
    const { nextLsn } = start.segment.tally
    this.#writtenLsn = nextLsn - 1
    this.#durableLsn = nextLsn - 1
    // A group that alone exceeds the segment's bound would make every segment too long.
    const roomBytes = Math.max(1, start.settings.segmentBytesMax - 4 * HEADER_BYTES)
    this.#groups = new GroupQueue(nextLsn, Math.min(GROUP_BYTES_MAX, roomBytes))
    this.#age = new Alarm(start.settings.segmentAgeMsMax, () => {
      this.#ageDue = true
      this.#schedule()
    })
    this.#background = new Alarm(BACKGROUND_SYNC_MS, () => {
      this.#wantSync ??= new Deferred()
      // Nobody waits for this one: a failure reaches callers through the failed log.
      this.#wantSync.promise.catch(() => undefined)
      this.#schedule()
    })
    if (start.segment.tally.records > 0) this.#age.arm()
  }

  get failure(): TimberlineError | undefined {
    return this.#failure
  }

  get nextLsn(): Lsn {
    return this.#groups.nextLsn
  }

  get durableLsn(): Lsn {
    return this.#durableLsn
  }

  get queuedBytes(): number {
    return this.#groups.queuedBytes
  }

  get activeSegment(): number {
    return this.#segment.header.segmentNumber
  }

  append(payload: Uint8Array, kind: RecordKind, durable: boolean): RecordPlace {
    const { group, place } = this.#groups.add(payload, kind, this.#clock.next())
    if (durable) group.durable = true
    if (kind === 'mark') group.marks.push({ name: Buffer.from(payload).toString('utf8'), ...place })
    this.#returns.appended(place.lsn)
    if (!this.#draining) this.#schedule()
    return place
  }

  flushed(lsn: Lsn): Promise<void> {
    if (lsn >= this.nextLsn) {
      return Promise.reject(walError('WAL_INVALID', 'the lsn was not appended yet', { details: { lsn } }))
    }
    if (lsn <= this.#durableLsn) return Promise.resolve()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const group = this.#groups.groupOf(lsn)
    return group === undefined ? Promise.resolve() : group.whenDone()
  }

  async sync(): Promise<Lsn> {
    /* v8 ignore if -- the log refuses the call before; without this a later caller would wait for ever */
    if (this.#failure !== undefined) throw this.#failure
    const target = this.nextLsn - 1
    const { collecting } = this.#groups
    if (collecting !== undefined) {
      collecting.durable = true
      await collecting.whenDone()
    } else if (this.#durableLsn < target) {
      this.#wantSync ??= new Deferred()
      this.#schedule()
      await this.#wantSync.promise
    }
    return this.#durableLsn
  }

  async roll(): Promise<SegmentSummary> {
    await this.sync()
    /* v8 ignore if -- a failure in the very turn in which the sync ended; without this nobody would ever answer */
    if (this.#failure !== undefined) throw this.#failure
    this.#wantRoll ??= new Deferred()
    this.#schedule()
    return this.#wantRoll.promise
  }

  /** Makes everything durable and closes the file; after a failure it only closes. */
  async close(): Promise<void> {
    this.#age.cancel()
    try {
      if (this.#failure === undefined) await this.sync()
      this.#drained ??= new Deferred()
      if (this.#draining) await this.#drained.promise
      if (this.#failure === undefined) await this.#fence()
    } finally {
      this.#age.cancel()
      this.#background.cancel()
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
      while (this.#groups.isGrowing && this.#returns.areComing()) await new Promise(setImmediate)
      if (this.#wantRoll !== undefined || this.#ageDue) await this.#rollOnDemand()
      const group = this.#groups.take()
      if (group !== undefined) {
        // Somebody waits for what was written before: this group takes the sync along.
        if (this.#wantSync !== undefined) group.durable = true
        await this.#flush(group)
      } else if (this.#wantSync !== undefined) await this.#syncAlone()
      else if (this.#wantRoll === undefined) break
      // Completions run, and new commits gather, before the next group is taken.
      await new Promise(setImmediate)
    }
    this.#draining = false
    this.#drained?.resolve()
    this.#drained = undefined
  }

  async #flush(group: Group): Promise<void> {
    if (this.#segment.isFullFor(group) && !(await this.#rollNow())) return
    const segment = this.#segment
    const frame = group.encode(segment.header.checksum, this.#durableLsn)
    // Copying a small frame into the kernel costs less than handing it to another thread, whatever the device does.
    const writesHere = isSmall(frame.length) && segment.isClear(frame.length)
    const inline = writesHere && this.#pace.inline()
    try {
      if (writesHere) segment.writeNow(frame)
      else await segment.write(frame)
    } catch (cause) {
      await this.#failWrite(cause)
      return
    }
    segment.pass(frame, group)
    this.#writtenLsn = group.nextLsn - 1
    if (group.durable) {
      // The owner's other threads may take the group up meanwhile; on this one nothing runs before the sync is over.
      if (inline) this.#tell()
      // The owner's work is not the device's: a large group would otherwise look like a slow flush.
      const begin = performance.now()
      try {
        // The group and everything before it is durable when this is over; only then is any promise resolved.
        if (inline) segment.syncNow()
        else await this.#syncBeside(segment)
      } catch (cause) {
        this.#failSync(cause)
        return
      }
      this.#durableLsn = this.#writtenLsn
      const ms = performance.now() - begin
      this.#pace.measured(ms, inline)
      this.#returns.released({ records: group.records, flushMs: inline ? 0 : ms }, this.nextLsn)
    }
    this.#age.arm()
    this.#finish(group)
  }

  /** The device has the group and the loop goes on: an owner who keeps readers from it meanwhile may take it up. */
  #syncBeside(segment: ActiveSegment): Promise<void> {
    const synced = segment.sync()
    const { onFlushing } = this.#settings
    if (onFlushing !== undefined) callSafely(() => onFlushing(this.#reached()))
    return synced
  }

  #finish(group: Group): void {
    this.#tell()
    this.#groups.release(group)
    if (this.#durableLsn === this.#writtenLsn) this.#syncDone()
    else this.#background.arm()
  }

  #tell(): void {
    const { onFlushed } = this.#settings
    if (onFlushed === undefined) return
    callSafely(() => onFlushed(this.#reached()))
  }

  #reached(): Flushed {
    return { writtenLsn: this.#writtenLsn, durableLsn: this.#durableLsn }
  }

  #syncDone(): void {
    this.#background.cancel()
    this.#wantSync?.resolve()
    this.#wantSync = undefined
  }

  async #syncAlone(): Promise<void> {
    try {
      // Records written without waiting are durable from here on.
      await this.#segment.sync()
    } catch (cause) {
      this.#failSync(cause)
      return
    }
    this.#durableLsn = this.#writtenLsn
    this.#tell()
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

  /** Seals the active segment and goes on in a new one; `undefined` after a failure. */
  async #rollNow(): Promise<SegmentSummary | undefined> {
    const begin = performance.now()
    this.#age.cancel()
    if (this.#durableLsn < this.#writtenLsn) await this.#syncAlone()
    // A seal states that everything before it is durable, so it comes only after that sync.
    if (this.#failure !== undefined) return undefined
    try {
      const old = this.#segment
      const { summary, link, sealed } = old.seal()
      const place = await createNext(this.#settings, { previous: link, nextLsn: summary.lastLsn + 1, sealed })
      this.#segment = await ActiveSegment.open(place, this.#settings)
      await old.close()
      this.#ageDue = false
      this.#emit({ type: 'segment.sealed', summary, durationMs: performance.now() - begin })
      const { activeSegment: segmentNumber } = this
      this.#emit({ type: 'segment.created', segmentNumber, firstLsn: summary.lastLsn + 1 })
      return summary
    } catch (cause) {
      // The groups that wait were not written at all.
      const place = { path: this.#segment.path, outcome: 'rejected', lsn: this.#writtenLsn + 1 } as const
      this.#fail(writeFailure('the segment could not be sealed or the next one not be made', place, cause))
      return undefined
    }
  }

  async #failWrite(cause: unknown): Promise<void> {
    const segment = this.#segment
    let outcome: FlushOutcome = 'rejected'
    try {
      await segment.cutBack()
    } catch {
      // The error below says it: whether bytes of the group stay in the file is not known.
      outcome = 'unknown'
    }
    const { path, position } = segment
    const place = { path, outcome, position, lsn: this.#writtenLsn + 1 }
    this.#fail(writeFailure('a group of commits could not be written', place, cause))
  }

  #failSync(cause: unknown): void {
    this.#fail(syncFailure({ path: this.#segment.path, lsn: this.#durableLsn + 1 }, cause))
  }

  #fail(error: TimberlineError): void {
    this.#failure = error
    this.#age.cancel()
    this.#background.cancel()
    const { onFailed } = this.#settings
    if (onFailed !== undefined) callSafely(() => onFailed(error))
    this.#groups.fail(error)
    this.#wantSync?.reject(error)
    this.#wantRoll?.reject(error)
    this.#rolling?.reject(error)
    this.#emit({ type: 'log.failed', error })
    // Closing promises nothing any more; what the device says to it adds nothing to the error that is known.
    void this.#segment.close().catch(() => undefined)
  }

  async #fence(): Promise<void> {
    const { tally } = this.#segment
    if (tally.records === 0 || tally.durableLsn === this.#durableLsn) return
    try {
      await this.#segment.writeFence(this.#durableLsn)
      // Promises nothing new: it lets the next opener tell damage of the last records from a torn tail.
      await this.#segment.sync()
    } catch (cause) {
      this.#failSync(cause)
      throw this.#failure
    }
  }
}
