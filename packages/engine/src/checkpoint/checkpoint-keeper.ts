import { setTimeout as wait } from 'node:timers/promises'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem, Log } from '@timberline/wal'
import { digestCheckpoint } from './checkpoint-digest.ts'
import type { CheckpointEvent, CheckpointReason } from './checkpoint-event.ts'
import type { CheckpointInfo, CheckpointRequest, KeeperStatus } from './checkpoint-info.ts'
import { LoadStage } from './checkpoint-load.ts'
import type { StageLoad } from './checkpoint-load.ts'
import { CheckpointHasher } from './checkpoint-hasher.ts'
import { writeCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { completePolicy } from './checkpoint-policy.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'
import { LogPruner, type PrunerClock } from './checkpoint-pruner.ts'
import { restIn } from './checkpoint-rest.ts'
import type { CheckpointRest } from './checkpoint-rest.ts'
import { segmentHolding } from './checkpoint-segment.ts'
import { sweepCheckpoints } from './checkpoint-sweep.ts'
import type { CheckpointsFound } from './checkpoint-sweep.ts'
import { heldAlone } from './checkpoint-tables.ts'
import { takeCheckpoint } from './checkpoint-take.ts'
import { atHomeBoundary, engineError } from '../errors.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import type { Compactable } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import { encodeNote } from '../records/notes.ts'

/** The part of the log that checkpoints need. */
export type KeeperLog = Pick<Log, 'nextLsn' | 'activeSegment' | 'sync' | 'roll' | 'removeSegmentsBelow'>

/** Options of {@link openCheckpointKeeper}. */
export interface KeeperOptions {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly log: KeeperLog
  /** The open LevelDB. */
  readonly level: Compactable
  /** Appends a record of kind `note` in its turn among the commits; resolves once it is durable. */
  readonly appendNote: (payload: Buffer) => Promise<{ readonly lsn: number }>
  /** Resolves once the state has the record; lets a checkpoint reach the end of the segment it seals. */
  readonly appliedThrough?: (lsn: number) => Promise<void>
  readonly policy?: Partial<CheckpointPolicy>
  readonly onEvent?: (event: CheckpointEvent) => void
  readonly fileSystem?: FileSystem
  /** Tells the age of log for `logAgeMsMax`; default the system's clocks. */
  readonly clock?: PrunerClock
}

const TICK_MS = 1000
/** After a failed automatic checkpoint: the disk may be full, and trying costs. */
const RETRY_MS_MIN = 10_000
const RETRY_MS_MAX = 300_000

/**
 * Readies the checkpoints of an open home: sweeps what an interrupted one left, and takes them from then on by itself. The
 * caller holds the home's lock, and the state is at the end of the log.
 */
export async function openCheckpointKeeper(options: KeeperOptions): Promise<CheckpointKeeper> {
  const { layout, log, fileSystem = nodeFileSystem } = options
  const keeper = new CheckpointKeeper(options, await sweepCheckpoints(layout, log.nextLsn - 1, fileSystem))
  await keeper.begin()
  return keeper
}

/** Takes checkpoints of one open home, one at a time, and removes the log that they make needless. */
export class CheckpointKeeper {
  readonly policy: CheckpointPolicy
  readonly #options: KeeperOptions
  readonly #fileSystem: FileSystem
  readonly #reader: VersionReader
  readonly #hasher: CheckpointHasher
  readonly #pruner: LogPruner
  readonly #stage: LoadStage
  #newest: CheckpointManifest | undefined
  /** LSN of the note that stands right behind the newest checkpoint, as far as known. */
  #noteLsn: number
  #bytesSince = 0
  #takenAtMs = performance.now()
  #queue: Promise<unknown> = Promise.resolve()
  #automatic = false
  #retryAtMs = 0
  #retryMs = RETRY_MS_MIN
  #timer: NodeJS.Timeout | undefined
  #closed = false
  #isResting = false
  /** What was taken back may have left its traces in LevelDB. */
  #hasLoaded = false

  /** Keepers come from {@link openCheckpointKeeper}. */
  constructor(options: KeeperOptions, { newest, staged, noteLsn }: CheckpointsFound) {
    this.#options = options
    const fileSystem = options.fileSystem ?? nodeFileSystem
    this.#fileSystem = fileSystem
    this.policy = completePolicy(options.policy)
    this.#newest = newest
    this.#noteLsn = noteLsn
    this.#reader = new VersionReader(options.layout.dataDirectory, fileSystem)
    this.#stage = new LoadStage({ ...options, reader: this.#reader, fileSystem }, staged)
    this.#hasher = new CheckpointHasher(options.layout, this.#fileSystem)
    this.#pruner = new LogPruner({
      directory: options.layout.logDirectory,
      log: options.log,
      policy: this.policy,
      fileSystem: this.#fileSystem,
      onEvent: (event) => options.onEvent?.(event),
      clock: options.clock,
    })
  }

  /** The newest checkpoint. */
  get newest(): CheckpointManifest | undefined {
    return this.#newest
  }

  /** Measures the log, and from now on looks once a second whether something is due. */
  async begin(): Promise<void> {
    await this.#pruner.measure()
    // Parsed whole now, while nobody commits; later only what was added.
    await this.#reader.read()
    if (this.#newest !== undefined) this.#beginHashing(this.#newest)
    if (this.#stage.isPending) this.#takeBySelf('load')
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  /** To be called for every append, on the hot path. */
  appended(bytes: number): void {
    this.#bytesSince += bytes
    this.#pruner.logBytes += bytes
    const { checkpointBytes, logBytesMax } = this.policy
    if (checkpointBytes > 0 && this.#bytesSince >= checkpointBytes) this.#takeBySelf('bytes')
    // A checkpoint frees log only if there is log behind the last one.
    else if (this.#pruner.isOver && this.#bytesSince > logBytesMax / 4) this.#takeBySelf('full')
  }

  /** `undefined`, or what a commit must wait for because the log has reached its limit. */
  gate(): Promise<void> | undefined {
    return this.#pruner.gate
  }

  /** Takes a checkpoint after those already asked for. */
  async take(request: CheckpointRequest = {}): Promise<CheckpointInfo> {
    const info = await this.#enqueue(() => this.#take(request))
    if (request.hashed === true) await this.#hasher.settled()
    return info
  }

  /**
   * Puts data in beside the log, in its turn among the checkpoints: none is taken meanwhile, which could hold half of it. What
   * `load` staged and committed is durable when this resolves; a checkpoint of it comes next by itself.
   */
  async load<Result>(load: (stage: StageLoad) => Promise<Result>, closing: AbortSignal): Promise<Result> {
    return this.#enqueue(async () => {
      const isFirst = this.#isUntouched()
      // What a crash in the middle is rebuilt from.
      if (!isFirst) await this.#take({ reason: 'load' })
      // Writes before it may wait for the log to be let go, which is done in this queue.
      while (this.#pruner.stalled && !closing.aborted) {
        await wait(TICK_MS, undefined, { signal: closing }).catch(() => undefined)
        await this.#prune()
      }
      // Whatever comes of it, LevelDB is another afterwards: the next checkpoint is no repetition of this one.
      this.#noteLsn = 0
      this.#hasLoaded = true
      const result = await load({
        isFirst,
        write: (lsn, how) => this.#stage.write(lsn, { ...how, newest: this.#newest }),
        clear: () => this.#stage.undo(this.#newest),
      })
      // Behind it: nobody has to wait for that.
      if (this.#stage.isPending) this.#takeBySelf('load')
      return result
    })
  }

  /** Removes the log segments that are no longer needed; also done after each checkpoint and while the log is full. */
  async prune(): Promise<readonly string[]> {
    return this.#enqueue(() => this.#prune())
  }

  /**
   * Keeps checkpoints and log as they are until told to go on: what is asked for meanwhile waits, and nothing is done by itself.
   */
  rest(): CheckpointRest {
    return restIn((work) => this.#enqueue(work), {
      pause: async () => {
        this.#isResting = true
        this.#newest = (await this.#hasher.stop()) ?? this.#newest
      },
      goOn: () => {
        this.#isResting = false
        if (this.#newest !== undefined && !this.#closed) this.#beginHashing(this.#newest)
      },
    })
  }

  /** How checkpoints and log stand. */
  status(): KeeperStatus {
    const newest = this.#newest
    const { logBytesMax, logAgeMsMax, logFullPolicy } = this.policy
    return {
      checkpoint: newest && {
        lsn: newest.lsn,
        createdAtUs: newest.createdAtUs,
        segmentNumber: newest.segmentNumber,
        tables: newest.tables.length,
      },
      bytesSinceCheckpoint: this.#bytesSince,
      logBytes: this.#pruner.logBytes,
      stalled: this.#pruner.stalled,
      logLimits: { logBytesMax, logAgeMsMax, logFullPolicy },
      fillingFor: this.#pruner.fillingFor,
    }
  }

  /** Bytes of tables that only the checkpoint still keeps: LevelDB has compacted them away. */
  heldBytes(): Promise<number> {
    return heldAlone(this.#newest?.tables ?? [], this.#options.layout.tablesDirectory, this.#fileSystem)
  }

  /** Ends a checkpoint in progress and lets nothing begin any more; takes none itself. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    this.#pruner.open()
    await this.#queue.catch(() => undefined)
    await this.#hasher.stop()
  }

  #enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(engineError('ENGINE_CLOSED', 'the database is closing'))
    }
    const result = this.#queue.then(() => atHomeBoundary(this.#options.layout.home, work))
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #take(request: CheckpointRequest): Promise<CheckpointInfo> {
    const { log, layout, identity, level, appliedThrough, onEvent } = this.#options
    const { reason = 'request' } = request
    // It may be about to hash a table that is about to be dropped; what it has learned is kept.
    this.#newest = (await this.#hasher.stop()) ?? this.#newest
    const unchanged = this.#unchanged()
    if (unchanged !== undefined) return this.#finish(unchanged, { created: false, ms: 0 }, request)
    const bytesBefore = this.#bytesSince
    // Sealed first, the segment lies below the checkpoint and can go at once.
    const sealed = await log.roll()
    await appliedThrough?.(sealed.lastLsn)
    const taken = await takeCheckpoint({
      layout,
      identity,
      level,
      previous: this.#newest,
      linked: this.#stage.tables,
      reader: this.#reader,
      fileSystem: this.#fileSystem,
      segmentAfter: async ({ lsn }) => {
        // What the tables hold must not be ahead of the log, once the log before it may go.
        await log.sync()
        return segmentHolding(layout.logDirectory, lsn + 1, this.#fileSystem)
      },
    })
    this.#newest = taken.manifest
    this.#bytesSince -= bytesBefore
    this.#takenAtMs = performance.now()
    if (taken.created) {
      await this.#note(taken.manifest)
      const { manifest, linkedCount, droppedCount, ms } = taken
      const { lsn, segmentNumber } = manifest
      onEvent?.({ type: 'checkpoint.taken', reason, lsn, segmentNumber, linkedCount, droppedCount, ms })
    }
    await this.#stage.clear(taken.manifest)
    return this.#finish(taken.manifest, taken, request)
  }

  /** The newest checkpoint, if nothing but a note that belongs to it came after. */
  #unchanged(): CheckpointManifest | undefined {
    const newest = this.#newest
    const lastLsn = this.#options.log.nextLsn - 1
    if (newest === undefined) return undefined
    return lastLsn === newest.lsn || (lastLsn === newest.lsn + 1 && lastLsn === this.#noteLsn)
      ? newest
      : undefined
  }

  /** Whether nothing was ever written here: what can be lost then, the log makes anew. */
  #isUntouched(): boolean {
    const { log, identity } = this.#options
    const isNew = this.#newest === undefined && log.nextLsn === 1 && identity.adoptedAtUs === undefined
    return isNew && !this.#hasLoaded
  }

  async #note(manifest: CheckpointManifest): Promise<void> {
    const { lsn, segmentNumber, tables } = manifest
    const payload = encodeNote({ type: 'checkpoint', lsn, segmentNumber, tables: tables.length })
    this.#noteLsn = (await this.#options.appendNote(payload)).lsn
  }

  async #finish(
    manifest: CheckpointManifest,
    taken: { readonly created: boolean; readonly ms: number },
    request: CheckpointRequest,
  ): Promise<CheckpointInfo> {
    if (request.digest === true && manifest.digest === undefined) {
      const digest = await digestCheckpoint(manifest, this.#options.layout, this.#fileSystem)
      this.#newest = { ...manifest, digest }
      await writeCheckpoint(this.#options.layout.home, this.#newest, this.#fileSystem)
    }
    this.#beginHashing(this.#newest ?? manifest)
    // Also when nothing had changed: a hold may have gone since.
    await this.#prune()
    return {
      lsn: manifest.lsn,
      committedAtUs: manifest.committedAtUs,
      segmentNumber: manifest.segmentNumber,
      tables: manifest.tables.length,
      bytes: manifest.tables.reduce((sum, table) => sum + table.bytes, 0),
      created: taken.created,
      ms: taken.ms,
    }
  }

  #beginHashing(manifest: CheckpointManifest): void {
    const begunAtMs = performance.now()
    this.#hasher.begin(manifest, (tables, error) => {
      if (error !== undefined) this.#options.onEvent?.({ type: 'checkpoint.hashFailed', error })
      else if (tables > 0) {
        const ms = performance.now() - begunAtMs
        this.#options.onEvent?.({ type: 'checkpoint.hashed', lsn: manifest.lsn, tables, ms })
      }
    })
  }

  async #prune(): Promise<readonly string[]> {
    return this.#newest === undefined ? [] : this.#pruner.prune(this.#newest)
  }

  #tick(): void {
    if (this.#isResting) return
    const { checkpointAgeMs, checkpointBytes } = this.policy
    const isMuch = checkpointBytes > 0 && this.#bytesSince >= checkpointBytes
    const isOld = checkpointAgeMs > 0 && performance.now() - this.#takenAtMs >= checkpointAgeMs
    if (this.#newest === undefined) this.#takeBySelf('first')
    else if (isMuch) this.#takeBySelf('bytes')
    else if (isOld && this.#bytesSince > 0) this.#takeBySelf('age')
    else if (this.#pruner.isOver || this.#pruner.wantsPruning(this.#newest)) {
      this.prune().catch((error: unknown) => this.#options.onEvent?.({ type: 'log.pruneFailed', error }))
    }
  }

  /** At most one at a time, and after a failure not at once again. */
  #takeBySelf(reason: CheckpointReason): void {
    if (this.#automatic || this.#closed || performance.now() < this.#retryAtMs) return
    this.#automatic = true
    this.take({ reason })
      .then(() => {
        this.#retryMs = RETRY_MS_MIN
      })
      .catch((error: unknown) => {
        this.#retryAtMs = performance.now() + this.#retryMs
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX)
        if (!this.#closed) this.#options.onEvent?.({ type: 'checkpoint.failed', reason, error })
      })
      .finally(() => {
        this.#automatic = false
      })
  }
}
