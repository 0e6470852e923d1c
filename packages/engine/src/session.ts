/**
 * A home from open to close. What is opened is closed in the opposite order, also when opening fails halfway: lock, log,
 * state, checkpoints.
 */
import { dirname, resolve } from 'node:path'
import { nodeFileSystem, openLog, parseSegmentName, readLog } from '@timberline/wal'
import type { Log, OpenedLog, SegmentSummary } from '@timberline/wal'
import type { CheckpointEvent } from './checkpoint-event.ts'
import { openCheckpointKeeper } from './checkpoint-keeper.ts'
import type {
  CheckpointInfo,
  CheckpointKeeper,
  CheckpointRequest,
  KeeperStatus,
} from './checkpoint-keeper.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'
import { openControlServer } from './control-server.ts'
import type { ControlServer } from './control-server.ts'
import { stateDigest } from './digest.ts'
import type { DigestSource, StateDigest } from './digest.ts'
import { Engine, QUEUED_BYTES_MAX } from './engine.ts'
import { engineError } from './errors.ts'
import { admitHome } from './home-admission.ts'
import { readBackupDue } from './home-backup-due.ts'
import { newHomeIdentity, writeHomeIdentity } from './home-identity.ts'
import type { HomeIdentity } from './home-identity.ts'
import { homeLayout } from './home-layout.ts'
import type { HomeLayout } from './home-layout.ts'
import type { Compactable } from './leveldb-flush.ts'
import { lockHome } from './lock.ts'
import type { NativeLevel } from './native-level.ts'
import { dataCondition } from './state.ts'
import type { StateHandle } from './state-handle.ts'
import { recoverState } from './state-recovery.ts'
import type { RecoverReport } from './state-recovery.ts'

/** Options of the log of a home. */
export interface LogLimits {
  /** A segment is sealed before it grows beyond this; default 64 MiB, from 4 KiB to 4 GiB. */
  readonly segmentBytesMax?: number | undefined
  /** A segment is sealed this long after its first record, in milliseconds; default 3,600,000; 0 is never. */
  readonly segmentAgeMsMax?: number | undefined
  /** The largest transaction; default 64 MiB, at most 256 MiB. */
  readonly recordBytesMax?: number | undefined
  /** Zeros written ahead in the background; default 1 MiB; 0 is off. */
  readonly preallocateBytes?: number | undefined
}

/** What a database tells about itself; told after the fact. Listeners must not throw. */
export type EngineEvent =
  | CheckpointEvent
  | { readonly type: 'database.opened'; readonly report: OpenReport }
  /** No more writes are taken; reads go on. */
  | { readonly type: 'database.failed'; readonly error: Error }
  | { readonly type: 'database.closed' }

/** Options of a home beyond classic-level's. */
export interface HomeOptions {
  /** How long to wait for another process that holds the home, in milliseconds; default 0. */
  readonly busyTimeoutMs?: number | undefined
  /** Writes wait while more than this is between the call and the state, in bytes; default 64 MiB. */
  readonly queuedBytesMax?: number | undefined
  readonly log?: LogLimits | undefined
  /** When checkpoints are taken by themselves, and how far the log may grow. */
  readonly checkpoint?: Partial<CheckpointPolicy> | undefined
  /** Verify every table at open; default false. Costs a read of the whole database. */
  readonly verify?: boolean | undefined
  readonly onEvent?: ((event: EngineEvent) => void) | undefined
}

/** What opening found and did. */
export interface OpenReport {
  readonly home: string
  readonly environmentId: string
  readonly timeline: number
  /** The home was made new. */
  readonly created: boolean
  readonly log: OpenedLog
  readonly state: RecoverReport
  readonly ms: number
}

/** How an open home stands; JSON-safe. */
export interface HomeStatus extends KeeperStatus {
  readonly home: string
  readonly environmentId: string
  readonly timeline: number
  readonly pid: number
  /** The last record of the log. */
  readonly lastLsn: number
  readonly durableLsn: number
  /** Everything through this one is readable. */
  readonly appliedLsn: number
  /** Bytes between the call and the state. */
  readonly queuedBytes: number
  /** Writes held back. */
  readonly waitingCount: number
  readonly activeSegment: number
  /** Bytes of tables that only the checkpoint still keeps. */
  readonly heldBytes: number
  /** A full backup is due, and why. */
  readonly backupDue?: string
  /** Why no more writes are taken. */
  readonly failure?: string
  /** Why there is no control socket. */
  readonly controlOff?: string
}

/** LevelDB as sessions use it, apart from reading and writing. */
export type SessionNative = NativeLevel & Compactable

