/**
 * The path of a commit behind the log. State: `pending` holds what was appended, in LSN order. The log reports how far it
 * has written; everything up to there may go into the state, while the device still flushes it. Where JavaScript runs meanwhile,
 * readers are kept at the state before, and the batch counts as under way until the device has it too. One batch is in flight at a
 * time, because the thread pool may reorder two; whatever is written meanwhile is merged into the next. `applied` holds what
 * the state has and somebody waits for: promises resolve in LSN order, once both the device and the state have the commit.
 */
import { systemCode } from '@timberline/wal'
import type { Flushed, RecordKind, RecordPlace } from '@timberline/wal'
import type { CommitLog } from './commit-log.ts'
import { engineError, outcomeOf } from '../errors.ts'
import type { Change, NativeBatch, NativeLevel } from '../level/native-level.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { WriteGate } from './write-gate.ts'

/** A commit as it is handed to the queue: encoded, and copied from the caller's memory. */
export interface Commit {
  readonly payload: Buffer
  readonly changes: readonly Change[]
  readonly kind: RecordKind
  /** False: resolve once written, without waiting for the device. */
  readonly durable: boolean
  /** Called at the commit's turn, right before it is appended; what it throws refuses the commit. */
  readonly guard?: (() => void) | undefined
}

/** A commit that has its place in the log. */
export interface PlacedCommit extends RecordPlace {
  readonly payload: Buffer
  readonly kind: RecordKind
}

/** Options of {@link CommitQueue}. */
export interface CommitQueueOptions {
  readonly native: NativeLevel
  readonly position: AppliedPosition
  /** Writes wait while more than this is between the call and the state, in bytes. */
  readonly queuedBytesMax: number
  /** Whether commits must wait for another reason. */
  readonly isStalled: () => boolean
  /** Called right after a commit got its place. */
  readonly onPlaced: (commit: PlacedCommit) => void
  /** Called after commits are readable, before their promises resolve. */
  readonly onApplied: (commits: readonly PlacedCommit[]) => void
  /** Called once when no more commit is taken. */
  readonly onFailed: (error: Error) => void
}

type Reject = (error: Error) => void

/** Who waits for a commit; the silent one for nothing but its end, without a function of its own for each commit. */
type Waiting =
  | { readonly silent: false; readonly resolve: (place: RecordPlace) => void; readonly reject: Reject }
  | { readonly silent: true; readonly resolve: () => void; readonly reject: Reject }

interface Entry extends PlacedCommit {
  readonly durable: boolean
  readonly changes: readonly Change[]
  readonly waiting: Waiting
}

/** What the device flushes while this thread goes on, and how readers are kept from it. */
interface Flushing {
  readonly throughLsn: number
  readonly keep: KeepReaders
}

/** Keeps readers at the present state until the function that it returns is called. */
export type KeepReaders = () => () => void

interface Barrier {
  readonly lsn: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Larger LevelDB batches gain nothing, and hold up the readers of what they contain. */
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_ENTRIES = 16_384
/** What an entry costs beside its payload. */
const ENTRY_BYTES = 256

/** Orders commits: log first, then the state, then the promise. */
export class CommitQueue {
  readonly #options: CommitQueueOptions
  readonly #batch: NativeBatch
  readonly #gate: WriteGate
  #log: CommitLog | undefined
  #pending: Entry[] = []
  #applied: Entry[] = []
  #barriers: Barrier[] = []
  #writtenLsn: number
  #durableLsn: number
  #appliedLsn: number
  #queuedBytes = 0
  #applying = false
  #flushing: Flushing | undefined
  /** Lets a batch go on that the state has and the device has not. */
  #onDurable: (() => void) | undefined
  #failure: Error | undefined

  constructor(options: CommitQueueOptions) {
    this.#options = options
    this.#batch = options.native.batch()
    this.#writtenLsn = options.position.lsn
    this.#durableLsn = options.position.lsn
    this.#appliedLsn = options.position.lsn
    this.#gate = new WriteGate(
      () =>
        this.#failure !== undefined || (this.#queuedBytes < options.queuedBytesMax && !options.isStalled()),
    )
  }

  /** The log to append to; given once, before the first commit. */
  attach(log: CommitLog): void {
    this.#log = log
  }

  /** Everything through this LSN is readable. */
  get appliedLsn(): number {
    return this.#appliedLsn
  }

  /** Bytes between the call and the state. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** Writes held back by the bound on queued bytes. */
  get waitingCount(): number {
    return this.#gate.waitingCount
  }

  /** Why no more commits are taken. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** What is appended and not yet in the state, in LSN order. */
  get pending(): readonly PlacedCommit[] {
    return this.#pending
  }

