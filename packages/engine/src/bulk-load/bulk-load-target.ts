/**
 * Where a load goes, and how it is taken back. Into the open LevelDB, whose readers are shown a snapshot; or, where there is no entry
 * yet and no reader holds LevelDB, past it: it is closed, tables are made beside it, and it is opened on them before the decision.
 */
import type { FileSystem, Log } from '@timberline/wal'
import { undoLoad } from './bulk-load-undo.ts'
import type { BulkSink } from './bulk-load-source.ts'
import { TableLoad } from './bulk-load-tables.ts'
import { LoadWriter } from './bulk-load-writer.ts'
import type { StageLoad } from '../checkpoint/checkpoint-load.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { flushConfirmed, readVersion } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { LeveldbVersion } from '../leveldb/leveldb-version.ts'
import type { NativeClassic } from '../level/native-level.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import type { ReadFreeze, ShownState } from '../level/shown-state.ts'
import type { StateHandle } from '../state/state-handle.ts'
import { canMakeTables } from '../tables/table-blocks.ts'
import { openData, recoverState } from '../state/state-recovery.ts'

/** A sink that counts. */
export interface LoadSink extends BulkSink {
  readonly entries: number
  /** Of keys and values. */
  readonly bytes: number
}

/** One load on its way. */
export interface LoadTarget {
  readonly reads: ReadFreeze
  /** The state before. */
  readonly before: AppliedPosition
  /** What the entries go into. */
  begin(): Promise<LoadSink>
  /** Makes durable what was taken, as the state at an LSN that the log does not have yet; LevelDB is open with it then. */
  stage(lsn: number): Promise<void>
  /** Takes all back; the state before is the present one again. */
  undo(): Promise<void>
}

/** What a load changes. */
export interface LoadPlace {
  readonly native: NativeClassic
  readonly stage: StageLoad
  readonly shown: ShownState
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly log: Pick<Log, 'opened' | 'nextLsn' | 'sync'>
  readonly fileSystem: FileSystem
  /** Closes and opens LevelDB below an open database. */
  readonly handle: StateHandle
}

/** Chooses the way; readers see the state before from now on. Nothing else writes. */
export async function loadTarget(place: LoadPlace): Promise<LoadTarget> {
  const before = canMakeTables() ? await emptyState(place) : undefined
  const reads = before === undefined ? undefined : place.shown.freezeEmpty(before)
  return reads === undefined || before === undefined
    ? new LiveTarget(place)
    : new RestingTarget(place, reads, before)
}

/** The position of a state without any entry, all of which is in tables; `undefined` when there are entries. */
async function emptyState(place: LoadPlace): Promise<AppliedPosition | undefined> {
  const { native, stage, log, layout, fileSystem } = place
  const { dataDirectory } = layout
  const reader = new VersionReader(dataDirectory, fileSystem)
  if (hasEntries(await readVersion(reader, dataDirectory))) return undefined
  // LevelDB was never given anything that it could still have in memory.
  if (stage.isFirst && log.nextLsn === 1) return native.applied()
  const flushed = await flushConfirmed(native, reader, { dataDirectory, fileSystem })
  return hasEntries(flushed) ? undefined : native.applied()
}

/** Deletions count: they would hide what is put below them. */
function hasEntries({ version }: LeveldbVersion): boolean {
  return [...version.tables.values()].some(({ isOwn }) => !isOwn)
}

class LiveTarget implements LoadTarget {
  readonly reads: ReadFreeze
  readonly before: AppliedPosition
  readonly #place: LoadPlace
  readonly #writer: LoadWriter

  constructor(place: LoadPlace) {
    this.#place = place
    this.reads = place.shown.freeze()
    this.before = place.native.appliedAt(this.reads.snapshot)
    this.#writer = new LoadWriter(place.native)
  }

  async begin(): Promise<LoadSink> {
    return this.#writer
  }

  async stage(lsn: number): Promise<void> {
    if (this.#writer.entries > 0) await this.#place.stage.write(lsn)
  }

  async undo(): Promise<void> {
    const { native, stage } = this.#place
    await this.#writer.settled()
    await stage.clear()
    const { range } = this.#writer
    if (range !== undefined) await undoLoad(native, this.reads.snapshot, range)
  }
}

class RestingTarget implements LoadTarget {
  readonly reads: ReadFreeze
  readonly before: AppliedPosition
  readonly #place: LoadPlace
  #sink: TableLoad | undefined

  constructor(place: LoadPlace, reads: ReadFreeze, before: AppliedPosition) {
    this.#place = place
    this.reads = reads
    this.before = before
  }

  async begin(): Promise<LoadSink> {
    const { handle, layout, fileSystem } = this.#place
    // It waits for reads that began before.
    await handle.close()
    this.#sink = await TableLoad.of({ dataDirectory: layout.dataDirectory, fileSystem })
    return this.#sink
  }

  async stage(lsn: number): Promise<void> {
    const { stage, handle, layout, fileSystem } = this.#place
    if ((this.#sink?.entries ?? 0) > 0) await stage.write(lsn, { atRest: true })
    await openData(handle, layout.dataDirectory, { createIfMissing: false, fileSystem })
  }

  /** As after a crash: tables with a part of the load in them are known by their position, and the state is made anew. */
  async undo(): Promise<void> {
    const { stage, handle, native, layout, identity, log, fileSystem } = this.#place
    await this.#sink?.settled()
    await stage.clear()
    if (!native.isClosed) await handle.close()
    await log.sync()
    const { firstLsn } = log.opened
    await recoverState(handle, {
      layout,
      identity,
      log: { firstLsn, lastLsn: log.nextLsn - 1 },
      fileSystem,
    })
  }
}