/** What a session is opened over. */
export interface SessionBase {
  readonly home: string
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
  readonly options: HomeOptions
  readonly native: SessionNative
  readonly handle: StateHandle
  /** The database itself. */
  readonly level: DigestSource
}

type Closer = () => Promise<unknown>

/** Opens a home: admits it, locks it, brings the state to the end of the log. */
export async function openSession(base: SessionBase): Promise<Session> {
  const closers: Closer[] = []
  try {
    return await new Opening(base, closers).run()
  } catch (error) {
    // The reason for the failure is what the caller must hear; what closing adds to it is not.
    for (const close of closers.toReversed()) await close().catch(() => undefined)
    throw error
  }
}

class Opening {
  readonly #base: SessionBase
  readonly #closers: Closer[]
  readonly #layout: HomeLayout
  #engine: Engine | undefined
  #keeper: CheckpointKeeper | undefined

  constructor(base: SessionBase, closers: Closer[]) {
    this.#base = base
    this.#closers = closers
    this.#layout = homeLayout(base.home)
  }

  async run(): Promise<Session> {
    const begunAtMs = performance.now()
    const layout = this.#layout
    const { handle, level, options } = this.#base
    const { identity, created } = await this.#lockAndIdentify()
    const log = await this.#openLog(identity)
    const verify = options.verify === true
    const state = await recoverState(handle, { layout, identity, log: log.opened, verify })
    this.#closers.push(() => handle.close())
    const engine = this.#openEngine(log, state)
    const keeper = await this.#openKeeper({ identity, log, engine })
    const { environmentId, timeline } = identity
    const ms = performance.now() - begunAtMs
    const report = { home: layout.home, environmentId, timeline, created, log: log.opened, state, ms }
    const session = new Session(
      { engine, keeper, log, level, layout, report },
      this.#closers,
      options.onEvent,
    )
    await session.begin()
    return session
  }

  /** Looked at before the lock is taken, so that a mistyped path makes no folder; and again behind it. */
  async #lockAndIdentify(): Promise<{ identity: HomeIdentity; created: boolean }> {
    const { options } = this.#base
    await this.#admit()
    const lock = await lockHome(this.#layout.home, { busyTimeoutMs: options.busyTimeoutMs ?? 0 })
    this.#closers.push(() => lock.release())
    const found = await this.#admit()
    if (found !== undefined) return { identity: found, created: false }
    const identity = newHomeIdentity()
    await writeHomeIdentity(this.#layout.home, identity)
    // The home's own name survives power loss as well.
    await nodeFileSystem.syncDirectory(dirname(resolve(this.#layout.home)))
    return { identity, created: true }
  }

  async #admit(): Promise<HomeIdentity | undefined> {
    const { home, createIfMissing, errorIfExists } = this.#base
    const identity = await admitHome(home)
    if (identity !== undefined && errorIfExists) {
      throw engineError('ENGINE_HOME_EXISTS', 'the home exists already', { details: { home } })
    }
    if (identity === undefined && !createIfMissing) {
      throw engineError('ENGINE_HOME_MISSING', 'the home does not exist', { details: { home } })
    }
    return identity
  }

  async #openLog(identity: HomeIdentity): Promise<Log> {
    const { logDirectory } = this.#layout
    const { options } = this.#base
    await this.#refuseLostLog(identity)
    const log = await openLog({
      ...options.log,
      directory: logDirectory,
      identity,
      nextLsn: (identity.parent?.forkLsn ?? 0) + 1,
      onFlushed: (flushed) => {
        this.#engine?.flushed(flushed)
      },
      onFailed: (error) => {
        this.#engine?.failed(error)
      },
    })
    this.#closers.push(() => log.close())
    return log
  }

  /** Data without any log is a home that lost its log, unless its history begins with that data. */
  async #refuseLostLog(identity: HomeIdentity): Promise<void> {
    const { dataDirectory, logDirectory } = this.#layout
    if (identity.adoptedAtUs !== undefined || identity.parent !== undefined) return
    const hasFolder = (await nodeFileSystem.status(logDirectory)) !== undefined
    const names = hasFolder ? await nodeFileSystem.list(logDirectory) : []
    if (names.some((name) => parseSegmentName(name) !== undefined)) return
    if ((await dataCondition(dataDirectory, nodeFileSystem)) === 'empty') return
    throw engineError('ENGINE_LOG_LOST', 'there is data, but no log', { details: { logDirectory } })
  }

  #openEngine(log: Log, state: RecoverReport): Engine {
    const { native, options } = this.#base
    const { logDirectory } = this.#layout
    const engine = new Engine({
      native,
      position: { lsn: state.throughLsn, committedAtUs: state.committedAtUs },
      queuedBytesMax: options.queuedBytesMax ?? QUEUED_BYTES_MAX,
      isStalled: () => this.#keeper?.gate() !== undefined,
      onAppended: (bytes) => {
        this.#keeper?.appended(bytes)
      },
      readLog: (range) => readLog({ directory: logDirectory, ...range }),
      onFailed: (error) => {
        options.onEvent?.({ type: 'database.failed', error })
      },
    })
    engine.attach(log)
    this.#engine = engine
    return engine
  }

