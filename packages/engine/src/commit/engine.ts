/**
 * The engine behind the database classes: what abstract-level hands to an implementation goes in here, already encoded and
 * prefixed, after hooks and before events. Reads are not here at all: they stay the native ones.
 */
import type { Flushed, RecordPlace } from '@timberline/wal'
import type { AbstractSnapshot } from 'abstract-level'
import type { ArchiveWait, ArchiveWaitStatus } from './archive-wait.ts'
import type { Durability } from './archived-options.ts'
import type { ChainedBatchOwner, GatheredBatch } from './chained-batch.ts'
import { refuseOwnMark } from '../records/bulk-load-mark.ts'
import { clearRange } from './clear.ts'
import type { ClearTarget } from './clear.ts'
import { CommitMeter } from './commit-meter.ts'
import { CommitFeed } from './commits.ts'
import type { LogReading } from './commits.ts'
import type { CommitLog } from './commit-log.ts'
import { CommitQueue } from './commit-queue.ts'
import type { Commit, KeepReaders, PlacedCommit } from './commit-queue.ts'
import { ConflictWindow } from './conflict-window.ts'
import type { WindowReader } from './conflict-window.ts'
import { engineError } from '../errors.ts'
import type { Change, Encoded, NativeLevel, NativeRange } from '../level/native-level.ts'
import type { ReadSet } from './read-set.ts'
import { isReservedKey } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { TransactionEncoder } from '../records/transaction-codec.ts'
import { COMMIT_GUARD } from './write-options.ts'
import type { WriteOptions } from './write-options.ts'

/** Options of {@link Engine}. */
export interface EngineOptions {
  readonly native: NativeLevel
  /** How far the log has been applied to the state. */
  readonly position: AppliedPosition
  readonly queuedBytesMax: number
  /** Whether commits must wait because the log is full. */
  readonly isStalled?: (() => boolean) | undefined
  /** Called for each record that was appended, with its bytes. */
  readonly onAppended?: ((bytes: number) => void) | undefined
  /** Reads the log for late subscribers; absent when the log keeps nothing. */
  readonly readLog?: LogReading | undefined
  /** Called once when no more commits are taken. */
  readonly onFailed?: ((error: Error) => void) | undefined
  /** What commits with `durability: 'archived'` wait for; absent when no archive is named. */
  readonly archiveWait?: ArchiveWait | undefined
  /** For writes that say nothing; default `local`. */
  readonly durability?: Durability | undefined
}

/** An operation as abstract-level hands it to `_batch`. */
export interface EncodedOperation {
  readonly type: 'put' | 'del'
  readonly key: Encoded
  readonly value?: Encoded
}

/** Default of `queuedBytesMax`: writes wait while more than this is between the call and the state. */
export const QUEUED_BYTES_MAX: number = 64 * 1024 * 1024

/** Everything between the database class and log and state; lives from open to close. */
export class Engine implements ChainedBatchOwner {
  readonly feed: CommitFeed
  readonly meter: CommitMeter = new CommitMeter()
  readonly #native: NativeLevel
  readonly #queue: CommitQueue
  readonly #window = new ConflictWindow()
  readonly #encoder = new TransactionEncoder()
  /** Work that must end before the state may be closed. */
  readonly #running = new Set<Promise<unknown>>()
  readonly #archiveWait: ArchiveWait | undefined
  readonly #durability: Durability
  readonly #closing = new AbortController()
  readonly #clears = new Set<Promise<void>>()
  #log: CommitLog | undefined
  /** Ends when the exclusive work ends that is under way or comes next. */
  #exclusive: Promise<unknown> | undefined
  /** Whether exclusive work holds all commits back. */
  #isHeld = false

