import { join } from 'node:path'
import { nodeFileSystem, openLog } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { adoptedIdentity, readMarker, removeMarker, writeMarker } from './adopt-marker.ts'
import { moveIntoData, moveOutOfData } from './adopt-move.ts'
import { codeOf, engineError } from '../errors.ts'
import { writeBackupDue } from '../home/home-backup-due.ts'
import { readHomeIdentity, writeHomeIdentity } from '../home/home-identity.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import { homeLayout } from '../home/home-layout.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { leveldbNames } from '../leveldb/leveldb-files.ts'
import { flushConfirmed } from '../leveldb/leveldb-flush.ts'
import { RawLevel } from '../state/leveldb-raw.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import { lockHome } from '../home/lock.ts'
import { APPLIED_KEY, RESERVED_FLOOR } from '../reserved-keys.ts'
import { recoverState } from '../state/state-recovery.ts'
import { RawStateHandle } from '../state/state-handle.ts'
import { openError, openState, syncData } from '../state/state.ts'

/** What an adoption did. */
export interface AdoptReport {
  readonly identity: HomeIdentity
  readonly tables: number
  readonly bytes: number
  readonly ms: number
}

/** What the way back did. */
export interface UnadoptReport {
  /** The last transaction that the plain database contains. */
  readonly lsn: number
  /** Where the log and the identity of the former home lie; they may be removed once nobody wants the history. */
  readonly keptAt: string
  readonly ms: number
}

/** Options of {@link adopt} and {@link unadopt}. */
export interface AdoptOptions {
  readonly fileSystem?: FileSystem
}

/** Where log and identity go when a home becomes a plain LevelDB again. */
const RELEASED_NAME = 'timberline.released'

/**
 * Makes a home of a folder that holds a plain LevelDB database, in place: its files are renamed into `data/`, nothing is
 * copied. The database must be closed everywhere. Interrupted at any point it can be run again. A full backup is due
 * afterwards: the log knows nothing of what was there before.
 *
 * The way back is {@link unadopt}.
 *
 * @throws ENGINE_ADOPT_REFUSED, ENGINE_ADOPT_KEY_RESERVED, ENGINE_ADOPT_UNFINISHED, ENGINE_HOME_LOCKED
 */
export async function adopt(location: string, options: AdoptOptions = {}): Promise<AdoptReport> {
  const { fileSystem = nodeFileSystem } = options
  const begunAtMs = performance.now()
  const layout = homeLayout(location)
  await refuseNotPlain(layout, fileSystem)
  await using _lock = await lockHome(location)
  let marker = await readMarker(location, 'adopt', fileSystem)
  if (marker === undefined || (await nothingMoved(layout, fileSystem))) {
    await settle(location, fileSystem)
    marker ??= await writeMarker(location, { step: 'adopt' }, fileSystem)
  }
  await moveIntoData(layout, fileSystem)
  const identity = adoptedIdentity(marker)
  await writeHomeIdentity(location, identity, fileSystem)
  await writeBackupDue(location, { reason: 'adopted', sinceUs: marker.createdAtUs }, fileSystem)
  const { tables, bytes } = await firstCheckpoint(layout, identity, fileSystem)
  await removeMarker(location, fileSystem)
  return { identity, tables, bytes, ms: performance.now() - begunAtMs }
}

/**
 * Makes a plain LevelDB database of a home again, in place, with everything that was committed. Log and identity are kept
 * aside in `timberline.released/`; checkpoints go. Interrupted at any point it can be run again.
 *
 * @throws ENGINE_HOME_MISSING, ENGINE_ADOPT_UNFINISHED, ENGINE_HOME_LOCKED, and what an open would throw
 */
export async function unadopt(home: string, options: AdoptOptions = {}): Promise<UnadoptReport> {
  const { fileSystem = nodeFileSystem } = options
  const begunAtMs = performance.now()
  const layout = homeLayout(home)
  const keptAt = join(home, RELEASED_NAME)
  const marker = await readMarker(home, 'unadopt', fileSystem)
  if (marker === undefined) await readHomeIdentity(home, fileSystem)
  let lsn = marker?.lsn ?? 0
  {
    await using _lock = await lockHome(home)
    if (marker === undefined) {
      lsn = await releaseState(layout, fileSystem)
      await writeMarker(home, { step: 'unadopt', lsn }, fileSystem)
    }
    await moveOutOfData(layout, fileSystem)
    await fileSystem.removeTree(layout.checkpointDirectory)
    await keepAside(layout, keptAt, fileSystem)
    await removeMarker(home, fileSystem)
  }
  // The folder is nobody's home any more, so nobody waits for its lock.
  await fileSystem.removeTree(layout.lockDirectory)
  return { lsn, keptAt, ms: performance.now() - begunAtMs }
}

