import { join } from 'node:path'
import { ActiveSegment } from '../segments/active-segment.ts'
import { removeIfPresent } from '../files/atomic-file.ts'
import { atLogBoundary, walError } from '../errors.ts'
import { Listeners, type WalEvent } from '../events.ts'
import { Flusher } from './flusher.ts'
import { liveHolds } from '../promises/holds.ts'
import { openSegments, type OpenedLog } from './log-opening.ts'
import { completeOptions, type LogSettings, type OpenLogOptions } from './log-options.ts'
import { MARK_BYTES_MAX, type Lsn, type RecordKind, type RecordPlace } from '../records/record.ts'
import { segmentNumbers, type SegmentSummary } from '../segments/segment-file.ts'
import { segmentName } from '../segments/segment-name.ts'

/** How to append one record. */
export interface AppendOptions {
  /** Default `entry`. */
  readonly kind?: RecordKind | undefined
  /** Whether the record waits for the device; default true. Otherwise it is written in order and synced within a second. */
  readonly durable?: boolean | undefined
}

/**
 * Opens a log for writing: verifies its segments, cuts off a torn tail, makes the rest durable. Exactly one writer may have a
 * folder open; to see to that is the owner's task.
 *
 * @throws WAL_CORRUPT, WAL_GAP, WAL_FOREIGN, WAL_FORMAT, WAL_INVALID, WAL_IO_FAILED
 * @example
 * const log = await openLog({ directory, identity: { environmentId: '00'.repeat(16), timeline: 1 } })
 * const { lsn } = await log.commit(Buffer.from('hello'))
 * await log.close()
 */
export async function openLog(options: OpenLogOptions): Promise<Log> {
  const settings = completeOptions(options)
  return atLogBoundary(settings.directory, async () => {
    const { opened, place } = await openSegments(settings)
    const segment = await ActiveSegment.open(place, settings)
    return new Log({ settings, opened, segment })
  })
}

/** A log open for writing. */
export class Log {
  /** What opening found and did. */
  readonly opened: OpenedLog
  readonly directory: string
  readonly #settings: LogSettings
  readonly #flusher: Flusher
  readonly #listeners = new Listeners()
  #closing: Promise<void> | undefined