  async #openKeeper(open: { identity: HomeIdentity; log: Log; engine: Engine }): Promise<CheckpointKeeper> {
    const { native, options } = this.#base
    const { identity, log, engine } = open
    const keeper = await openCheckpointKeeper({
      layout: this.#layout,
      identity,
      log,
      level: native,
      appendNote: (payload) => engine.note(payload),
      appliedThrough: (lsn) => engine.appliedThrough(lsn),
      policy: options.checkpoint ?? {},
      onEvent: (event) => {
        if (event.type === 'log.resumed') engine.release()
        options.onEvent?.(event)
      },
    })
    this.#closers.push(() => keeper.close())
    this.#keeper = keeper
    return keeper
  }
}

/** The parts of an open home. */
interface SessionParts {
  readonly engine: Engine
  readonly keeper: CheckpointKeeper
  readonly log: Log
  readonly level: DigestSource
  readonly layout: HomeLayout
  readonly report: OpenReport
}

/** A home that is open. */
export class Session {
  readonly engine: Engine
  readonly report: OpenReport
  readonly #parts: SessionParts
  readonly #closers: Closer[]
  readonly #onEvent: ((event: EngineEvent) => void) | undefined
  #control: ControlServer | undefined

  /** Sessions come from {@link openSession}. */
  constructor(parts: SessionParts, closers: Closer[], onEvent: ((event: EngineEvent) => void) | undefined) {
    this.engine = parts.engine
    this.report = parts.report
    this.#parts = parts
    this.#closers = closers
    this.#onEvent = onEvent
  }

  /** Listens on the control socket. */
  async begin(): Promise<void> {
    const control = await openControlServer(this.#parts.layout, {
      status: () => this.status(),
      checkpoint: (request) => this.checkpoint(request),
      switchSegment: () => this.switchSegment(),
      digest: () => this.digest(),
    })
    this.#control = control
    this.#closers.push(() => control.close())
    this.#onEvent?.({ type: 'database.opened', report: this.report })
  }

  checkpoint(request?: CheckpointRequest): Promise<CheckpointInfo> {
    return this.#parts.keeper.take(request)
  }

  switchSegment(): Promise<SegmentSummary> {
    return this.#parts.log.roll()
  }

  /** The digest of the state at the LSN that it names; writers go on. */
  async digest(): Promise<StateDigest> {
    const { engine, level } = this.#parts
    const snapshot = level.snapshot()
    try {
      return await engine.run(stateDigest(level, engine.snapshotLsn(snapshot), { snapshot }))
    } finally {
      await snapshot.close()
    }
  }

  async status(): Promise<HomeStatus> {
    const { engine, keeper, log, layout, report } = this.#parts
    const backupDue = await readBackupDue(layout.home)
    return {
      home: layout.home,
      environmentId: report.environmentId,
      timeline: report.timeline,
      pid: process.pid,
      lastLsn: log.nextLsn - 1,
      durableLsn: log.durableLsn,
      appliedLsn: engine.appliedLsn,
      queuedBytes: engine.queuedBytes,
      waitingCount: engine.waitingCount,
      activeSegment: log.activeSegment,
      heldBytes: await keeper.heldBytes(),
      ...keeper.status(),
      ...(backupDue === undefined ? {} : { backupDue: backupDue.reason }),
      ...(engine.failure === undefined ? {} : { failure: engine.failure.message }),
      ...(this.#control?.offReason === undefined ? {} : { controlOff: this.#control.offReason }),
    }
  }

  /**
   * Waits for what is under way, takes a last checkpoint so that the next open has nothing to replay, and closes. What
   * cannot be done is done by the next open: it is as after a crash.
   */
  async close(): Promise<void> {
    const { engine, keeper } = this.#parts
    await engine.close()
    if (engine.failure === undefined) {
      await keeper.take({ reason: 'close' }).catch((error: unknown) => {
        this.#onEvent?.({ type: 'checkpoint.failed', reason: 'close', error })
      })
    }
    const errors: unknown[] = []
    for (const close of this.#closers.toReversed()) {
      await close().catch((error: unknown) => errors.push(error))
    }
    this.#onEvent?.({ type: 'database.closed' })
    if (errors.length > 0 && engine.failure === undefined) throw errors[0]
  }
}
