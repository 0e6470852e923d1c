import type {
  AbstractBatchOperation,
  AbstractBatchOptions,
  AbstractChainedBatch,
  AbstractDelOptions,
  AbstractPutOptions,
  AbstractSnapshot,
} from 'abstract-level'
import { MemoryLevel } from 'memory-level'
import type { DatabaseOptions } from 'memory-level'
import type { Observable } from 'rxjs'
import { bulkSource } from './bulk-load/bulk-load-entries.ts'
import type { BulkEntry, BulkLoadOptions, BulkLoadReport } from './bulk-load/bulk-load-entries.ts'
import { loadAsOne } from './bulk-load/bulk-load-memory.ts'
import { EngineChainedBatch } from './commit/chained-batch.ts'
import { commitsOf } from './commit/commit-source.ts'
import type { CommittedTransaction } from './commit/commits.ts'
import { stateDigest } from './tables/digest.ts'
import type { DigestSource, StateDigest } from './tables/digest.ts'
import type { EncodedOperation, Engine } from './commit/engine.ts'
import { engineError } from './errors.ts'
import { openMemorySession } from './session/memory-session.ts'
import type { MemoryHomeOptions, MemorySession } from './session/memory-session.ts'
import type { Encoded, NativeRange } from './level/native-level.ts'
import { NativeMemory } from './level/native-memory.ts'
import { transactionHost } from './transaction/transaction-host.ts'
import { runTransaction } from './transaction/transaction-runner.ts'
import type { TransactionBody, TransactionOptions } from './transaction/transaction-runner.ts'
import type { WriteOptions } from './commit/write-options.ts'

/** Options of {@link TimberMemoryLevel}: memory-level's own, and those of its log. */
export interface TimberMemoryLevelOptions<K, V> extends DatabaseOptions<K, V>, MemoryHomeOptions {}

type Meta = Pick<WriteOptions, 'meta' | 'sync' | 'durability'>

// The methods are abstract-level's; only their options know `meta`, `sync` and `durability` here.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- every member is the inherited one
export interface TimberMemoryLevel<K = string, V = string> {
  put(key: K, value: V): Promise<void>
  put<K2 = K, V2 = V>(key: K2, value: V2, options: AbstractPutOptions<K2, V2> & Meta): Promise<void>
  del(key: K): Promise<void>
  del<K2 = K>(key: K2, options: AbstractDelOptions<K2> & Meta): Promise<void>
  batch(operations: AbstractBatchOperation<this, K, V>[]): Promise<void>
  batch<K2 = K, V2 = V>(
    operations: AbstractBatchOperation<this, K2, V2>[],
    options: AbstractBatchOptions<K2, V2> & Meta,
  ): Promise<void>
  batch(): AbstractChainedBatch<this, K, V>
}

/**
 * The engine over a tree in memory: for tests, and for state that fits into memory. With a `log`, commits are durable, and the
 * state is what the log says; without, it is a `MemoryLevel` with transactions and `commits$`.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see the interface
export class TimberMemoryLevel<K = string, V = string> extends MemoryLevel<K, V> {
  readonly #options: TimberMemoryLevelOptions<K, V>
  readonly #native: NativeMemory
  #session: MemorySession | undefined

  /** @param location - may be left out; it is taken, and not used, for the sake of classes that give one */
  constructor(location?: string | TimberMemoryLevelOptions<K, V>, options?: TimberMemoryLevelOptions<K, V>) {
    const given = (typeof location === 'string' ? undefined : location) ?? options ?? {}
    super(given)
    this.#options = given
    const level = this as unknown as MemoryLevel<unknown, unknown>
    this.#native = new NativeMemory(level, given.storeEncoding ?? 'buffer')
  }

  /** Commits from the moment of subscription on. @see TimberLevel.commits$ */
  get commits$(): Observable<CommittedTransaction> {
    return commitsOf(this, () => this.#engine.feed, undefined)
  }

  /** Commits from an LSN on; without a log the past is gone (ENGINE_LSN_PRUNED). */
  commitsFrom(lsn: number): Observable<CommittedTransaction> {
    return commitsOf(this, () => this.#engine.feed, lsn)
  }

  /** @see TimberLevel.transaction */
  async transaction<Result>(
    body: TransactionBody<K, V, Result>,
    options?: TransactionOptions,
  ): Promise<Result> {
    await this.#opening()
    return this.#engine.run(runTransaction(transactionHost(this, this.#engine, this.#options), body, options))
  }

  /** Writes a named restore point into the log. */
  async mark(
    name: string,
    options?: Pick<WriteOptions, 'durability'>,
  ): Promise<{ readonly lsn: number; readonly committedAtUs: number }> {
    await this.#opening()
    const { lsn, committedAtUs } = await this.#engine.mark(name, options)
    return { lsn, committedAtUs }
  }

  /**
   * Puts all entries in at once, or none. In memory that is one transaction, which the log, if there is one, has like any other: no full
   * backup is due afterwards. @see TimberLevel.bulkLoad
   *
   * @throws what the source throws, and WAL_RECORD_TOO_LARGE when there is a log and all of it does not fit into one record
   */
  async bulkLoad<K2 = K, V2 = V>(
    entries: Iterable<BulkEntry<K2, V2>> | AsyncIterable<BulkEntry<K2, V2>>,
    options: BulkLoadOptions = {},
  ): Promise<BulkLoadReport> {
    await this.#opening()
    const begunAtMs = performance.now()
    const host = { engine: this.#engine, native: this.#native }
    const source = bulkSource(this, entries, options)
    const { place, ...loaded } = await this.#engine.run(loadAsOne(host, source, options.signal))
    const { lsn, committedAtUs } = place
    return { ...loaded, lsn, committedAtUs, ms: performance.now() - begunAtMs }
  }

  /** The digest of the whole state; equal to that of a TimberLevel with the same entries at the same LSN. */
  async digest(): Promise<StateDigest> {
    await this.#opening()
    const snapshot = this.snapshot()
    try {
      const lsn = this.#native.appliedAt(snapshot).lsn
      return await stateDigest(this as unknown as DigestSource, lsn, { snapshot })
    } finally {
      await snapshot.close()
    }
  }

  /** @internal abstract-level's private interface, as all below. */
  async _open(): Promise<void> {
    this.#session = await openMemorySession(this.#native, this.#options)
  }

  /** @internal */
  async _close(): Promise<void> {
    const session = this.#session
    await session?.close().finally(() => {
      this.#session = undefined
    })
  }

  /** @internal */
  _put(key: Encoded, value: Encoded, options: WriteOptions): Promise<unknown> {
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
  _snapshot(options: object): AbstractSnapshot {
    return this.#native.snapshot(options)
  }

  get #engine(): Engine {
    if (this.#session !== undefined) return this.#session.engine
    throw engineError('ENGINE_CLOSED', 'the database is not open')
  }

  async #opening(): Promise<void> {
    if (this.status === 'opening') await this.open({ passive: true } as object)
  }
}