  /** Logs come from {@link openLog}. */
  constructor(start: { settings: LogSettings; opened: OpenedLog; segment: ActiveSegment }) {
    this.opened = start.opened
    this.directory = start.settings.directory
    this.#settings = start.settings
    this.#flusher = new Flusher({
      settings: start.settings,
      segment: start.segment,
      lastCommittedAtUs: start.opened.lastCommittedAtUs,
      emit: (event) => this.#listeners.emit(event),
    })
    // A turn later, so that a caller can listen first.
    setImmediate(() => this.#listeners.emit({ type: 'log.opened', opened: start.opened }))
  }

  /** LSN that the next record gets. */
  get nextLsn(): Lsn {
    return this.#flusher.nextLsn
  }

  /** All records up to here survive power loss. */
  get durableLsn(): Lsn {
    return this.#flusher.durableLsn
  }

  /** Number of the segment being written. */
  get activeSegment(): number {
    return this.#flusher.activeSegment
  }

  /** Payload bytes appended and not yet flushed: where the owner's backpressure looks. */
  get queuedBytes(): number {
    return this.#flusher.queuedBytes
  }

  /**
   * Adds a record to the group being collected; the payload is copied. Nothing is promised before `flushed(lsn)` resolves.
   *
   * @throws WAL_RECORD_TOO_LARGE, WAL_INVALID (a mark's name), WAL_CLOSED, WAL_FAILED
   */
  append(payload: Uint8Array, options?: AppendOptions): RecordPlace {
    const kind = options?.kind ?? 'entry'
    this.#refuse(payload, kind)
    return this.#flusher.append(payload, kind, options?.durable ?? true)
  }

  /**
   * Resolves once the record is durable, or, appended with `durable: false`, once it is written.
   *
   * @throws WAL_WRITE_FAILED, WAL_SYNC_FAILED: one error for all that waited; `details.outcome` is `rejected` when the records
   * will not appear again, `unknown` when they may
   */
  flushed(lsn: Lsn): Promise<void> {
    return this.#flusher.flushed(lsn)
  }

  /** Appends a record and waits for it. */
  commit(payload: Uint8Array, options?: AppendOptions): Promise<RecordPlace> {
    let place: RecordPlace
    try {
      place = this.append(payload, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    return this.#flusher.flushed(place.lsn).then(() => place)
  }

  /** Makes everything appended so far durable; resolves with the durable LSN. */
  async sync(): Promise<Lsn> {
    this.#refuseClosed()
    return this.#flusher.sync()
  }

  /** Seals the active segment, if it has records, and begins the next; otherwise resolves with the active one as it is. */
  async roll(): Promise<SegmentSummary> {
    this.#refuseClosed()
    return this.#flusher.roll()
  }

  /**
   * Removes sealed segments with smaller numbers, from the oldest on, up to the first that a live hold needs; returns the
   * names of what was removed.
   *
   * @throws WAL_IO_FAILED
   */
  async removeSegmentsBelow(segmentNumber: number): Promise<readonly string[]> {
    this.#refuseClosed()
    const names = await atLogBoundary(this.directory, () => this.#removeBelow(segmentNumber))
    if (names.length > 0) this.#listeners.emit({ type: 'segments.removed', names })
    return names
  }

  async #removeBelow(segmentNumber: number): Promise<readonly string[]> {
    const { directory, fileSystem } = this.#settings
    const limit = Math.min(segmentNumber, this.activeSegment)
    const names: string[] = []
    for (const number of await segmentNumbers(directory, fileSystem)) {
      if (number >= limit) break
      // Asked anew for each: a hold may be placed while others are removed.
      const holds = await liveHolds(directory, fileSystem)
      if (holds.some((hold) => hold.fromSegment <= number)) break
      await removeIfPresent(join(directory, segmentName(number)), fileSystem)
      names.push(segmentName(number))
      // Durable before the next goes: after power loss, too, only the oldest may be missing.
      await fileSystem.syncDirectory(directory)
    }
    return names
  }

  /** Calls back for each event until the returned function is called. */
  events(listener: (event: WalEvent) => void): () => void {
    return this.#listeners.add(listener)
  }

  /**
   * Makes everything durable and closes the log, without sealing; idempotent. After a failure it only lets go of the file.
   *
   * @throws WAL_WRITE_FAILED, WAL_SYNC_FAILED, WAL_IO_FAILED
   */
  close(): Promise<void> {
    this.#closing ??= atLogBoundary(this.directory, () => this.#flusher.close()).finally(() =>
      this.#listeners.emit({ type: 'log.closed', lastLsn: this.#flusher.durableLsn }),
    )
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #refuse(payload: Uint8Array, kind: RecordKind): void {
    this.#refuseClosed()
    const { recordBytesMax } = this.#settings
    if (payload.length > recordBytesMax) {
      throw walError('WAL_RECORD_TOO_LARGE', 'the record is too large', {
        details: { bytes: payload.length, recordBytesMax },
      })
    }
    if (kind === 'mark' && (payload.length === 0 || payload.length > MARK_BYTES_MAX)) {
      throw walError('WAL_INVALID', 'the name of a mark is empty or too long', {
        details: { bytes: payload.length, bytesMax: MARK_BYTES_MAX },
      })
    }
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) {
      throw walError('WAL_CLOSED', 'the log is closed', { details: { directory: this.directory } })
    }
    const { failure } = this.#flusher
    if (failure !== undefined) {
      throw walError('WAL_FAILED', 'the log stopped after a failure', {
        cause: failure,
        details: { directory: this.directory },
      })
    }
  }
}
