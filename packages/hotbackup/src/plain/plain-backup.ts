/**
 * A hot copy of a LevelDB folder that is not ours: pin one version, copy it, check it, give it its name. The owner is not asked and
 * notices nothing. Everything is made inside `<target>.partial-<pid>`, which the next copy removes when this process dies.
 */
import { dirname, join } from 'node:path'
import { checkTable, withTable } from '@timberline/engine'
import {
  type FileSystem,
  inParallel,
  makeDirectoryDurable,
  nodeFileSystem,
  type SyncQueue,
  syncQueue,
  TimberlineError,
} from '@timberline/wal'
import { type CopyMeter, copyMeter } from '../copy-meter.ts'
import { asHotbackupError, hotbackupError, systemCodeOf } from '../errors.ts'
import { guardedListener, type HotbackupListener } from '../events.ts'
import { copyRange } from '../sink/file-source.ts'
import { removePartial, SYNCS_PENDING_MAX, writeFile } from '../sink/folder-sink.ts'
import { limitOf } from '../options.ts'
import { beginPartial, namesIn, settleLeftovers } from '../sink/partial-folder.ts'
import { rateLimit } from '../pace/rate-limit.ts'
import { refuseOverlap, settledPath } from '../sink/target-check.ts'
import { Pins } from './pins.ts'
import { type PinnedVersion, pinVersion } from './pinned-version.ts'
import type { PlainBackupOptions, PlainBackupResult } from './plain-options.ts'

/** Two at a time keep a disk busy; more only take the owner's share of it. */
const FILES_AT_A_TIME = 2
/** Names that RocksDB and its kin put beside files called as LevelDB's. */
const OTHER_KIND = /^(OPTIONS-\d+|IDENTITY)$/
const NOT_EMPTY: ReadonlySet<string | undefined> = new Set(['ENOTEMPTY', 'EEXIST', 'ENOTDIR'])

interface Run {
  readonly folder: string
  readonly target: string
  readonly fileSystem: FileSystem
  readonly signal: AbortSignal | undefined
  readonly onEvent: HotbackupListener
  readonly meter: CopyMeter
}

/**
 * Copies a LevelDB folder while some application has it open and writes to it. The copy is an ordinary LevelDB folder: a prefix
 * of the application's writes, one batch never half, with every write that had reached the file system when the copy began.
 *
 * @throws HOTBACKUP_PLAIN_SOURCE, HOTBACKUP_PLAIN_DAMAGED, HOTBACKUP_PLAIN_RESTLESS, HOTBACKUP_TARGET_NOT_BACKUP and the others of a
 * backup; ENGINE_MANIFEST_DAMAGED and ENGINE_CURRENT_DAMAGED
 * @example
 * const { bytes, logRecordCount } = await plainBackup({ folder: './app/leveldb', target: './copy' })
 */
export async function plainBackup(options: PlainBackupOptions): Promise<PlainBackupResult> {
  const { folder, signal, maxMbPerS, fileSystem = nodeFileSystem } = options
  if (folder === '') throw hotbackupError('HOTBACKUP_OPTIONS', 'folder is empty')
  if (options.target === '') throw hotbackupError('HOTBACKUP_OPTIONS', 'target is empty')
  const onEvent = guardedListener(options.onEvent)
  const limit = rateLimit({ bytesPerS: limitOf('maxMbPerS', maxMbPerS), signal })
  const meter = copyMeter({ fileSystem, onEvent, signal }, limit)
  try {
    signal?.throwIfAborted()
    const target = await settledPath(options.target)
    const run: Run = { folder, target, fileSystem, signal, onEvent, meter }
    await refuseSource(run)
    await refuseOverlap(target, { folder })
    await settleLeftovers(target, fileSystem, onEvent)
    await refuseContent(run)
    return await copyInto(run)
  } catch (error) {
    throw asHotbackupError(error, { target: options.target, ...(signal === undefined ? {} : { signal }) })
  }
}

async function refuseSource({ folder, fileSystem }: Run): Promise<void> {
  const names = await namesIn(folder, fileSystem)
  const other = names.find((name) => OTHER_KIND.test(name))
  const refuse = (message: string, file?: string): Error =>
    hotbackupError('HOTBACKUP_PLAIN_SOURCE', message, {
      details: { folder, ...(file === undefined ? {} : { file }) },
    })
  if (names.includes('timberline.json')) throw refuse('the folder is a home of Timberline')
  if (other !== undefined) throw refuse('the folder is of RocksDB or its kin, not of LevelDB', other)
  if (!names.includes('CURRENT')) throw refuse('the folder holds no LevelDB')
}

async function refuseContent({ target, fileSystem }: Run): Promise<void> {
  const status = await fileSystem.status(target)
  if (status === undefined) return
  if (!status.isDirectory) throw notEmpty(target, 'the target is a file')
  if ((await namesIn(target, fileSystem)).length > 0) throw notEmpty(target, 'the target is not empty')
}