async function refuseNotPlain(layout: HomeLayout, fileSystem: FileSystem): Promise<void> {
  const { home } = layout
  if ((await readMarker(home, 'adopt', fileSystem)) !== undefined) return
  const isHome = (await fileSystem.status(layout.identityPath)) !== undefined
  if (!isHome && (await leveldbNames(home, fileSystem)).has('CURRENT')) return
  throw engineError(
    'ENGINE_ADOPT_REFUSED',
    isHome ? 'the folder is a home already' : 'the folder is no LevelDB',
    {
      details: { home },
    },
  )
}

/** Before the first table has moved, a plain LevelDB can still have been used since the marker was written. */
async function nothingMoved(layout: HomeLayout, fileSystem: FileSystem): Promise<boolean> {
  const atTop = await leveldbNames(layout.home, fileSystem)
  const inData = await leveldbNames(layout.dataDirectory, fileSystem)
  return atTop.has('CURRENT') && inData.size === 0
}

/**
 * Opens the plain database once, with its log, which is not ours to remove, and brings all of it into tables. LevelDB's own
 * lock keeps others out meanwhile.
 */
async function settle(directory: string, fileSystem: FileSystem): Promise<void> {
  const level = new RawLevel(directory)
  try {
    await level.open({ createIfMissing: false })
  } catch (error) {
    throw asRefusal(openError(error, directory), directory)
  }
  try {
    for await (const key of level.keys({ gte: RESERVED_FLOOR })) {
      if (key.equals(APPLIED_KEY)) continue
      throw engineError('ENGINE_ADOPT_KEY_RESERVED', 'the database has keys in the reserved zone', {
        details: { directory, keyHex: key.subarray(0, 64).toString('hex') },
      })
    }
    // Left in a data folder that somebody took out of a home by hand: its LSNs belong to another log.
    await level.del(APPLIED_KEY)
    const reader = new VersionReader(directory, fileSystem)
    await flushConfirmed(level, reader, { dataDirectory: directory, fileSystem })
  } finally {
    await level.close()
  }
}

function asRefusal(error: unknown, directory: string): unknown {
  if (codeOf(error) === 'ENGINE_HOME_LOCKED') return error
  return engineError('ENGINE_ADOPT_REFUSED', 'the database cannot be opened as it is', {
    details: { directory },
    cause: error,
  })
}

/** The state that no log leads to: without this checkpoint the home could not be rebuilt. */
async function firstCheckpoint(
  layout: HomeLayout,
  identity: HomeIdentity,
  fileSystem: FileSystem,
): Promise<{ tables: number; bytes: number }> {
  await using state = await openState(layout.dataDirectory, { createIfMissing: false, fileSystem })
  const { manifest } = await state.checkpoint({
    layout,
    identity,
    segmentAfter: () => Promise.resolve(1),
    evenIfUnchanged: true,
    fileSystem,
  })
  const bytes = manifest.tables.reduce((sum, table) => sum + table.bytes, 0)
  return { tables: manifest.tables.length, bytes }
}

/** Brings the state to the end of the log, takes our own key out of it, and leaves all of it in tables. */
async function releaseState(layout: HomeLayout, fileSystem: FileSystem): Promise<number> {
  const identity = await readHomeIdentity(layout.home, fileSystem)
  await using log = await openLog({ directory: layout.logDirectory, identity })
  const handle = new RawStateHandle(layout.dataDirectory)
  const { firstLsn, lastLsn } = log.opened
  const report = await recoverState(handle, { layout, identity, log: { firstLsn, lastLsn }, fileSystem })
  try {
    await handle.level.del(APPLIED_KEY)
    const reader = new VersionReader(layout.dataDirectory, fileSystem)
    await flushConfirmed(handle.level, reader, {
      dataDirectory: layout.dataDirectory,
      fileSystem,
    })
  } finally {
    await handle.close()
  }
  await syncData(layout.dataDirectory, fileSystem)
  return report.throughLsn
}

/** The identity goes last: until then the folder is known as a home in the middle of its way back. */
async function keepAside(layout: HomeLayout, keptAt: string, fileSystem: FileSystem): Promise<void> {
  await fileSystem.makeDirectory(keptAt)
  for (const name of ['log', 'backup-due.json', 'timberline.json']) {
    const from = join(layout.home, name)
    if ((await fileSystem.status(from)) === undefined) continue
    await fileSystem.removeTree(join(keptAt, name))
    await fileSystem.rename(from, join(keptAt, name))
  }
  await fileSystem.syncDirectory(keptAt)
  await fileSystem.syncDirectory(layout.home)
}
