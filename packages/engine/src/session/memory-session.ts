import { nodeFileSystem, openLog, readLog } from '@timberline/wal'
import type { FileSystem, Flushed, Log, LogRecord } from '@timberline/wal'
import { openArchiveWait } from '../commit/archive-wait.ts'
import type { ArchiveWait } from '../commit/archive-wait.ts'
import { archivedPolicyOf } from '../commit/archived-options.ts'
import type { ArchivedPolicy } from '../commit/archived-options.ts'
import { VolatileLog } from '../commit/commit-log.ts'
import type { CommitLog } from '../commit/commit-log.ts'
import { Engine, QUEUED_BYTES_MAX } from '../commit/engine.ts'
import { atHomeBoundary, engineError } from '../errors.ts'
import { newHomeIdentity, readHomeIdentity, writeHomeIdentity } from '../home/home-identity.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import { homeLayout } from '../home/home-layout.ts'
import type { NativeMemory } from '../level/native-memory.ts'
import type { DurabilityOptions, EngineEvent, LogLimits } from './open-options.ts'
import { ReplayBatch } from '../state/replay-batch.ts'
import { replayInto } from '../state/replay.ts'

/** Where a memory database keeps its log. */
export interface MemoryLogOptions extends LogLimits {
  /** A folder for this database alone: `timberline.json` and `log/`. Who holds it is not checked. */
  readonly home: string
  /** Default: the real one. */
  readonly fileSystem?: FileSystem | undefined
  /** A clock of commit times, in microseconds since 1970; default: the wall clock. */
  readonly now?: (() => number) | undefined
}

/** Options of a memory database beyond memory-level's. */
export interface MemoryHomeOptions extends DurabilityOptions {
  /** With a log, commits are durable in it, and the whole log is replayed at open. Without, nothing outlives the process. */
  readonly log?: MemoryLogOptions | undefined
  /** Writes wait while more than this is between the call and the state, in bytes; default 64 MiB. */
  readonly queuedBytesMax?: number | undefined
  readonly onEvent?: ((event: EngineEvent) => void) | undefined
}

/** A memory database that is open. */
export interface MemorySession {
  readonly engine: Engine
  close(): Promise<void>
}

/** Opens the log, if there is one, and brings the tree to its end. */
export async function openMemorySession(
  native: NativeMemory,
  options: MemoryHomeOptions,
): Promise<MemorySession> {
  const policy = archivedPolicyOf(options)
  if (policy !== undefined && options.log === undefined) {
    throw engineError('ENGINE_OPTION_INVALID', 'without a log there is nothing that an archive could hold')
  }
  let engine: Engine | undefined
  const hooks: LogHooks = {
    onFlushed: (flushed) => {
      engine?.flushed(flushed)
    },
    onFailed: (error) => {
      engine?.failed(error)
    },
  }
  const log = await atHomeBoundary(options.log?.home ?? '', () => openCommitLog(native, options.log, hooks))
  const archiveWait = await openWait(options, policy, log)
  engine = new Engine({
    native,
    position: await native.applied(),
    queuedBytesMax: options.queuedBytesMax ?? QUEUED_BYTES_MAX,
    readLog: reading(options.log),
    onFailed: (error) => {
      options.onEvent?.({ type: 'database.failed', error })
    },
    archiveWait,
    durability: options.durability,
  })
  engine.attach(log)
  return new OpenMemory(engine, log)
}

interface LogHooks {
  readonly onFlushed: (flushed: Flushed) => void
  readonly onFailed: (error: Error) => void
}

async function openCommitLog(
  native: NativeMemory,
  options: MemoryLogOptions | undefined,
  hooks: LogHooks,
): Promise<CommitLog> {
  if (options === undefined) return new VolatileLog(await native.applied(), hooks.onFlushed)
  const { home, fileSystem = nodeFileSystem, ...limits } = options
  const identity = await identify(home, fileSystem)
  const directory = homeLayout(home).logDirectory
  const log = await openLog({ ...limits, ...hooks, directory, fileSystem, identity })
  try {
    await replayAll(native, log, fileSystem)
    return log
  } catch (error) {
    await log.close()
    throw error
  }
}

async function openWait(
  { log: options, onEvent }: MemoryHomeOptions,
  policy: ArchivedPolicy | undefined,
  log: CommitLog,
): Promise<ArchiveWait | undefined> {
  if (options === undefined || policy === undefined) return undefined
  const { home, fileSystem = nodeFileSystem } = options
  try {
    const { timeline } = await readHomeIdentity(home, fileSystem)
    const lastLsn = log.nextLsn - 1
    const { logDirectory } = homeLayout(home)
    return await openArchiveWait({ logDirectory, fileSystem, timeline, lastLsn, policy, onEvent })
  } catch (error) {
    await log.close()
    throw error
  }
}

async function identify(home: string, fileSystem: FileSystem): Promise<HomeIdentity> {
  if ((await fileSystem.status(homeLayout(home).identityPath)) !== undefined) {
    return readHomeIdentity(home, fileSystem)
  }
  const identity = newHomeIdentity()
  await writeHomeIdentity(home, identity, fileSystem)
  return identity
}

async function replayAll(native: NativeMemory, log: Log, fileSystem: FileSystem): Promise<void> {
  const { lsn } = await native.applied()
  const { lastLsn } = log.opened
  if (lsn >= lastLsn) return
  const target = { applied: () => native.applied(), operationBatch: () => new ReplayBatch(native.batch()) }
  const groups = readLog({ directory: log.directory, fromLsn: lsn + 1, throughLsn: lastLsn, fileSystem })
  await replayInto(target, groups)
}

type Range = { readonly fromLsn: number; readonly throughLsn: number; readonly signal: AbortSignal }

function reading(
  options: MemoryLogOptions | undefined,
): ((range: Range) => AsyncIterable<readonly LogRecord[]>) | undefined {
  if (options === undefined) return undefined
  const { home, fileSystem = nodeFileSystem } = options
  const directory = homeLayout(home).logDirectory
  return (range) => readLog({ directory, fileSystem, ...range })
}

class OpenMemory implements MemorySession {
  readonly engine: Engine
  readonly #log: CommitLog

  constructor(engine: Engine, log: CommitLog) {
    this.engine = engine
    this.#log = log
  }

  async close(): Promise<void> {
    await this.engine.close()
    await this.#log.close().catch((error: unknown) => {
      // After a failure the log only lets go of its file; those who waited have been told.
      if (this.engine.failure === undefined) throw error
    })
  }
}
