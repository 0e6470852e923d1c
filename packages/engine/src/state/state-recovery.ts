import { nodeFileSystem, readLog } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { settleStagedLoad } from '../checkpoint/checkpoint-load.ts'
import { checkpointLsns } from '../checkpoint/checkpoint-manifest.ts'
import type { CheckpointManifest } from '../checkpoint/checkpoint-manifest.ts'
import { codeOf, engineError } from '../errors.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import type { ReplayTarget } from './leveldb-raw.ts'
import { refusalOf } from '../leveldb/leveldb-refusal.ts'
import { replayInto } from './replay.ts'
import type { ReplayProgress, ReplayResult } from './replay.ts'
import { LOADING } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { openStateAtRest } from './state-at-rest.ts'
import { dataCondition, openError, openPrepared, prepareData } from './state.ts'
import type { StateHandle } from './state-handle.ts'
import { rebuildData, sweepRebuilds } from './state-rebuild.ts'
import type { RebuildReason, Rebuilt } from './state-rebuild.ts'
import { verifyData } from './state-verify.ts'

/** Options of {@link recoverState}. */
export interface RecoverStateOptions {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  /** What opening the log found; it is open and its end is durable. */
  readonly log: { readonly firstLsn: number; readonly lastLsn: number }
  /** Verify every table before the state is used; default false. Costs a read of the whole database. */
  readonly verify?: boolean
  readonly fileSystem?: FileSystem
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: ReplayProgress) => void
  /** From so many records on a rebuilt state is brought forward before LevelDB opens it; default 5000. */
  readonly atRestRecordsMin?: number
}

/** For fewer records a table of their own costs as much as their insertion, and is one more to be merged. */
const AT_REST_RECORDS_MIN = 5000

/** What the recovery at open found and did. */
export interface RecoverReport {
  /** The state was made new and empty, in a new environment. */
  readonly created: boolean
  /** Records replayed from the log. */
  readonly replayed: number
  /** The first of them; `throughLsn + 1` when there was none. */
  readonly fromLsn: number
  /** The LSN of the state now: the end of the log. */
  readonly throughLsn: number
  readonly committedAtUs: number
  readonly rebuilt: boolean
  readonly reason?: RebuildReason
  /** The checkpoint that a rebuild began from; absent when from nothing. */
  readonly checkpointLsn?: number
  /** Where the old data folder was kept, if it held what the log does not. */
  readonly keptAt?: string
  readonly ms: number
}

/**
 * Opens the LevelDB of a home and brings it to the end of the log, whatever happened to it: LevelDB's own log is removed,
 * the applied position tells where replay starts, and a state that is damaged, gone, ahead of the log or behind its
 * checkpoint is rebuilt. The handle is open when it resolves, and closed when it rejects. The caller holds the home's lock.
 *
 * @throws ENGINE_LOG_LOST, ENGINE_LOG_GAP, ENGINE_STATE_LOST, ENGINE_HOME_LOCKED
 */
export async function recoverState(
  handle: StateHandle,
  options: RecoverStateOptions,
): Promise<RecoverReport> {
  const begunAtMs = performance.now()
  const recovery = new Recovery(handle, options)
  try {
    const report = await recovery.run()
    return { ...report, ms: performance.now() - begunAtMs }
  } catch (error) {
    await recovery.close()
    throw error
  }
}

/**
 * Opens LevelDB at its last flush, durably. The handle is open when it resolves, and closed when it rejects.
 *
 * @throws ENGINE_CURRENT_DAMAGED, ENGINE_STATE_DAMAGED when LevelDB refuses the folder
 */
export async function openData(
  handle: StateHandle,
  dataDirectory: string,
  options: { readonly createIfMissing: boolean; readonly fileSystem: FileSystem },
): Promise<void> {
  const { createIfMissing, fileSystem } = options
  try {
    await prepareData(dataDirectory, { createIfMissing, fileSystem })
  } catch (error) {
    throw openError(error, dataDirectory)
  }
  const open = (): Promise<void> => handle.open({ createIfMissing })
  await openPrepared({ open, close: () => handle.close() }, { dataDirectory, fileSystem })
}

class Recovery {
  readonly #handle: StateHandle
  readonly #options: RecoverStateOptions
  readonly #fileSystem: FileSystem
  #rebuilt: (Rebuilt & { reason: RebuildReason }) | undefined
  /** What was replayed before LevelDB opened the state. */
  #atRest = { records: 0, fromLsn: 0 }
  #isOpen = false

