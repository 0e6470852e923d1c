import { dirname, join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { takeCheckpoint } from '../checkpoint/checkpoint-take.ts'
import type { TakeCheckpointOptions, TakenCheckpoint } from '../checkpoint/checkpoint-take.ts'
import { linkVersion } from '../checkpoint/checkpoint-tables.ts'
import type { StateDigest } from '../tables/digest.ts'
import { codeOf, engineError } from '../errors.ts'
import { leveldbNames, removeLeveldbLogs } from '../leveldb/leveldb-files.ts'
import { flushConfirmed } from '../leveldb/leveldb-flush.ts'
import { RawLevel } from './leveldb-raw.ts'
import { refusalOf } from '../leveldb/leveldb-refusal.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { digestTables } from '../tables/table-digest.ts'

/**
 * What LevelDB gathers in memory before it makes a table of it; it may hold twice as much. Replay is one long run of writes, and with
 * the usual 4 MiB most of its processor time goes into tables that are merged again at once.
 */
const WRITE_BUFFER_BYTES = 64 * 1024 * 1024

/** Options of {@link openState}. */
export interface OpenStateOptions {
  /** Make an empty state where there is none. A folder with tables but without CURRENT is never taken for empty. */
  readonly createIfMissing: boolean
  readonly fileSystem?: FileSystem
}

/** The LevelDB of a home, open without its log: for recovery and tools. Its owner holds the home's lock, or a scratch copy. */
export interface State {
  readonly level: RawLevel
  applied(): Promise<AppliedPosition>
  appliedLsn(): Promise<number>
  /** Takes a checkpoint of this state into a home. */
  checkpoint(options: Omit<TakeCheckpointOptions, 'level'>): Promise<TakenCheckpoint>
  /** Brings what was applied before the call into tables, durably. */
  flush(): Promise<void>
  /** Of all that was applied before the call. Brings it into tables first, and reads those beside LevelDB. */
  digest(): Promise<StateDigest>
  /** Does not flush: what was not in a checkpoint comes out of the log again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens a LevelDB folder at its last flush: LevelDB's own logs are removed first, and the folder is synced after.
 *
 * @throws ENGINE_CURRENT_DAMAGED, ENGINE_STATE_DAMAGED when LevelDB refuses the folder
 */
export async function openState(dataDirectory: string, options: OpenStateOptions): Promise<State> {
  const { createIfMissing, fileSystem = nodeFileSystem } = options
  await prepareData(dataDirectory, { createIfMissing, fileSystem })
  const level = new RawLevel(dataDirectory)
  const open = (): Promise<void> => level.open({ createIfMissing, writeBufferSize: WRITE_BUFFER_BYTES })
  await openPrepared({ open, close: () => level.close() }, { dataDirectory, fileSystem })
  return new OpenedState(level, { dataDirectory, fileSystem })
}

/**
 * Opens LevelDB over a folder that was prepared, and makes durable what that made there; it is closed again when this rejects.
 *
 * @throws ENGINE_HOME_LOCKED, ENGINE_STATE_DAMAGED when LevelDB refuses the folder
 */
export async function openPrepared(
  level: { open(): Promise<void>; close(): Promise<void> },
  { dataDirectory, fileSystem }: { readonly dataDirectory: string; readonly fileSystem: FileSystem },
): Promise<void> {
  try {
    await level.open()
  } catch (error) {
    throw openError(error, dataDirectory)
  }
  try {
    await syncData(dataDirectory, fileSystem)
  } catch (error) {
    await level.close()
    throw error
  }
}

/**
 * What must be done to a data folder before every open: no LevelDB log is left, and an open can neither create what should
 * have been there nor delete the tables of a folder that has lost its CURRENT.
 *
 * @throws ENGINE_CURRENT_DAMAGED
 */
export async function prepareData(
  dataDirectory: string,
  options: { readonly createIfMissing: boolean; readonly fileSystem: FileSystem },
): Promise<void> {
  const { createIfMissing, fileSystem } = options
  const condition = await dataCondition(dataDirectory, fileSystem)
  if (condition === 'broken' || (condition === 'empty' && !createIfMissing)) {
    throw engineError('ENGINE_CURRENT_DAMAGED', 'the data folder has no CURRENT', {
      details: { dataDirectory, condition },
    })
  }
  await removeLeveldbLogs(dataDirectory, fileSystem)
}

/** `broken`: there are tables, but CURRENT, which leads to them, is missing. */
export async function dataCondition(
  dataDirectory: string,
  fileSystem: FileSystem,
): Promise<'whole' | 'empty' | 'broken'> {
  const names = await leveldbNames(dataDirectory, fileSystem)
  if (names.has('CURRENT')) return 'whole'
  return [...names.values()].some(({ type }) => type === 'table') ? 'broken' : 'empty'
}

/**
 * Makes durable what LevelDB's open changed: it renames CURRENT and removes the old MANIFEST without syncing the folder,
 * and may come back from a power cut as neither the one nor the other.
 */
export async function syncData(dataDirectory: string, fileSystem: FileSystem): Promise<void> {
  await syncNewestManifest(dataDirectory, fileSystem)
  await fileSystem.syncDirectory(dataDirectory)
  await fileSystem.syncDirectory(dirname(dataDirectory))
}

/**
 * Whoever has it open says so with the code LEVEL_LOCKED, and a full or locked disk by the system's words; every other refusal
 * means that the folder is not sound.
 */
export function openError(error: unknown, dataDirectory: string): unknown {
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (codeOf(reason) === 'LEVEL_LOCKED') {
    return engineError('ENGINE_HOME_LOCKED', 'another process has the data folder open', {
      details: { dataDirectory },
      cause: reason,
    })
  }
  const refusal = refusalOf(reason, dataDirectory)
  if (refusal !== undefined) return refusal
  return engineError('ENGINE_STATE_DAMAGED', 'LevelDB cannot open the data folder', {
    details: { dataDirectory },
    cause: reason,
  })
}

/** LevelDB creates the first MANIFEST of a database without syncing it. */
async function syncNewestManifest(dataDirectory: string, fileSystem: FileSystem): Promise<void> {
  for (const [name, { type }] of await leveldbNames(dataDirectory, fileSystem)) {
    if (type !== 'manifest' && type !== 'current') continue
    const handle = await fileSystem.open(join(dataDirectory, name), 'read')
    try {
      // CURRENT and the MANIFEST it names have their content for good.
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

class OpenedState implements State {
  readonly level: RawLevel
  readonly #place: { readonly dataDirectory: string; readonly fileSystem: FileSystem }

  constructor(level: RawLevel, place: { readonly dataDirectory: string; readonly fileSystem: FileSystem }) {
    this.level = level
    this.#place = place
  }

  applied(): Promise<AppliedPosition> {
    return this.level.applied()
  }

  async appliedLsn(): Promise<number> {
    return (await this.level.applied()).lsn
  }

  checkpoint(options: Omit<TakeCheckpointOptions, 'level'>): Promise<TakenCheckpoint> {
    return takeCheckpoint({ ...options, level: this.level })
  }

  async flush(): Promise<void> {
    const { dataDirectory, fileSystem } = this.#place
    await flushConfirmed(this.level, new VersionReader(dataDirectory, fileSystem), this.#place)
  }

  async digest(): Promise<StateDigest> {
    const { dataDirectory, fileSystem } = this.#place
    // LevelDB goes on sorting, and removes what it has sorted: the links hold one version as long as it is read.
    const tablesDirectory = `${dataDirectory}-digest`
    const place = { dataDirectory, tablesDirectory, fileSystem }
    const reader = new VersionReader(dataDirectory, fileSystem)
    await fileSystem.removeTree(tablesDirectory)
    try {
      const confirmed = await flushConfirmed(this.level, reader, place)
      const { found } = await linkVersion(confirmed, reader, { ...place, published: new Map() })
      return await digestTables([...found.version.tables.values()], tablesDirectory, fileSystem)
    } finally {
      await fileSystem.removeTree(tablesDirectory)
    }
  }

  close(): Promise<void> {
    // LevelDB ends what it was asked for before.
    return this.level.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