async function copyInto(run: Run): Promise<PlainBackupResult> {
  const begunAtMs = performance.now()
  const { folder, target, fileSystem, onEvent, signal } = run
  await makeDirectoryDurable(dirname(target), fileSystem)
  const partial = await beginPartial(target, fileSystem)
  const links = join(partial.path, 'scratch', 'pins')
  const copy = join(partial.path, 'scratch', 'copy')
  const pins = new Pins(folder, links, fileSystem)
  const syncs = syncQueue(SYNCS_PENDING_MAX)
  const clear = (): Promise<readonly string[]> =>
    removePartial({ partial, syncs, letGo: () => pins.release() }, fileSystem)
  try {
    await fileSystem.makeDirectory(links)
    await fileSystem.makeDirectory(copy)
    const version = await pinVersion({ folder, pins, fileSystem, signal })
    const { tables, logs, tries } = version
    const tableCount = tables.length
    onEvent({ type: 'plain.pinned', tableCount, logCount: logs.length, tries, pinnedBy: pins.by })
    const uncheckedCount = await copyVersion(version, { run, pins, copy, syncs })
    await appear(run, copy)
    const leftBehind = await clear()
    const result = { ...countsOf(version), target, uncheckedCount, pinnedBy: pins.by, leftBehind }
    const ms = performance.now() - begunAtMs
    onEvent({ type: 'plain.ended', bytes: result.bytes, logRecordCount: result.logRecordCount, ms })
    return { ...result, ms }
  } catch (error) {
    await clear()
    throw error
  }
}

interface Copying {
  readonly run: Run
  readonly pins: Pins
  readonly copy: string
  readonly syncs: SyncQueue
}

/** Copies all files; durable, names and all, when it has resolved. Resolves with the tables not wholly checked. */
async function copyVersion(version: PinnedVersion, copying: Copying): Promise<number> {
  const { run, pins, copy, syncs } = copying
  const { fileSystem, meter } = run
  const logs = version.logs.map(({ name, endBytes }) => ({ name, bytes: endBytes }))
  meter.expect([...version.tables, ...logs])
  const isTable = new Set(version.tables.map(({ name }) => name))
  const isChecked = await inParallel(
    [...version.tables, ...logs],
    FILES_AT_A_TIME,
    async ({ name, bytes }) => {
      const path = join(copy, name)
      const { sha256 } = await copyRange(pins.range(name, bytes), { path, syncs }, meter.context)
      meter.copied({ name, bytes, sha256 })
      return isTable.has(name) ? checkCopy(path, { name, run }) : true
    },
  )
  const more = { syncs, fileSystem }
  await writeFile(join(copy, version.manifestName), version.manifest, more)
  await writeFile(join(copy, 'CURRENT'), Buffer.from(version.current, 'latin1'), more)
  // The rename that follows gives all of it its name: nothing may be less durable than that.
  await syncs.settled()
  await fileSystem.syncDirectory(copy)
  return isChecked.filter((each) => !each).length
}

/** LevelDB serves a flipped bit as data: what is damaged must not pass for a copy. */
async function checkCopy(path: string, { name, run }: { name: string; run: Run }): Promise<boolean> {
  try {
    return await withTable(path, run.fileSystem, checkTable)
  } catch (cause) {
    if (!(cause instanceof TimberlineError) || cause.code !== 'ENGINE_TABLE_DAMAGED') throw cause
    throw hotbackupError('HOTBACKUP_PLAIN_DAMAGED', 'a table is damaged', {
      details: { folder: run.folder, file: name },
      cause,
    })
  }
}

/** One rename; an empty folder there is replaced by it, and nothing else is. */
async function appear({ target, fileSystem }: Run, copy: string): Promise<void> {
  try {
    await fileSystem.rename(copy, target)
  } catch (cause) {
    if (!NOT_EMPTY.has(systemCodeOf(cause))) throw cause
    throw notEmpty(target, 'the target got content meanwhile')
  }
  try {
    // The copy has its name, also after power loss.
    await fileSystem.syncDirectory(dirname(target))
  } catch (error) {
    // A copy whose name may not last is none. What cannot be taken back is told by the error all the same.
    await fileSystem.rename(target, copy).catch(() => undefined)
    throw error
  }
}

function countsOf({
  tables,
  logs,
  manifest,
  current,
  tries,
}: PinnedVersion): Pick<
  PlainBackupResult,
  'tableCount' | 'logCount' | 'logRecordCount' | 'tornBytes' | 'bytes' | 'tries'
> {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)
  return {
    tableCount: tables.length,
    logCount: logs.length,
    logRecordCount: sum(logs.map(({ recordCount }) => recordCount)),
    tornBytes: sum(logs.map(({ bytes, endBytes, tail }) => (tail === 'torn' ? bytes - endBytes : 0))),
    bytes:
      sum(tables.map(({ bytes }) => bytes)) +
      sum(logs.map(({ endBytes }) => endBytes)) +
      manifest.length +
      current.length,
    tries,
  }
}

function notEmpty(target: string, message: string): Error {
  return hotbackupError('HOTBACKUP_TARGET_NOT_BACKUP', message, { details: { target } })
}