  constructor(handle: StateHandle, options: RecoverStateOptions) {
    this.#handle = handle
    this.#options = options
    this.#fileSystem = options.fileSystem ?? nodeFileSystem
  }

  async run(): Promise<Omit<RecoverReport, 'ms'>> {
    const checkpointLsn = await this.#newestCheckpointLsn()
    this.#refuseLostLog(checkpointLsn)
    const { layout, log } = this.#options
    const staged = await settleStagedLoad(layout, log, this.#fileSystem)
    if (staged !== undefined) await this.#openLoaded(staged)
    const created = staged === undefined && (await this.#isNew())
    let reason = created || this.#isOpen ? undefined : await this.#openOrReason(checkpointLsn)
    if (created) await this.#open(true)
    for (;;) {
      if (reason !== undefined) await this.#rebuild(reason)
      try {
        const report = await this.#replay(created)
        await sweepRebuilds(this.#options.layout, this.#fileSystem)
        return report
      } catch (error) {
        await this.close()
        // LevelDB finds some damage only when it reads; once rebuilt, the same would come again.
        if (this.#rebuilt !== undefined || !isLevelDamage(error)) throw error
        reason = 'damaged'
      }
    }
  }

  /** Closes the handle if it is open. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#handle.close()
  }

  /** A checkpoint that cannot be read counts as there: it was taken, so the log must reach it. */
  async #newestCheckpointLsn(): Promise<number | undefined> {
    return (await checkpointLsns(this.#options.layout.home, this.#fileSystem)).at(-1)
  }

  /** The log was durable through every checkpoint when it appeared; if it now ends before, its end was taken away. */
  #refuseLostLog(checkpointLsn: number | undefined): void {
    const { log, layout } = this.#options
    if (checkpointLsn === undefined || log.lastLsn >= checkpointLsn) return
    throw engineError('ENGINE_LOG_LOST', 'the log ends before the newest checkpoint', {
      details: { logDirectory: layout.logDirectory, lastLsn: log.lastLsn, checkpointLsn },
    })
  }

  /** Nothing was ever committed and no state exists: the only case in which an empty one is right. */
  async #isNew(): Promise<boolean> {
    const { layout, identity, log } = this.#options
    if (log.firstLsn !== 1 || log.lastLsn !== 0 || identity.adoptedAtUs !== undefined) return false
    if ((await dataCondition(layout.dataDirectory, this.#fileSystem)) !== 'empty') return false
    return (await this.#newestCheckpointLsn()) === undefined
  }

  /** The staged tables are the state at the mark of the load; they themselves could not know its time. */
  async #openLoaded(staged: { manifest: CheckpointManifest; committedAtUs: number }): Promise<void> {
    const { manifest, committedAtUs } = staged
    await this.#rebuild('loaded', manifest)
    await this.#handle.operationBatch().write({ lsn: manifest.lsn, committedAtUs })
  }

  /** Opens what is there; or leaves it closed and says why it cannot be used. */
  async #openOrReason(checkpointLsn: number | undefined): Promise<RebuildReason | undefined> {
    const { layout } = this.#options
    if ((await dataCondition(layout.dataDirectory, this.#fileSystem)) !== 'whole') return 'missing'
    if (this.#options.verify === true && (await this.#hasDamage())) return 'damaged'
    try {
      await this.#open(false)
    } catch (error) {
      if (codeOf(error) === 'ENGINE_STATE_DAMAGED') return 'unopenable'
      throw error
    }
    const reason = await this.#unfitReason(checkpointLsn)
    if (reason !== undefined) await this.close()
    return reason
  }

  async #unfitReason(checkpointLsn: number | undefined): Promise<RebuildReason | undefined> {
    const { log, layout } = this.#options
    let position: AppliedPosition
    try {
      position = await this.#handle.applied()
    } catch (error) {
      if (isLevelDamage(error)) return 'damaged'
      throw error
    }
    if (position.lsn === LOADING.lsn) return 'half-loaded'
    if (position.lsn > log.lastLsn) return 'ahead'
    if (checkpointLsn !== undefined && position.lsn < checkpointLsn) return 'behind'
    if (position.lsn + 1 >= log.firstLsn) return undefined
    throw engineError('ENGINE_LOG_GAP', 'the log does not reach back to the state', {
      details: {
        logDirectory: layout.logDirectory,
        missingFromLsn: position.lsn + 1,
        missingThroughLsn: log.firstLsn - 1,
      },
    })
  }

  async #hasDamage(): Promise<boolean> {
    const { layout } = this.#options
    return (
      (await verifyData(layout, { fileSystem: this.#fileSystem, signal: this.#options.signal })).length > 0
    )
  }

  async #rebuild(reason: RebuildReason, from?: CheckpointManifest): Promise<void> {
    const { layout, identity, log } = this.#options
    const fileSystem = this.#fileSystem
    const rebuilt = await rebuildData({ layout, identity, ...log, reason, from, fileSystem })
    this.#rebuilt = { ...rebuilt, reason }
    // A load that was staged has no position yet, from which a replay could go on.
    if (reason !== 'loaded') await this.#replayAtRest(rebuilt.from?.lsn ?? 0)
    await this.#open(rebuilt.from === undefined)
  }

  /** A long log goes into tables made here, which LevelDB then finds. */
  async #replayAtRest(fromLsn: number): Promise<void> {
    const { layout, log, atRestRecordsMin = AT_REST_RECORDS_MIN } = this.#options
    if (log.lastLsn - fromLsn < atRestRecordsMin) return
    const { dataDirectory } = layout
    const state = await openStateAtRest(dataDirectory, {
      createIfMissing: true,
      fileSystem: this.#fileSystem,
    })
    try {
      const { records } = await this.#replayInto(state, fromLsn + 1)
      await state.flush()
      this.#atRest = { records, fromLsn: fromLsn + 1 }
    } finally {
      await state.close()
    }
  }

  async #open(createIfMissing: boolean): Promise<void> {
    const fileSystem = this.#fileSystem
    await openData(this.#handle, this.#options.layout.dataDirectory, { createIfMissing, fileSystem })
    this.#isOpen = true
  }

  async #replay(created: boolean): Promise<Omit<RecoverReport, 'ms'>> {
    const { log } = this.#options
    const { records, fromLsn } = this.#atRest
    const start = await this.#handle.applied()
    const rebuilt = this.#rebuilt
    const found = {
      created,
      fromLsn: records > 0 ? fromLsn : start.lsn + 1,
      rebuilt: rebuilt !== undefined,
      ...(rebuilt === undefined ? {} : { reason: rebuilt.reason }),
      ...(rebuilt?.from === undefined ? {} : { checkpointLsn: rebuilt.from.lsn }),
      ...(rebuilt?.keptAt === undefined ? {} : { keptAt: rebuilt.keptAt }),
    }
    if (start.lsn === log.lastLsn) {
      return { ...found, replayed: records, throughLsn: start.lsn, committedAtUs: start.committedAtUs }
    }
    const replayed = await this.#replayInto(this.#handle, start.lsn + 1)
    return {
      ...found,
      replayed: records + replayed.records,
      throughLsn: replayed.appliedLsn,
      committedAtUs: replayed.lastCommittedAtUs,
    }
  }

  /** Brings a state to the end of the log. */
  async #replayInto(target: ReplayTarget, fromLsn: number): Promise<ReplayResult> {
    const { layout, log, signal, onProgress } = this.#options
    const groups = readLog({
      directory: layout.logDirectory,
      fromLsn,
      throughLsn: log.lastLsn,
      fileSystem: this.#fileSystem,
      signal,
    })
    const replayed = await replayInto(target, groups, {
      throughLsn: log.lastLsn,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
    if (replayed.appliedLsn === log.lastLsn) return replayed
    throw engineError('ENGINE_LOG_GAP', 'the log ended while it was replayed', {
      details: { logDirectory: layout.logDirectory, appliedLsn: replayed.appliedLsn, lastLsn: log.lastLsn },
    })
  }
}

/** What LevelDB or the applied position say about damage; errors of the log are not the state's. */
function isLevelDamage(error: unknown): boolean {
  if (refusalOf(error) !== undefined) return false
  const code = codeOf(error) ?? ''
  return code === 'ENGINE_STATE_DAMAGED' || code === 'LEVEL_CORRUPTION' || code === 'LEVEL_IO_ERROR'
}
