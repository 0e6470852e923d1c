import { join } from 'node:path'
import type { AbstractLevel, AbstractSnapshot } from 'abstract-level'
import { ClassicLevel } from 'classic-level'
import type {
  BatchOperation,
  BatchOptions,
  ChainedBatch,
  ChainedBatchWriteOptions,
  DatabaseOptions,
  DelOptions,
  PutOptions,
  StartEndOptions,
} from 'classic-level'
import type { Observable } from 'rxjs'
import { adopt, unadopt } from './adopt/adopt.ts'
import type { AdoptReport, UnadoptReport } from './adopt/adopt.ts'
import { EngineChainedBatch } from './commit/chained-batch.ts'
import { ClassicHandle } from './state/classic-handle.ts'
import { bulkSource } from './bulk-load/bulk-load-entries.ts'
import type { BulkEntry, BulkLoadOptions, BulkLoadReport } from './bulk-load/bulk-load-entries.ts'
import type { CheckpointInfo, CheckpointRequest } from './checkpoint/checkpoint-info.ts'
import { commitsOf } from './commit/commit-source.ts'
import type { CommittedTransaction } from './commit/commits.ts'
import type { StateDigest } from './tables/digest.ts'
import type { EncodedOperation, Engine } from './commit/engine.ts'
import { codeOf, engineError } from './errors.ts'
import { destroyHome } from './home/home-destroy.ts'
import { NativeClassic } from './level/native-level.ts'
import type { Encoded, NativeRange } from './level/native-level.ts'
import type { HomeOptions, OpenReport } from './session/open-options.ts'
import { PlainPut } from './commit/plain-put.ts'
import { openSession } from './session/session-opening.ts'
import { ShownState } from './level/shown-state.ts'
import type { ReadOptions } from './level/shown-state.ts'
import type { Quiesced } from './control/quiesced.ts'
import type { HomeStatus, QuiesceOptions, Session } from './session/session.ts'
import { transactionHost } from './transaction/transaction-host.ts'
import { runTransaction } from './transaction/transaction-runner.ts'
import type { TransactionBody, TransactionOptions } from './transaction/transaction-runner.ts'
import type { WriteOptions } from './commit/write-options.ts'

/** Options of {@link TimberLevel}: classic-level's own, and those of the home. */
export interface TimberLevelOptions<K, V> extends DatabaseOptions<K, V>, HomeOptions {}

type Meta = Pick<WriteOptions, 'meta' | 'durability'>

// The methods are abstract-level's; only their options know `meta` and `durability` here.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- every member is the inherited one
export interface TimberLevel<K = string, V = string> {
  del(key: K): Promise<void>
  del<K2 = K>(key: K2, options: DelOptions<K2> & Meta): Promise<void>
  batch(operations: BatchOperation<this, K, V>[]): Promise<void>
  batch<K2 = K, V2 = V>(
    operations: BatchOperation<this, K2, V2>[],
    options: BatchOptions<K2, V2> & Meta,
  ): Promise<void>
  batch(): TimberChainedBatch<this, K, V>
}

/** A chained batch whose `write` takes `meta`. */
export interface TimberChainedBatch<TDatabase, K, V> extends ChainedBatch<TDatabase, K, V> {
  write(options?: ChainedBatchWriteOptions & Meta): Promise<void>
}