  /**
   * Appends a commit; resolves once it is durable and readable.
   *
   * @throws ENGINE_LOG_FAILED, ENGINE_APPLY_FAILED, WAL_RECORD_TOO_LARGE
   */
  commit(commit: Commit): Promise<RecordPlace> {
    if (this.#gate.isOpen) return this.#append(commit)
    return this.#gate.wait(() => this.#append(commit))
  }

  /** As `commit`, for who needs no place: resolves with nothing, so that no other promise has to be made of it. */
  commitSilently(commit: Commit): Promise<void> {
    if (this.#gate.isOpen) return this.#appendSilently(commit)
    return this.#gate.wait(() => this.#appendSilently(commit))
  }

  /** Appends past the gate: for the engine's own records, which may be what the gate waits for. */
  commitNow(commit: Commit): Promise<RecordPlace> {
    return this.#append(commit)
  }

  /** Runs at its turn among the commits, which come after it as soon as the gate lets them. */
  async turn(begin: () => void): Promise<void> {
    if (this.#gate.isOpen) begin()
    else await this.#gate.wait(async () => begin())
    if (this.#failure !== undefined) throw this.#refusal()
  }

  /** Lets waiting commits go, if they may. */
  release(): void {
    this.#gate.release()
  }

  /** Resolves once everything appended so far is readable, or only through an LSN. */
  settled(throughLsn: number = Number.MAX_SAFE_INTEGER): Promise<void> {
    const lsn = Math.min(throughLsn, this.#pending.at(-1)?.lsn ?? 0)
    if (lsn <= this.#appliedLsn) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#barriers.push({ lsn, resolve, reject })
    })
  }

  /** Resolves once nothing is under way; whoever waits for a refused commit has been told otherwise. */
  async drained(): Promise<void> {
    while (this.#pending.length > 0 || this.#gate.waitingCount > 0) {
      await this.settled().catch(() => undefined)
      await new Promise(setImmediate)
    }
  }

  /** The log's report that the device flushes what is written on another thread: the state takes it up behind what readers see. */
  flushing({ writtenLsn }: Flushed, keep: KeepReaders): void {
    this.#writtenLsn = writtenLsn
    this.#flushing = { throughLsn: writtenLsn, keep }
    if (!this.#applying) this.#applyNext()
  }

  /** The log's report; synchronous, in the middle of its flush. */
  flushed({ writtenLsn, durableLsn }: Flushed): void {
    this.#writtenLsn = writtenLsn
    this.#durableLsn = durableLsn
    this.#onDurable?.()
    if (this.#applied.length > 0) this.#resolveApplied()
    if (!this.#applying) this.#applyNext()
  }

  /** The log has stopped: what it wrote is still applied; whoever waits for what it did not flush is refused. */
  fail(cause: Error): void {
    const isFirst = this.#failure === undefined
    const failure = engineError('ENGINE_LOG_FAILED', 'the log could not be written', {
      details: { outcome: outcomeOf(cause), systemCode: systemCode(cause.cause) },
      cause,
    })
    this.#failure ??= failure
    const written = this.#pending.filter(({ lsn }) => lsn <= this.#writtenLsn)
    const lost = this.#pending.slice(written.length)
    this.#pending = written
    // In the state or on its way there, and never flushed: only reopening tells what the device has of it.
    for (const entry of [...this.#applied, ...written]) {
      if (!this.#isFlushed(entry)) entry.waiting.reject(failure)
    }
    this.#durableLsn = this.#writtenLsn
    this.#onDurable?.()
    this.#resolveApplied()
    this.#reject(lost, failure)
    if (isFirst) this.#stop(failure)
  }

  /** The state is not to be trusted any more: no more commits are taken. */
  stateFailed(cause: unknown): void {
    this.#failApply(cause)
  }

  #append(commit: Commit): Promise<RecordPlace> {
    if (this.#failure !== undefined) return Promise.reject(this.#refusal())
    const place = this.#place(commit)
    return new Promise((resolve, reject) => {
      this.#enter(commit, place, { silent: false, resolve, reject })
    })
  }

  #appendSilently(commit: Commit): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#refusal())
    const place = this.#place(commit)
    return new Promise((resolve, reject) => {
      this.#enter(commit, place, { silent: true, resolve, reject })
    })
  }

  #place(commit: Commit): RecordPlace {
    commit.guard?.()
    if (this.#log === undefined) throw engineError('ENGINE_CLOSED', 'the database is not open')
    return this.#log.append(commit.payload, commit)
  }

  #enter({ payload, kind, durable, changes }: Commit, place: RecordPlace, waiting: Waiting): void {
    const { lsn, committedAtUs } = place
    this.#queuedBytes += payload.length + ENTRY_BYTES
    const entry: Entry = { lsn, committedAtUs, payload, kind, durable, changes, waiting }
    this.#pending.push(entry)
    this.#options.onPlaced(entry)
  }

  #applyNext(): void {
    if (this.#failure !== undefined && this.#pending.length === 0) return
    const count = this.#countReady()
    if (count === 0) return
    this.#applying = true
    const entries = this.#pending.slice(0, count)
    void this.#apply(entries).finally(() => {
      this.#applying = false
      this.#gate.release()
      this.#applyNext()
    })
  }

  /** How many of the pending are written and fit into one batch. */
  #countReady(): number {
    let bytes = 0
    let count = 0
    for (const entry of this.#pending) {
      if (entry.lsn > this.#writtenLsn || bytes > BATCH_BYTES || count === BATCH_ENTRIES) break
      bytes += entry.payload.length
      count += 1
    }
    return count
  }

  async #apply(entries: readonly Entry[]): Promise<void> {
    const last = entries.at(-1)
    if (last === undefined) return
    try {
      for (const { changes } of entries) {
        for (const change of changes) this.#batch.add(change)
      }
      await this.#write(last)
    } catch (cause) {
      this.#failApply(cause)
      return
    }
    this.#appliedLsn = last.lsn
    this.#pending = this.#pending.slice(entries.length)
    for (const { payload } of entries) this.#queuedBytes -= payload.length + ENTRY_BYTES
    this.#options.onApplied(entries)
    this.#applied = this.#applied.length === 0 ? [...entries] : [...this.#applied, ...entries]
    this.#resolveApplied()
    this.#passBarriers()
  }

  async #write(last: Entry): Promise<void> {
    const flushing = this.#flushing
    if (flushing === undefined || flushing.throughLsn <= this.#durableLsn) {
      await this.#batch.write(last)
      return
    }
    const show = flushing.keep()
    try {
      await this.#batch.write(last)
      await this.#untilDurable(last.lsn)
    } finally {
      show()
    }
  }

  async #untilDurable(lsn: number): Promise<void> {
    while (lsn > this.#durableLsn) {
      await new Promise<void>((resolve) => {
        this.#onDurable = resolve
      })
    }
  }

  #resolveApplied(): void {
    const waiting = this.#applied.findIndex((entry) => !this.#isFlushed(entry))
    const done = this.#applied.splice(0, waiting < 0 ? this.#applied.length : waiting)
    for (const entry of done) {
      if (entry.waiting.silent) entry.waiting.resolve()
      else entry.waiting.resolve(entry)
    }
  }

  /** Whether the log has done for a commit what it was asked to. */
  #isFlushed({ durable, lsn }: Entry): boolean {
    return lsn <= (durable ? this.#durableLsn : this.#writtenLsn)
  }

  #passBarriers(): void {
    if (this.#barriers.length === 0) return
    const passed = this.#barriers.filter(({ lsn }) => lsn <= this.#appliedLsn)
    this.#barriers = this.#barriers.filter(({ lsn }) => lsn > this.#appliedLsn)
    for (const { resolve } of passed) resolve()
  }

  /** The commits are in the log, and come out of it at the next open; the state of this session is not to be trusted. */
  #failApply(cause: unknown): void {
    const failure = (outcome: string): Error =>
      engineError('ENGINE_APPLY_FAILED', 'LevelDB did not take commits that are in the log', {
        details: { outcome, lsn: this.#appliedLsn + 1 },
        cause,
      })
    const logged = failure('logged')
    this.#failure ??= logged
    const pending = this.#pending.splice(0)
    const flushed = pending.filter((entry) => this.#isFlushed(entry))
    this.#reject(flushed, logged)
    this.#reject(pending.slice(flushed.length), failure('unknown'))
    this.#stop(logged)
  }

  #reject(entries: readonly Entry[], error: Error): void {
    for (const { payload } of entries) this.#queuedBytes -= payload.length + ENTRY_BYTES
    for (const { waiting } of entries) waiting.reject(error)
  }

  /** No more commits are taken; whoever waits for what will not come is told why. */
  #stop(error: Error): void {
    const barriers = this.#barriers.splice(0)
    // What is written is still being applied; whoever waits for that only, gets it.
    for (const barrier of barriers) {
      if (this.#pending.some(({ lsn }) => lsn >= barrier.lsn)) this.#barriers.push(barrier)
      else barrier.reject(error)
    }
    this.#options.onFailed(error)
    this.#gate.release()
  }

  #refusal(): Error {
    return engineError('ENGINE_LOG_FAILED', 'the database takes no more writes', {
      details: { outcome: 'rejected' },
      cause: this.#failure,
    })
  }
}
