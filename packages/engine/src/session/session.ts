import type { FileSystem, Log, SegmentSummary } from '@timberline/wal'
import type { CheckpointInfo, CheckpointRequest, KeeperStatus } from '../checkpoint/checkpoint-info.ts'
import type { CheckpointKeeper } from '../checkpoint/checkpoint-keeper.ts'
import { PAUSE_MS_DEFAULT } from '../commit/commit-pause.ts'
import type { CommitPause, PauseInfo, PauseReport } from '../commit/commit-pause.ts'
import { loadBeside } from '../bulk-load/bulk-load.ts'
import type { BulkLoadJob, BulkLoaded } from '../bulk-load/bulk-load.ts'
import { openControlServer } from '../control/control-server.ts'
import type { ControlServer } from '../control/control-server.ts'
import { stateDigest } from '../tables/digest.ts'
import type { DigestSource, StateDigest } from '../tables/digest.ts'
import type { ArchiveWaitStatus } from '../commit/archive-wait.ts'
import { commitMark, prepareMark, refuseMarkName } from '../control/barrier-member.ts'
import type { BarrierPlace } from '../control/barrier-member.ts'
import type { Engine } from '../commit/engine.ts'
import { atHomeBoundary } from '../errors.ts'
import { readBackupDue, writeBackupDue } from '../home/home-backup-due.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import type { NativeClassic } from '../level/native-level.ts'
import type { EngineEvent, OpenReport } from './open-options.ts'
import type { StateHandle } from '../state/state-handle.ts'

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
  /** Commits wait until this ends. */
  readonly paused?: PauseInfo
  readonly activeSegment: number
  /** Bytes of tables that only the checkpoint still keeps. */
  readonly heldBytes: number
  /** Commits that wait for archives; absent when the option `archived` is not given. */
  readonly archived?: ArchiveWaitStatus
  /** A full backup is due, and why. */
  readonly backupDue?: string
  /** Why no more writes are taken. */
  readonly failure?: string
  /** Why there is no control socket. */
  readonly controlOff?: string
}

/** How long to quiesce, and for whom. */
export interface QuiesceOptions {
  /** Commits go on by themselves after so many milliseconds; default 60,000, from 1 to 3,600,000. */
  readonly maxMs?: number | undefined
  /** Ends it when aborted. */
  readonly signal?: AbortSignal | undefined
}

/** Closes one of the things that were opened. */
export type Closer = () => Promise<unknown>

/** The parts of an open home. */
export interface SessionParts {
  readonly engine: Engine
  readonly keeper: CheckpointKeeper
  readonly pause: CommitPause
  readonly log: Log
  readonly level: DigestSource
  readonly native: NativeClassic
  /** Closes and opens LevelDB while the database is open. */
  readonly restHandle: StateHandle
  readonly identity: HomeIdentity
  readonly fileSystem: FileSystem
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

  /** Sessions come from `openSession`. */
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
      checkpoint: (request) => this.#unlessPaused(() => this.checkpoint(request)),
      switchSegment: () => this.#unlessPaused(() => this.switchSegment()),
      meter: (signal) => this.engine.meter.begin(signal),
      digest: () => this.digest(),
      quiesce: (options) => this.quiesce(options),
      resume: (id) => this.resume(id),
      mark: (name) => this.#unlessPaused(() => this.#mark(name)),
      prepare: (barrier, signal) => this.#guarded(() => prepareMark(this.#parts, barrier, signal)),
      isHeld: (id) => this.#parts.pause.isRunning(id),
      commit: (barrier) => this.#guarded(() => commitMark(this.#parts, barrier)),
    })
    this.#control = control
    this.#closers.push(() => control.close())
    this.#onEvent?.({ type: 'database.opened', report: this.report })
  }

  checkpoint(request?: CheckpointRequest): Promise<CheckpointInfo> {
    return this.#parts.keeper.take(request)
  }

  async switchSegment(): Promise<SegmentSummary> {
    await this.#parts.pause.ended()
    return this.#guarded(() => this.#parts.log.roll())
  }

  /**
   * Lets commits wait, and nothing of log and checkpoints change, once all that came before is durable and applied: the log ends
   * with a sealed segment then.
   *
   * @throws ENGINE_QUIESCED, ENGINE_QUIESCE_ENDED, ENGINE_OPTION_INVALID
   */
  quiesce(options: QuiesceOptions = {}): Promise<PauseInfo> {
    const { engine, keeper, log, pause } = this.#parts
    return this.#guarded(() =>
      pause.begin({
        purpose: 'quiesce',
        maxMs: options.maxMs ?? PAUSE_MS_DEFAULT,
        signal: options.signal,
        rest: () => keeper.rest(),
        settle: async () => {
          await engine.appliedThrough(Number.MAX_SAFE_INTEGER)
          await log.sync()
          await log.roll()
          return log.nextLsn - 1
        },
      }),
    )
  }

  resume(id?: string): PauseReport {
    return this.#parts.pause.resume(id)
  }

  /** Puts data in beside the log, all of it or nothing; a full backup is due from then on. */
  bulkLoad(job: BulkLoadJob): Promise<BulkLoaded> {
    const { engine, keeper, layout, fileSystem, restHandle: handle } = this.#parts
    const announce = (): Promise<void> => {
      const due = { reason: 'bulkload' as const, sinceUs: Date.now() * 1000, lsn: engine.nextLsn }
      return writeBackupDue(layout.home, due, fileSystem)
    }
    return this.#guarded(() =>
      engine.run(
        keeper.load((stage) => loadBeside({ ...this.#parts, handle, stage, announce }, job), engine.closing),
      ),
    )
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

  status(): Promise<HomeStatus> {
    return this.#guarded(() => this.#status())
  }

  async #status(): Promise<HomeStatus> {
    const { engine, keeper, log, layout, report, pause } = this.#parts
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
      ...(pause.info === undefined ? {} : { paused: pause.info }),
      activeSegment: log.activeSegment,
      heldBytes: await keeper.heldBytes(),
      ...keeper.status(),
      ...(engine.archived === undefined ? {} : { archived: engine.archived }),
      ...(backupDue === undefined ? {} : { backupDue: backupDue.reason }),
      ...(engine.failure === undefined ? {} : { failure: engine.failure.message }),
      ...(this.#control?.offReason === undefined ? {} : { controlOff: this.#control.offReason }),
    }
  }

  /**
   * Waits for what is under way, takes a last checkpoint so that the next open has nothing to replay, and closes. What
   * cannot be done is done by the next open: it is as after a crash.
   */
  close(): Promise<void> {
    return this.#guarded(() => this.#close())
  }

  #guarded<Result>(work: () => Promise<Result>): Promise<Result> {
    return atHomeBoundary(this.#parts.layout.home, work)
  }

  async #mark(name: string): Promise<BarrierPlace> {
    refuseMarkName(name)
    const { lsn, committedAtUs } = await this.engine.mark(name)
    return { lsn, committedAtUs }
  }

  /** For requests from elsewhere: who asks may be who is to resume, and would wait for itself. */
  #unlessPaused<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#parts.pause.refuse()
    return work()
  }

  async #close(): Promise<void> {
    const { engine, keeper, pause } = this.#parts
    pause.close()
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