/**
 * A Level database whose log is the database: what classic-level is, with commits that are durable when they resolve, and with a
 * history that can be shipped, replayed and recovered.
 *
 * @example
 * const db = new TimberLevel('./home', { valueEncoding: 'json' })
 * await db.put('a', 1)
 * await db.batch([{ type: 'put', key: 'b', value: 2 }], { meta: { actor: 'import-7' } })
 * await db.close()
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see the interface
export class TimberLevel<K = string, V = string> extends ClassicLevel<K, V> {
  readonly #home: string
  readonly #options: TimberLevelOptions<K, V>
  readonly #native: NativeClassic
  readonly #shown: ShownState = new ShownState(this as never)
  readonly #plainPut: PlainPut = new PlainPut(this)
  #session: Session | undefined
  #report: OpenReport | undefined

  constructor(location: string, options?: TimberLevelOptions<K, V>) {
    // An empty or foreign location is refused by classic-level itself, in its words.
    super(typeof location === 'string' && location !== '' ? join(location, 'data') : location, options)
    this.#home = location
    this.#options = options ?? {}
    this.#native = new NativeClassic(this as unknown as ClassicLevel<unknown, unknown>)
  }

  /** The home: the location that was given. */
  override get location(): string {
    return this.#home
  }

  /** What opening found and did; `undefined` before the first open. */
  get opened(): OpenReport | undefined {
    return this.#report
  }

  /** Commits from the moment of subscription on, each once it is durable and readable; completes on close. */
  get commits$(): Observable<CommittedTransaction> {
    return commitsOf(this, () => this.#engine.feed, undefined)
  }

  /**
   * Commits from an LSN on: those still in the log, then live, without loss or repeat at the seam.
   *
   * The Observable fails with ENGINE_LSN_PRUNED when the log does not reach back so far.
   */
  commitsFrom(lsn: number): Observable<CommittedTransaction> {
    return commitsOf(this, () => this.#engine.feed, lsn)
  }

  /** Writes one entry; durable when it resolves. It is abstract-level's `put`, with a shorter way where no hook and no listener is there. */
  override put(key: K, value: V): Promise<void>
  override put<K2 = K, V2 = V>(key: K2, value: V2, options: PutOptions<K2, V2> & Meta): Promise<void>
  override put<K2 = K, V2 = V>(key: K2, value: V2, options: PutOptions<K2, V2> & Meta = {}): Promise<void> {
    return this.#plainPut.put(key, value, options) ?? super.put(key, value, options)
  }

  /**
   * Runs a function as one serializable transaction: it reads a snapshot and its own writes; they are committed as one if
   * nothing it read was changed meanwhile, otherwise it runs again. What it throws aborts the transaction.
   *
   * @throws ENGINE_TRANSACTION_CONFLICT
   * @example
   * await db.transaction(async (tx) => {
   *   const balance = Number(await tx.get('a'))
   *   await tx.put('a', String(balance - 1))
   * })
   */
  async transaction<Result>(
    body: TransactionBody<K, V, Result>,
    options?: TransactionOptions,
  ): Promise<Result> {
    await this.#opening()
    return this.#engine.run(runTransaction(transactionHost(this, this.#engine, this.#options), body, options))
  }

  /** Writes a named restore point into the log; recovery can aim at it. */
  async mark(
    name: string,
    options?: Pick<WriteOptions, 'durability'>,
  ): Promise<{ readonly lsn: number; readonly committedAtUs: number }> {
    await this.#opening()
    const { lsn, committedAtUs } = await this.#engine.mark(name, options)
    return { lsn, committedAtUs }
  }

  /**
   * Loads entries beside the log: faster than any logged batches into a database without an entry, visible all at once when it resolves, durable
   * then, or not at all. Up to 16 MiB of it are in memory, 64 MiB of more than 70 MB. Writes wait until it has ended; readers meanwhile see the state before. Hooks do not run, no write events are
   * emitted, and `commits$` fails with ENGINE_BULK_LOADED, since the log does not know what was loaded: a full backup is due
   * afterwards, and a backup from before cannot be rolled forward past the load. Of two entries with one key the last one stays.
   *
   * @throws what the source throws; nothing is loaded then
   * @example
   * await db.bulkLoad(entriesOf(file)) // [key, value] or { key, value }, one after the other
   */
  async bulkLoad<K2 = K, V2 = V>(
    entries: Iterable<BulkEntry<K2, V2>> | AsyncIterable<BulkEntry<K2, V2>>,
    options: BulkLoadOptions = {},
  ): Promise<BulkLoadReport> {
    await this.#opening()
    const begunAtMs = performance.now()
    const source = bulkSource(this, entries, options)
    const { signal } = options
    const loaded = await this.#open.bulkLoad({ source, signal, shown: this.#shown })
    const { lsn, committedAtUs } = loaded.place
    return {
      entries: loaded.entries,
      bytes: loaded.bytes,
      lsn,
      committedAtUs,
      ms: performance.now() - begunAtMs,
    }
  }

  /** Takes a checkpoint now. They are also taken by themselves. */
  async checkpoint(request?: CheckpointRequest): Promise<CheckpointInfo> {
    await this.#opening()
    return this.#open.checkpoint(request)
  }

  /** Seals the active log segment and begins the next, so that all before can be archived whole. */
  async switchSegment(): Promise<{ readonly segmentNumber: number; readonly lastLsn: number }> {
    await this.#opening()
    const { header, lastLsn } = await this.#open.switchSegment()
    return { segmentNumber: header.segmentNumber, lastLsn }
  }

  /**
   * Lets commits wait, so that the home can be copied by other means, such as a snapshot of its disk; reads go on. It ends with
   * `resume`, with its maximum length, or with the database.
   *
   * @throws ENGINE_QUIESCED, ENGINE_QUIESCE_ENDED, ENGINE_OPTION_INVALID
   * @example
   * const quiet = await db.quiesce({ maxMs: 30_000 })
   * await takeSnapshotOfDisk()
   * await quiet.resume()
   */
  async quiesce(options?: QuiesceOptions): Promise<Quiesced> {
    await this.#opening()
    const session = this.#open
    const info = await session.quiesce(options)
    return { ...info, resume: async () => session.resume(info.id) }
  }

  /** The LSN of the state that a snapshot of this database shows. */
  snapshotLsn(snapshot: AbstractSnapshot): number {
    return this.#engine.snapshotLsn(snapshot)
  }

  /** The digest of the whole state at the LSN it names, read beside running writers. */
  async digest(): Promise<StateDigest> {
    await this.#opening()
    return this.#open.digest()
  }

  /** How log, checkpoints and queues stand. */
  async homeStatus(): Promise<HomeStatus> {
    await this.#opening()
    return this.#open.status()
  }

  /** As classic-level's; 0 while data is loaded into a database without an entry. */
  override approximateSize(...range: [K, K]): Promise<number>
  override approximateSize<K2 = K>(...range: [K2, K2, StartEndOptions<K2>?]): Promise<number>
  override async approximateSize(...range: [never, never]): Promise<number> {
    return this.#native.isClosed ? 0 : super.approximateSize(...range)
  }

  /** As classic-level's; does nothing while data is loaded into a database without an entry. */
  override compactRange(...range: [K, K]): Promise<void>
  override compactRange<K2 = K>(...range: [K2, K2, StartEndOptions<K2>?]): Promise<void>
  override async compactRange(...range: [never, never]): Promise<void> {
    if (!this.#native.isClosed) await super.compactRange(...range)
  }

  /** As classic-level's; empty while data is loaded into a database without an entry. */
  override getProperty(property: string): string {
    return this.#native.isClosed && this.status === 'open' ? '' : super.getProperty(property)
  }

  /**
   * Removes a home with everything in it: data, log and checkpoints. Archives and backups elsewhere stay.
   *
   * @throws ENGINE_HOME_MISSING, ENGINE_HOME_LOCKED
   */
  static override destroy(location: string): Promise<void> {
    return destroyHome(location)
  }

  /**
   * Not needed: opening repairs. It is here because classic-level has it, and always rejects.
   *
   * @throws ENGINE_REPAIR_NEEDLESS
   */
  static override async repair(location: string): Promise<void> {
    throw engineError('ENGINE_REPAIR_NEEDLESS', 'a home needs no repair', { details: { location } })
  }

  /** Makes a home of a folder that holds a closed plain LevelDB, in place; a full backup is due afterwards. */
  static async adopt(location: string): Promise<AdoptReport> {
    const report = await adopt(location)
    // Opened once, so that log and first checkpoint are there and the full backup that is due can be made at once.
    const db = new TimberLevel(location)
    await db.open()
    await db.close()
    return report
  }

  /** The way back: makes the folder a plain LevelDB that classic-level opens. */
  static unadopt(location: string): Promise<UnadoptReport> {
    return unadopt(location)
  }

  /** @internal abstract-level's private interface, as all below. */
  async _open(options: OpenOptions): Promise<void> {
    const below = { level: this, native: this.#native, options }
    try {
      this.#session = await openSession({
        home: this.#home,
        createIfMissing: options.createIfMissing,
        errorIfExists: options.errorIfExists,
        options,
        native: this.#native,
        handle: new ClassicHandle({ ...below, beforeClose: () => this.#shown.letGo() }),
        // Closed and opened again while readers are shown what needs no LevelDB.
        restHandle: new ClassicHandle({ ...below, beforeClose: () => Promise.resolve() }),
        level: this as never,
        keepReaders: () => this.#shown.keep(),
      })
    } catch (error) {
      throw asLevelError(error)
    }
    this.#report = this.#session.report
  }

  /** @internal */
  async _close(): Promise<void> {
    const session = this.#session
    await session?.close().finally(() => {
      this.#session = undefined
    })
  }

  /** @internal */
  _put(key: Encoded, value: Encoded, options: WriteOptions): Promise<void> {
    return this.#engine.put(key, value, options)
  }

  /** @internal */
  _del(key: Encoded, options: WriteOptions): Promise<unknown> {
    return this.#engine.del(key, options)
  }

  /** @internal */
  _batch(operations: readonly EncodedOperation[], options: WriteOptions): Promise<unknown> {
    return this.#engine.batch(operations, options)
  }

  /** @internal */
  _chainedBatch(): EngineChainedBatch {
    return new EngineChainedBatch(this as never, this.#engine)
  }

  /** @internal */
  _clear(options: NativeRange & WriteOptions): Promise<void> {
    return this.#engine.clear(options, options)
  }

  /** @internal */
  _iterator(options: NativeRange): unknown {
    return this.#shown.iterator(options)
  }

  /** @internal */
  _get(key: Encoded, options: ReadOptions): Promise<unknown> {
    return this.#shown.get(key, options)
  }

  /** @internal */
  _getSync(key: Encoded, options: ReadOptions): unknown {
    return this.#shown.getSync(key, options)
  }

  /** @internal */
  _getMany(keys: readonly Encoded[], options: ReadOptions): Promise<unknown[]> {
    return this.#shown.getMany(keys, options)
  }

  /** @internal */
  _has(key: Encoded, options: ReadOptions): Promise<boolean> {
    return this.#shown.has(key, options)
  }

  /** @internal */
  _hasMany(keys: readonly Encoded[], options: ReadOptions): Promise<boolean[]> {
    return this.#shown.hasMany(keys, options)
  }

  /** @internal */
  _snapshot(options: { readonly owner: AbstractLevel<unknown> }): AbstractSnapshot {
    return this.#shown.snapshot(options)
  }

  get #open(): Session {
    if (this.#session !== undefined) return this.#session
    throw engineError('ENGINE_CLOSED', 'the database is not open', { details: { home: this.#home } })
  }

  get #engine(): Engine {
    return this.#open.engine
  }

  /** As abstract-level does: what is called while the database opens waits for it. */
  async #opening(): Promise<void> {
    if (this.status === 'opening') await this.open({ passive: true } as object)
  }
}

interface OpenOptions extends HomeOptions {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
}

/** Programs made for Level look for this code at the error's cause; ours, with its hint, is one step below. */
function asLevelError(error: unknown): unknown {
  if (!(error instanceof Error) || codeOf(error) !== 'ENGINE_HOME_LOCKED') return error
  return Object.assign(new Error(error.message, { cause: error }), { code: 'LEVEL_LOCKED' })
}
