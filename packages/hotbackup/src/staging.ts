/**
 * The pin: what a backup will copy gets a second name in a private folder of the home, so that the engine may go on
 * dropping tables and segments. Logs first, then the newest checkpoint: the segments linked first reach down to a
 * checkpoint not newer than any read later, so log and data always meet.
 *
 * Links are only ever read; no LevelDB is opened on them, which would write through the shared content.
 */
import { join } from 'node:path'
import { newestCheckpoint } from '@timberline/engine'
import type { CheckpointManifest, HomeLayout } from '@timberline/engine'
import { inParallel, liveHolds, parseSegmentName, placeHold, removeStaleTemporaries } from '@timberline/wal'
import type { FileSystem, Hold } from '@timberline/wal'
import { askForCheckpoint } from './checkpoint-request.ts'
import { hotbackupError, systemCodeOf } from './errors.ts'
import type { HotbackupListener } from './events.ts'
import { namesIn } from './sink/partial-folder.ts'

const STAGING_PREFIX = 'staging.'
/** The engine may replace its checkpoint while it is being linked; so often in a row means something else is wrong. */
const PIN_TRIES_MAX = 200
const PIN_PAUSE_MS = 5
/** So often in a row no checkpoint is found before there is taken to be none. */
const EMPTY_TRIES_MAX = 20
const LINKS_AT_A_TIME = 8

/** A checkpoint and the log behind it, safe from removal until released. */
export interface Pin {
  readonly checkpoint: CheckpointManifest
  readonly tablesDirectory: string
  readonly logDirectory: string
  readonly scratchDirectory: string
  readonly segmentCount: number
  readonly tries: number
  /** Removes the links, then takes the mark off; safe to call twice. Resolves with what could not be removed. */
  release(): Promise<readonly string[]>
}

export interface PinOptions {
  readonly layout: HomeLayout
  /** Names the tables that need no pin, since they are safe elsewhere; asked again when another checkpoint is pinned instead. */
  readonly safeTables?: ((checkpoint: CheckpointManifest) => Promise<ReadonlySet<string>>) | undefined
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
  readonly onEvent: HotbackupListener
}

/**
 * Marks the backup as in progress and pins the newest checkpoint and the log.
 *
 * @throws HOTBACKUP_NO_CHECKPOINT, HOTBACKUP_TABLE_MISSING, HOTBACKUP_TABLE_DAMAGED
 */
export async function pinHome(options: PinOptions): Promise<Pin> {
  const { layout, fileSystem } = options
  const hold = await placeHold(layout.logDirectory, { purpose: 'hotbackup', fileSystem })
  const staging = join(layout.home, stagingName(hold.id))
  const release = releaseOf(hold, staging, fileSystem)
  // What is dead is in nobody's way; what is made here meanwhile is under a mark that lives.
  const cleaned = removeDeadStaging(options)
  cleaned.catch(() => undefined)
  try {
    const tablesDirectory = join(staging, 'tables')
    const logDirectory = join(staging, 'log')
    await fileSystem.makeDirectory(tablesDirectory)
    await fileSystem.makeDirectory(logDirectory)
    const segmentCount = await linkSegments(layout.logDirectory, logDirectory, fileSystem)
    const pinned = await pinCheckpoint(options, tablesDirectory)
    const scratchDirectory = join(staging, 'scratch')
    await cleaned
    return { ...pinned, tablesDirectory, logDirectory, scratchDirectory, segmentCount, release }
  } catch (error) {
    await cleaned.catch(() => undefined)
    await release()
    throw error
  }
}

/** Links the segments that are not linked yet; one that vanishes meanwhile lies below a newer checkpoint. */
export async function linkSegments(from: string, to: string, fileSystem: FileSystem): Promise<number> {
  const present = new Set(await fileSystem.list(to))
  const names = (await fileSystem.list(from)).filter((name) => parseSegmentName(name) !== undefined)
  for (const name of names) {
    if (present.has(name)) continue
    try {
      await fileSystem.link(join(from, name), join(to, name))
      present.add(name)
    } catch (error) {
      // EXDEV: the log lies on a disk of its own; the hold alone protects it then.
      if (systemCodeOf(error) === 'EXDEV') return present.size
      if (systemCodeOf(error) !== 'ENOENT') throw error
    }
  }
  return present.size
}

async function pinCheckpoint(
  options: PinOptions,
  tablesDirectory: string,
): Promise<{ checkpoint: CheckpointManifest; tries: number }> {
  const { layout, fileSystem, signal } = options
  let pinned: CheckpointManifest | undefined
  for (let tries = 1; ; tries += 1) {
    signal?.throwIfAborted()
    const checkpoint = await newestCheckpoint(layout.home, fileSystem)
    if (checkpoint === undefined) {
      // Listed, and replaced by a newer one before it was read: looked for again, as it is not believed at once.
      if (pinned === undefined && tries === EMPTY_TRIES_MAX) await askForFirst(options)
      if (pinned === undefined && tries > EMPTY_TRIES_MAX) throw noCheckpoint(layout.home)
      await pause()
      continue
    }
    await dropOtherTables(checkpoint, { pinned, directory: tablesDirectory, fileSystem })
    pinned = checkpoint
    const safe = await options.safeTables?.(checkpoint)
    const toPin = checkpoint.tables.filter(({ name }) => safe?.has(name) !== true)
    const missing = await linkTables(toPin, {
      from: layout.tablesDirectory,
      to: tablesDirectory,
      fileSystem,
    })
    if (missing === undefined) {
      await refuseWrongLength({ ...checkpoint, tables: toPin }, tablesDirectory, fileSystem)
      return { checkpoint, tries }
    }
    if (tries === PIN_TRIES_MAX) {
      throw hotbackupError('HOTBACKUP_TABLE_MISSING', 'a table of the newest checkpoint is missing', {
        details: { home: layout.home, table: missing, lsn: checkpoint.lsn, tries },
      })
    }
    await pause()
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PIN_PAUSE_MS))
}

