import type { Log, SegmentSummary } from '@timberline/wal'
import type {
  CheckpointInfo,
  CheckpointKeeper,
  CheckpointRequest,
  KeeperStatus,
} from './checkpoint-keeper.ts'
import { openControlServer } from './control-server.ts'
import type { ControlServer } from './control-server.ts'
import { stateDigest } from './digest.ts'
import type { DigestSource, StateDigest } from './digest.ts'
import type { ArchiveWaitStatus } from './archive-wait.ts'
import type { Engine } from './engine.ts'
import { atHomeBoundary } from './errors.ts'
import { readBackupDue } from './home-backup-due.ts'
import type { HomeLayout } from './home-layout.ts'
import type { EngineEvent, OpenReport } from './open-options.ts'

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
  /** Commits that wait for archives; absent when the option `archived` is not given. */
  readonly archived?: ArchiveWaitStatus
  /** A full backup is due, and why. */
  readonly backupDue?: string
  /** Why no more writes are taken. */
  readonly failure?: string
  /** Why there is no control socket. */
  readonly controlOff?: string
}

/** Closes one of the things that were opened. */
export type Closer = () => Promise<unknown>

/** The parts of an open home. */
export interface SessionParts {
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
    return this.#guarded(() => this.#parts.log.roll())
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

  async #close(): Promise<void> {
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