  constructor(options: EngineOptions) {
    const { native, position, queuedBytesMax, durability = 'local' } = options
    this.#native = native
    this.#archiveWait = options.archiveWait
    this.#durability = durability
    this.feed = new CommitFeed(position.lsn, options.readLog)
    this.#queue = new CommitQueue({
      native,
      position,
      queuedBytesMax,
      // A full log must not keep the database from closing.
      isStalled: () => this.#isHeld || (!this.#closing.signal.aborted && options.isStalled?.() === true),
      onPlaced: (commit) => {
        this.#window.placed(commit)
        options.onAppended?.(commit.payload.length)
      },
      onApplied: (commits) => {
        this.feed.applied(commits)
      },
      onFailed: (error) => {
        options.onFailed?.(error)
      },
    })
  }

  /** The log to write to, given once it is open. */
  attach(log: CommitLog): void {
    this.#log = log
    this.#queue.attach(log)
  }

  /** The log's report of a flush. */
  flushed(flushed: Flushed): void {
    this.#queue.flushed(flushed)
    this.feed.durable(flushed.durableLsn)
  }

  /** The log's report that a flush has begun on another thread. */
  flushing(flushed: Flushed, keep: KeepReaders): void {
    this.#queue.flushing(flushed, keep)
  }

  /** The log's report of its end. */
  failed(error: Error): void {
    this.#queue.fail(error)
  }

  get appliedLsn(): number {
    return this.#queue.appliedLsn
  }

  get pending(): readonly PlacedCommit[] {
    return this.#queue.pending
  }

  get queuedBytes(): number {
    return this.#queue.queuedBytes
  }

  /** Writes held back. */
  get waitingCount(): number {
    return this.#queue.waitingCount
  }

  /** How commits wait for archives, if any can. */
  get archived(): ArchiveWaitStatus | undefined {
    return this.#archiveWait?.status
  }

  /** The LSN of the state that a snapshot shows. */
  snapshotLsn(snapshot: AbstractSnapshot): number {
    return this.#native.appliedAt(snapshot).lsn
  }

  /** Why no more writes are taken, if so. */
  get failure(): Error | undefined {
    return this.#queue.failure
  }

  put(key: Encoded, value: Encoded, options: WriteOptions): Promise<void> {
    this.refuseReserved(key)
    this.#encoder.begin()
    return this.#commitSilently([this.#encoder.put(key, value)], options)
  }

  del(key: Encoded, options: WriteOptions): Promise<void> {
    this.refuseReserved(key)
    this.#encoder.begin()
    return this.#commitSilently([this.#encoder.del(key)], options)
  }

  batch(operations: readonly EncodedOperation[], options: WriteOptions): Promise<RecordPlace> {
    const encoder = this.#encoder
    encoder.begin()
    const changes: Change[] = []
    for (const { type, key, value } of operations) {
      this.refuseReserved(key)
      changes.push(type === 'put' && value !== undefined ? encoder.put(key, value) : encoder.del(key))
    }
    return this.#commit(encoder, changes, options)
  }

  commitGathered(batch: GatheredBatch, options: WriteOptions): Promise<RecordPlace> {
    return this.#commit(batch.encoder, batch.changes, options)
  }

  /** A named restore point: a record of its own. */
  mark(name: string, options: WriteOptions = {}): Promise<RecordPlace> {
    refuseOwnMark(name)
    const payload = Buffer.from(name)
    const wait = this.#waitFor(options)
    const placed = this.#queue.commit({ payload, changes: [], kind: 'mark', durable: true })
    return wait === undefined ? placed : placed.then((place) => wait.through(place))
  }

  /** A mark that overtakes writes that wait: its place is where it is asked for. */
  markNow(name: string): Promise<RecordPlace> {
    return this.#queue.commitNow({ payload: Buffer.from(name), changes: [], kind: 'mark', durable: true })
  }

  /** A note of the engine's own; it overtakes writes that wait, exclusive work excepted. */
  note(payload: Buffer): Promise<RecordPlace> {
    const append = (): Promise<RecordPlace> =>
      this.#queue.commitNow({ payload, changes: [], kind: 'note', durable: true })
    return this.#isHeld && this.#exclusive !== undefined ? this.#exclusive.then(append, append) : append()
  }

  /**
   * Runs work while no write is under way and none begins: those that come wait, in their order. Reads go on. The work is told
   * when the database begins to close, which waits for it.
   */
  exclusively<Result>(work: (closing: AbortSignal) => Promise<Result>): Promise<Result> {
    const before = Promise.allSettled([this.#exclusive, ...this.#clears])
    const run = before.then(() => this.#alone(work))
    this.#exclusive = run
    const end = (): void => {
      if (this.#exclusive === run) this.#exclusive = undefined
    }
    run.then(end, end)
    return this.run(run)
  }

  /** Aborted when the database begins to close. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** The LSN that the next record gets. */
  get nextLsn(): number {
    return this.#log?.nextLsn ?? 0
  }

  /** The mark of a load, which overtakes writes that wait; transactions that read before it run again. */
  async loaded(payload: Buffer): Promise<RecordPlace> {
    const place = await this.#queue.commitNow({ payload, changes: [], kind: 'mark', durable: true })
    this.#window.overwritten(place.lsn)
    return place
  }

  /** The state is not to be trusted any more: reads go on as they are, writes are refused. */
  stateFailed(cause: unknown): void {
    this.#queue.stateFailed(cause)
  }

  /** Resolves once the state has everything that was appended through an LSN. */
  appliedThrough(lsn: number): Promise<void> {
    return this.#queue.settled(lsn)
  }

  /** Lets waiting writes go, if they may. */
  release(): void {
    this.#queue.release()
  }

  clear(range: NativeRange, options: WriteOptions): Promise<void> {
    return this.run(this.#clearInTurn(range, options))
  }

  /** Keeps the state open until the work has ended. */
  run<Result>(work: Promise<Result>): Promise<Result> {
    const done = work.finally(() => this.#running.delete(done))
    this.#running.add(done)
    return done
  }

  /** Begins to watch what others commit; the snapshot is what the reader sees. */
  beginReader(snapshot: AbstractSnapshot): WindowReader {
    const reader = { lsn: this.snapshotLsn(snapshot) }
    this.#window.begin(reader, this.#queue.appliedLsn, this.#queue.pending)
    return reader
  }

  endReader(reader: WindowReader): void {
    this.#window.end(reader)
  }

  /** The LSN of a commit that wrote what the reader had read. */
  conflict(reader: WindowReader, reads: ReadSet): number | undefined {
    return this.#window.conflict(reader, reads)
  }

  /** Waits for everything under way; the feed completes. Takes no new work meanwhile, because the database is closing. */
  async close(): Promise<void> {
    this.#closing.abort(engineError('ENGINE_CLOSED', 'the database is closing'))
    const archivesLeft = this.#archiveWait?.close()
    this.#queue.release()
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    await this.#queue.drained()
    // Subscribers get to see also what was written with `sync: false`. If it fails, the log has told so itself.
    if (this.failure === undefined) await this.#log?.sync().catch(() => undefined)
    await this.feed.close()
    await archivesLeft
  }

  refuseReserved(key: Encoded): void {
    if (typeof key === 'string' || key[0] !== 0xff || !isReservedKey(key)) return
    throw engineError('ENGINE_KEY_RESERVED', 'the key lies in the zone of the engine', {
      details: { key: Buffer.from(key).toString('hex') },
    })
  }

  async #alone<Result>(work: (closing: AbortSignal) => Promise<Result>): Promise<Result> {
    this.#closing.signal.throwIfAborted()
    try {
      await this.#queue.turn(() => {
        this.#isHeld = true
      })
      await this.#queue.settled()
      return await work(this.#closing.signal)
    } finally {
      this.#isHeld = false
      this.#queue.release()
    }
  }

  /** The place of a clear is where it is called; beside exclusive work it is behind that. */
  async #clearInTurn(range: NativeRange, options: WriteOptions): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive.catch(() => undefined)
    const cleared = this.#clear(range, options)
    this.#clears.add(cleared)
    await cleared.finally(() => this.#clears.delete(cleared))
  }

  async #clear(range: NativeRange, options: WriteOptions): Promise<void> {
    const wait = this.#waitFor(options)
    let last: RecordPlace | undefined
    const target: ClearTarget = {
      native: this.#native,
      window: this.#window,
      appliedLsn: this.#queue.appliedLsn,
      pending: this.#queue.pending,
      settled: () => this.#queue.settled(),
      commitDeletions: async (keys: readonly Encoded[], guard: () => void): Promise<void> => {
        const operations = keys.map((key) => ({ type: 'del' as const, key }))
        // Archives are waited for once, at the end: a clear that stopped halfway would not be one that stands.
        last = await this.batch(operations, { ...options, durability: 'local', [COMMIT_GUARD]: guard })
      },
    }
    await clearRange(target, range)
    if (wait !== undefined && last !== undefined) await wait.through(last)
  }

  #commit(
    encoder: TransactionEncoder,
    changes: readonly Change[],
    options: WriteOptions,
  ): Promise<RecordPlace> {
    const wait = this.#waitFor(options)
    const placed = this.#queue.commit(commitOf(encoder, changes, options))
    this.meter.watch(placed)
    return wait === undefined ? placed : placed.then((place) => wait.through(place))
  }

  /** One promise for a write that waits for this home alone: the queue's own. */
  #commitSilently(changes: readonly Change[], options: WriteOptions): Promise<void> {
    if (this.#waitFor(options) !== undefined) {
      return this.#commit(this.#encoder, changes, options).then(() => undefined)
    }
    const done = this.#queue.commitSilently(commitOf(this.#encoder, changes, options))
    this.meter.watch(done)
    return done
  }

  /** What a write waits for once it is durable here. @throws ENGINE_OPTION_INVALID before anything is written */
  #waitFor({ durability, sync }: WriteOptions): ArchiveWait | undefined {
    if (durability === undefined) {
      return this.#durability === 'local' || sync === false ? undefined : this.#archiveWait
    }
    if (durability === 'local') return undefined
    const isArchived = durability === 'archived' && sync !== false
    if (isArchived && this.#archiveWait !== undefined) return this.#archiveWait
    throw engineError('ENGINE_OPTION_INVALID', 'the write asks for a durability that it cannot have', {
      details: { durability: String(durability), sync, archived: this.#archiveWait !== undefined },
    })
  }
}

function commitOf(encoder: TransactionEncoder, changes: readonly Change[], options: WriteOptions): Commit {
  return {
    payload: encoder.end(options.meta),
    changes,
    kind: 'entry',
    durable: options.sync !== false,
    guard: options[COMMIT_GUARD],
  }
}
