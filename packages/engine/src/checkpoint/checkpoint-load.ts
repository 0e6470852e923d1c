/**
 * The tables of a bulk load between the moment at which they are durable and the one at which an ordinary checkpoint holds them:
 * `checkpoint/load.json` names them. It counts only when the log has, at its LSN, the mark of a load. See FORMAT.md#bulk-load.
 */
import { join } from 'node:path'
import { nodeFileSystem, readFileWhole, readLog, removeIfPresent, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { isBulkLoad } from '../records/bulk-load-mark.ts'
import {
  MANIFEST_BYTES_MAX,
  checkpointLsns,
  decodeCheckpoint,
  encodeCheckpoint,
} from './checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import { segmentHolding } from './checkpoint-segment.ts'
import { linkVersion } from './checkpoint-tables.ts'
import { readResting, tablesByNumber } from './checkpoint-take.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { flushConfirmed, syncVersion } from '../leveldb/leveldb-flush.ts'
import type { Compactable } from '../leveldb/leveldb-flush.ts'
import type { VersionReader } from '../leveldb/leveldb-version.ts'

/** What staging works on. */
export interface LoadStageOptions {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly level: Compactable
  readonly reader: VersionReader
  readonly fileSystem: FileSystem
}

/** How a load makes durable what it has put in, and takes that back. */
export interface StageLoad {
  /** Nothing was written before the load was asked for, ever, and no checkpoint precedes it: a crash leaves a new home. */
  readonly isFirst: boolean
  /**
   * All that LevelDB holds, as the state at an LSN that the log does not have yet.
   *
   * @param how.atRest - LevelDB is closed: its tables are all there is
   */
  write(lsn: number, how?: { readonly atRest: boolean }): Promise<void>
  clear(): Promise<void>
}

/** The staged tables of one open home. */
export class LoadStage {
  readonly #options: LoadStageOptions
  #staged: CheckpointManifest | undefined

  /** @param staged - a load that was decided, and that no checkpoint holds yet */
  constructor(options: LoadStageOptions, staged: CheckpointManifest | undefined) {
    this.#options = options
    this.#staged = staged
  }

  /** Whether a load waits for its checkpoint. */
  get isPending(): boolean {
    return this.#staged !== undefined
  }

  /** Tables that are linked, and must stay as they are. */
  get tables(): readonly CheckpointTable[] {
    return this.#staged?.tables ?? []
  }

  /** Makes durable all that LevelDB holds, as what the state at an LSN will be when the log gets that far. */
  async write(
    lsn: number,
    {
      newest,
      atRest = false,
    }: { readonly newest: CheckpointManifest | undefined; readonly atRest?: boolean },
  ): Promise<void> {
    const { layout, identity, level, reader, fileSystem } = this.#options
    const { dataDirectory, tablesDirectory } = layout
    const place = { dataDirectory, tablesDirectory, fileSystem }
    const confirmed = await (atRest ? readResting(reader, place) : flushConfirmed(level, reader, place))
    const linked = await linkVersion(confirmed, reader, { ...place, published: await tablesByNumber(newest) })
    if (linked.tries > 1) await syncVersion(dataDirectory, linked.found.manifestName, fileSystem)
    const { environmentId, timeline } = identity
    const { found, tables } = linked
    const staged: CheckpointManifest = {
      format: 1,
      environmentId,
      timeline,
      lsn,
      committedAtUs: 0,
      segmentNumber: await segmentHolding(layout.logDirectory, lsn, fileSystem),
      current: found.current,
      manifestName: found.manifestName,
      manifestBase64: found.manifest.toString('base64'),
      tables,
      createdAtUs: Date.now() * 1000,
    }
    this.#staged = staged
    // Durable, and without meaning until the log says so.
    await writeFileAtomic(pathOf(layout), encodeCheckpoint(staged), fileSystem)
  }

  /** The load is taken back; what it has written into LevelDB's folder may be gone with all of it. */
  undo(newest: CheckpointManifest | undefined): Promise<void> {
    this.#options.reader.forget()
    return this.clear(newest)
  }

  /** The load is taken back, or a checkpoint holds it: the staging goes, and the tables that only it named. */
  async clear(newest: CheckpointManifest | undefined): Promise<void> {
    const staged = this.#staged
    if (staged === undefined) return
    const { layout, fileSystem } = this.#options
    await removeStagedLoad(layout, fileSystem)
    this.#staged = undefined
    const keep = new Set(newest?.tables.map(({ name }) => name))
    for (const { name } of staged.tables) {
      if (!keep.has(name)) await removeIfPresent(join(layout.tablesDirectory, name), fileSystem)
    }
  }
}

/**
 * The load that an open must go on from: it was decided, and no checkpoint holds it. One that was not decided, or that a
 * checkpoint holds, is removed. The caller holds the home's lock, and the log is open.
 *
 * @throws ENGINE_CHECKPOINT_DAMAGED
 */
export async function settleStagedLoad(
  layout: HomeLayout,
  log: { readonly firstLsn: number; readonly lastLsn: number },
  fileSystem: FileSystem,
): Promise<{ readonly manifest: CheckpointManifest; readonly committedAtUs: number } | undefined> {
  const manifest = await readStagedLoad(layout, fileSystem)
  if (manifest === undefined) return undefined
  const { lsn } = manifest
  const newestLsn = (await checkpointLsns(layout.home, fileSystem)).at(-1) ?? 0
  const isOpen = lsn > newestLsn && lsn >= log.firstLsn && lsn <= log.lastLsn
  const committedAtUs = isOpen ? await markAt(layout.logDirectory, lsn, fileSystem) : undefined
  if (committedAtUs !== undefined) return { manifest, committedAtUs }
  await removeStagedLoad(layout, fileSystem)
  return undefined
}

/** What is staged in a home, if anything is. @throws ENGINE_CHECKPOINT_DAMAGED */
export async function readStagedLoad(
  layout: HomeLayout,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<CheckpointManifest | undefined> {
  const path = pathOf(layout)
  if ((await fileSystem.status(path)) === undefined) return undefined
  return decodeCheckpoint(await readFileWhole(path, fileSystem, MANIFEST_BYTES_MAX), path)
}

async function removeStagedLoad(layout: HomeLayout, fileSystem: FileSystem): Promise<void> {
  if (!(await removeIfPresent(pathOf(layout), fileSystem))) return
  // It does not come back and miss its tables, which go next.
  await fileSystem.syncDirectory(layout.checkpointDirectory)
}

/** When the load at an LSN was committed; `undefined` when another record stands there. */
async function markAt(
  logDirectory: string,
  lsn: number,
  fileSystem: FileSystem,
): Promise<number | undefined> {
  for await (const group of readLog({ directory: logDirectory, fromLsn: lsn, throughLsn: lsn, fileSystem })) {
    const [record] = group
    if (record !== undefined && isBulkLoad(record)) return record.committedAtUs
  }
  return undefined
}

function pathOf({ checkpointDirectory }: HomeLayout): string {
  return join(checkpointDirectory, 'load.json')
}
