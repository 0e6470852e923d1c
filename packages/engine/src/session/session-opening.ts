/**
 * Opens a home. What is opened is closed in the opposite order, also when opening fails halfway: lock, log, state, checkpoints,
 * control socket.
 */
import { nodeFileSystem, openLog, parseSegmentName, readLog } from '@timberline/wal'
import type { FileSystem, Log } from '@timberline/wal'
import { openArchiveWait } from '../commit/archive-wait.ts'
import type { ArchiveWait } from '../commit/archive-wait.ts'
import { archivedPolicyOf } from '../commit/archived-options.ts'
import type { ArchivedPolicy } from '../commit/archived-options.ts'
import { CommitPause } from '../commit/commit-pause.ts'
import type { KeepReaders } from '../commit/commit-queue.ts'
import { openCheckpointKeeper } from '../checkpoint/checkpoint-keeper.ts'
import type { CheckpointKeeper } from '../checkpoint/checkpoint-keeper.ts'
import type { DigestSource } from '../tables/digest.ts'
import { Engine, QUEUED_BYTES_MAX } from '../commit/engine.ts'
import { atHomeBoundary, engineError } from '../errors.ts'
import { admitHome } from '../home/home-admission.ts'
import { newHomeIdentity, writeHomeIdentity } from '../home/home-identity.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import { homeLayout } from '../home/home-layout.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { lockHome } from '../home/lock.ts'
import type { NativeClassic } from '../level/native-level.ts'
import type { HomeOptions } from './open-options.ts'
import { Session } from './session.ts'
import type { Closer } from './session.ts'
import type { StateHandle } from '../state/state-handle.ts'
import { recoverState } from '../state/state-recovery.ts'
import type { RecoverReport } from '../state/state-recovery.ts'

/** What a session is opened over. */
export interface SessionBase {
  readonly home: string
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
  readonly options: HomeOptions
  readonly native: NativeClassic
  readonly handle: StateHandle
  /** Closes and opens the same while the database is open. */
  readonly restHandle: StateHandle
  /** The database itself. */
  readonly level: DigestSource
  /** Keeps its readers at what they see. */
  readonly keepReaders: KeepReaders
}

/** Opens a home: admits it, locks it, brings the state to the end of the log. */
export async function openSession(base: SessionBase): Promise<Session> {
  const closers: Closer[] = []
  try {
    return await atHomeBoundary(base.home, () => new Opening(base, closers).run())
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
  readonly #fileSystem: FileSystem
  #engine: Engine | undefined
  #keeper: CheckpointKeeper | undefined
  readonly #pause: CommitPause

  constructor(base: SessionBase, closers: Closer[]) {
    this.#base = base
    this.#closers = closers
    this.#layout = homeLayout(base.home)
    this.#fileSystem = base.options.fileSystem ?? nodeFileSystem
    this.#pause = new CommitPause(() => this.#engine?.release(), base.options.onEvent)
  }

  async run(): Promise<Session> {
    const begunAtMs = performance.now()
    const layout = this.#layout
    const { handle, restHandle, level, native, options } = this.#base
    const policy = archivedPolicyOf(options)
    const { identity, created } = await this.#lockAndIdentify()
    const log = await this.#openLog(identity)
    const verify = options.verify === true
    const fileSystem = this.#fileSystem
    const state = await recoverState(handle, { layout, identity, log: log.opened, verify, fileSystem })
    this.#closers.push(() => handle.close())
    const archiveWait = await this.#openArchiveWait({ policy, identity, log })
    const engine = this.#openEngine({ log, state, archiveWait })
    const keeper = await this.#openKeeper({ identity, log, engine })
    const { environmentId, timeline } = identity
    const ms = performance.now() - begunAtMs
    const report = { home: layout.home, environmentId, timeline, created, log: log.opened, state, ms }
    const session = new Session(
      {
        engine,
        keeper,
        pause: this.#pause,
        log,
        identity,
        level,
        native,
        restHandle,
        fileSystem,
        layout,
        report,
      },
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
    const identity = { ...newHomeIdentity(), creating: true }
    await writeHomeIdentity(this.#layout.home, identity, this.#fileSystem)
    return { identity, created: true }
  }

  async #admit(): Promise<HomeIdentity | undefined> {
    const { home, createIfMissing, errorIfExists } = this.#base
    const identity = await admitHome(home, this.#fileSystem)
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
      fileSystem: this.#fileSystem,
      identity,
      nextLsn: (identity.parent?.forkLsn ?? 0) + 1,
      onFlushed: (flushed) => {
        this.#engine?.flushed(flushed)
      },
      onFlushing: (flushed) => {
        this.#engine?.flushing(flushed, this.#base.keepReaders)
      },
      onFailed: (error) => {
        this.#engine?.failed(error)
      },
    })
    this.#closers.push(() => log.close())
    const { creating, ...whole } = identity
    // From here on a home without a log has lost it.
    if (creating === true) await writeHomeIdentity(this.#layout.home, whole, this.#fileSystem)
    return log
  }

  /** A home without any log has lost it, unless it is just being made or its history begins with its data. */
  async #refuseLostLog(identity: HomeIdentity): Promise<void> {
    const { logDirectory } = this.#layout
    if (identity.creating === true || identity.adoptedAtUs !== undefined || identity.parent !== undefined)
      return
    const hasFolder = (await this.#fileSystem.status(logDirectory)) !== undefined
    const names = hasFolder ? await this.#fileSystem.list(logDirectory) : []
    if (names.some((name) => parseSegmentName(name) !== undefined)) return
    throw engineError('ENGINE_LOG_LOST', 'the home has no log', { details: { logDirectory } })
  }

  /** Closed with the engine; here only when the opening itself fails. */
  async #openArchiveWait(open: {
    policy: ArchivedPolicy | undefined
    identity: HomeIdentity
    log: Log
  }): Promise<ArchiveWait | undefined> {
    const { policy, identity, log } = open
    if (policy === undefined) return undefined
    const { logDirectory } = this.#layout
    const { timeline } = identity
    const { lastLsn } = log.opened
    const { onEvent } = this.#base.options
    const fileSystem = this.#fileSystem
    const wait = await openArchiveWait({ logDirectory, fileSystem, timeline, lastLsn, policy, onEvent })
    this.#closers.push(() => wait.close())
    return wait
  }

  #openEngine(open: { log: Log; state: RecoverReport; archiveWait: ArchiveWait | undefined }): Engine {
    const { log, state, archiveWait } = open
    const { native, options } = this.#base
    const { logDirectory } = this.#layout
    const engine = new Engine({
      native,
      position: { lsn: state.throughLsn, committedAtUs: state.committedAtUs },
      queuedBytesMax: options.queuedBytesMax ?? QUEUED_BYTES_MAX,
      isStalled: () => this.#pause.isShut || this.#keeper?.gate() !== undefined,
      onAppended: (bytes) => {
        this.#keeper?.appended(bytes)
      },
      readLog: (range) => readLog({ directory: logDirectory, fileSystem: this.#fileSystem, ...range }),
      onFailed: (error) => {
        options.onEvent?.({ type: 'database.failed', error })
      },
      archiveWait,
      durability: options.durability,
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
      fileSystem: this.#fileSystem,
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