/** A new home may have none yet; its owner, if it listens, can make one. */
async function askForFirst(options: PinOptions): Promise<void> {
  const { home } = options.layout
  if (!(await askForCheckpoint({ home, onEvent: options.onEvent }))) throw noCheckpoint(home)
}

function noCheckpoint(home: string): Error {
  return hotbackupError('HOTBACKUP_NO_CHECKPOINT', 'the home has no checkpoint', { details: { home } })
}

/** A rebuilt database gives a number to another table: a link stays only while all that is known of it stays. */
async function dropOtherTables(
  checkpoint: CheckpointManifest,
  where: { pinned: CheckpointManifest | undefined; directory: string; fileSystem: FileSystem },
): Promise<void> {
  const same = new Set(checkpoint.tables.map(identityOf))
  for (const table of where.pinned?.tables ?? []) {
    if (same.has(identityOf(table))) continue
    const path = join(where.directory, table.name)
    if ((await where.fileSystem.status(path)) !== undefined) await where.fileSystem.remove(path)
  }
}

function identityOf(table: CheckpointManifest['tables'][number]): string {
  return `${table.name} ${table.bytes} ${table.sha256 ?? ''}`
}

/** Links the tables that are not linked yet; names one that vanished. */
async function linkTables(
  tables: CheckpointManifest['tables'],
  where: { from: string; to: string; fileSystem: FileSystem },
): Promise<string | undefined> {
  const { from, to, fileSystem } = where
  const present = new Set(await fileSystem.list(to))
  const names = tables.map((table) => table.name).filter((name) => !present.has(name))
  let missing: string | undefined
  await inParallel(names, LINKS_AT_A_TIME, async (name) => {
    if (missing !== undefined) return
    try {
      await fileSystem.link(join(from, name), join(to, name))
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error
      missing = name
    }
  })
  return missing
}

async function refuseWrongLength(
  checkpoint: CheckpointManifest,
  directory: string,
  fileSystem: FileSystem,
): Promise<void> {
  await inParallel(checkpoint.tables, LINKS_AT_A_TIME, async (table) => {
    const bytes = (await fileSystem.status(join(directory, table.name)))?.bytes
    if (bytes === table.bytes) return
    throw hotbackupError(
      'HOTBACKUP_TABLE_DAMAGED',
      'a table has not the length that its checkpoint recorded',
      {
        details: { table: table.name, bytes, expectedBytes: table.bytes, lsn: checkpoint.lsn },
      },
    )
  })
}

/**
 * Removes what dead backups left in a home: marks, and staging folders. Those carry the id of their mark; without a live
 * mark of that id, their process is gone.
 */
export async function removeDeadStaging(options: PinOptions): Promise<void> {
  const { layout, fileSystem, onEvent } = options
  await removeStaleTemporaries(layout.logDirectory, fileSystem)
  const found = (await namesIn(layout.home, fileSystem)).filter((name) => name.startsWith(STAGING_PREFIX))
  // Asked after the listing: whoever has made a folder since has a mark by now. Marks of the dead go with the asking.
  const holds = await liveHolds(layout.logDirectory, fileSystem)
  const live = new Set(holds.map((hold) => stagingName(hold.id)))
  for (const name of found) {
    if (live.has(name)) continue
    const path = join(layout.home, name)
    await fileSystem.removeTree(path)
    onEvent({ type: 'leftover.removed', path })
  }
}

/** `staging.<pid>.<random>` for the hold `hold.<pid>.<random>.json`. */
function stagingName(holdId: string): string {
  return `${STAGING_PREFIX}${holdId.replace(/^hold\./, '').replace(/\.json$/, '')}`
}

/** Removes what the pin has made; to remove a tree of hundreds of links, the system would be asked first what each of them is. */
async function removeStaging(staging: string, fileSystem: FileSystem): Promise<void> {
  const tablesDirectory = join(staging, 'tables')
  const names = await namesIn(tablesDirectory, fileSystem)
  await inParallel(names, LINKS_AT_A_TIME, (name) => fileSystem.remove(join(tablesDirectory, name)))
  await fileSystem.removeTree(staging)
}

function releaseOf(hold: Hold, staging: string, fileSystem: FileSystem): () => Promise<readonly string[]> {
  const attempt = async (path: string, work: () => Promise<void>): Promise<readonly string[]> => {
    try {
      await work()
      return []
    } catch {
      // Reported as left behind; the next backup of this home removes it, once this process is gone.
      return [path]
    }
  }
  const release = async (): Promise<readonly string[]> => {
    const links = await attempt(staging, () => removeStaging(staging, fileSystem))
    const mark = await attempt(`hold ${hold.id}`, () => hold.release())
    return [...links, ...mark]
  }
  let released: Promise<readonly string[]> | undefined
  return () => (released ??= release())
}
