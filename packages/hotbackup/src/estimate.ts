/**
 * How much a backup would copy, before it does. The home is pinned for as long as that takes, so that the sizes are those of
 * one checkpoint and its log; nothing is written to the target, and nothing stays in the home.
 */
import { isAbsolute, join } from 'node:path'
import { segmentName } from '@timberline/wal'
import type { BackupFile } from '@timberline/archive'
import type { CheckpointTable } from '@timberline/engine'
import { baseOf, unchangedTables } from './sink/backup-base.ts'
import { beginRun } from './backup-run.ts'
import type { BackupRun, BackupSize } from './backup-run.ts'
import { asHotbackupError } from './errors.ts'
import { hashFile } from './sink/file-source.ts'
import type { FileRange } from './sink/file-source.ts'
import { readTarget } from './sink/folder-sink.ts'
import { freeSpace, isOneFileSystem } from './free-space.ts'
import { durableLog } from './log-copy.ts'
import { completeOptions, nameOf } from './options.ts'
import type { CompletedOptions, HotbackupOptions } from './options.ts'
import { pinHome } from './staging.ts'
import type { Pin } from './staging.ts'
import { folderBaseOf } from './full-backup.ts'
import { foldersOf, refuseOverlap } from './sink/target-check.ts'
import { updateSize } from './update/update-backup.ts'
import { volumesSize } from './volumes/series-size.ts'
import type { VolumesEstimate } from './volumes/series-size.ts'
import { watchWriters } from './pace/writer-watch.ts'

/** What a backup would cost if it began now. The database goes on, so a real one may copy a little more. */
export interface BackupEstimate {
  /** The folder, or the archive's address. */
  readonly target: string
  /** Bytes of tables to be copied. */
  readonly dataBytes: number
  /** Bytes of log to be copied. */
  readonly logBytes: number
  /** Bytes of the set that the target has already. */
  readonly reusedBytes: number
  /** Bytes to be copied: data and log. In an archive they are compressed, so that it grows by less. */
  readonly copyBytes: number
  /** Bytes free where the target lies, for volumes on all disks; absent when nobody can tell, as of an object store. */
  readonly freeBytes?: number
  /** Whether `copyBytes` fit into `freeBytes`, or each volume into a folder; absent when that is not known. */
  readonly fits?: boolean
  readonly bytesPerS: number
  /**
   * `limit`: the rate that was asked for; `writers`: the limit beside writers, if there were commits just now; `measured`: the rate at
   * which files of this home were just read and hashed.
   */
  readonly rate: EstimatedRate
  /** `copyBytes` at that rate: the copy takes at least so long. The digest, if there is one, comes on top. */
  readonly seconds: number
  /** Of a call of a series of volumes: which files it would be, and where. */
  readonly volumes?: VolumesEstimate
}

/** Where the rate of an estimate comes from. */
export type EstimatedRate = 'limit' | 'writers' | 'measured'

/** So much is read to measure a rate: enough to even out single reads, little enough to disturb nobody. */
const SAMPLE_BYTES_MAX = 64e6

/**
 * Sizes a backup with these options, and copies nothing. An owner is not asked for a checkpoint, also if the backup would.
 *
 * @throws as `hotbackup`, for what can be told before anything is copied
 * @example
 * const { copyBytes, freeBytes, seconds } = await estimateBackup({ home: './home', target: './backups/today' })
 */
export async function estimateBackup(options: HotbackupOptions): Promise<BackupEstimate> {
  // Nothing happens that an event could tell of.
  const completed = { ...completeOptions(options), onEvent: () => undefined }
  const target = nameOf(completed.target)
  try {
    completed.signal?.throwIfAborted()
    const run = await beginRun(completed, completed.update ? 'update' : 'hot')
    if (typeof completed.target === 'string') {
      await refuseOverlap(completed.target, foldersOf(run.layout))
      await readTarget(completed.target, run.identity, completed.fileSystem)
    }
    const { size, bytesPerS, rate } = await measured(run)
    const { dataBytes, logBytes, reusedBytes, volumes } = size
    const copyBytes = dataBytes + logBytes
    const freeBytes = volumes === undefined ? await freeBytesOf(completed) : freeBytesIn(volumes)
    return {
      target,
      dataBytes,
      logBytes,
      reusedBytes,
      copyBytes,
      ...(freeBytes === undefined ? {} : { freeBytes, fits: volumes?.fits ?? copyBytes <= freeBytes }),
      bytesPerS,
      rate,
      seconds: copyBytes / bytesPerS,
      ...(volumes === undefined ? {} : { volumes }),
    }
  } catch (error) {
    throw asHotbackupError(error, {
      target,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  }
}

/** The size of a backup, and of the volumes that it would be. */
type TargetSize = BackupSize & { readonly volumes?: VolumesEstimate }

async function measured(run: BackupRun): Promise<{ size: TargetSize } & Rate> {
  const { options, layout } = run
  const pin = await pinHome({ ...options, layout })
  try {
    const size =
      options.update && typeof options.target === 'string'
        ? await updateSize(run, options.target)
        : await fullSize(run, pin)
    return { size, ...(await rateFor(run, size.files)) }
  } finally {
    await pin.release()
  }
}

interface Rate {
  readonly bytesPerS: number
  readonly rate: EstimatedRate
}

/** The lowest limit there is, or what reading shows; that is not done beside a writer who is to be spared. */
async function rateFor(run: BackupRun, files: readonly FileRange[]): Promise<Rate> {
  const { bytesPerS, bytesPerSBesideWriters, home } = run.options
  if (bytesPerSBesideWriters !== undefined && bytesPerSBesideWriters < (bytesPerS ?? Infinity)) {
    const writers = watchWriters({ home })
    try {
      if (await writers.isWriting()) return { bytesPerS: bytesPerSBesideWriters, rate: 'writers' }
    } finally {
      writers.close()
    }
  }
  if (bytesPerS !== undefined) return { bytesPerS, rate: 'limit' }
  return { bytesPerS: await readRate(run, files), rate: 'measured' }
}

async function fullSize(run: BackupRun, pin: Pin): Promise<TargetSize> {
  const { layout, options } = run
  const { checkpoint, tablesDirectory } = pin
  const places = { live: layout.logDirectory, staged: pin.logDirectory, fileSystem: options.fileSystem }
  const log = await durableLog(checkpoint, places)
  const { target } = options
  if (typeof target !== 'string' && 'volumes' in target) return volumesSize(run, target.volumes, { pin, log })
  const { directory, segments } = log
  const unchanged = await reusableTables(run, pin)
  const tables = checkpoint.tables
    .filter((table) => !unchanged.has(table))
    .map(({ name, bytes }) => ({ path: join(tablesDirectory, name), bytes }))
  const logs = segments.map(({ header, bytes }) => ({
    path: join(directory, segmentName(header.segmentNumber)),
    bytes,
  }))
  return {
    dataBytes: bytesOf(tables),
    logBytes: bytesOf(logs),
    reusedBytes: bytesOf([...unchanged.keys()]),
    files: [...tables, ...logs],
  }
}

/** Tables that would be linked or named: those that the base has, where links lead there. */
async function reusableTables(run: BackupRun, pin: Pin): Promise<ReadonlyMap<CheckpointTable, BackupFile>> {
  const { incremental, target } = run.options
  if (!incremental) return new Map()
  if (typeof target === 'string') {
    const base = await folderBaseOf(run)
    const isNear = base !== undefined && (await isOneFileSystem(base.folder, target))
    return unchangedTables(pin, isNear ? base : undefined, run.meter.context)
  }
  const found = 'archive' in target ? await target.archive.backupBase() : undefined
  const base = found === undefined ? undefined : baseOf(found.manifest)
  return unchangedTables(pin, base, run.meter.context)
}

/** Bytes a second of reading and hashing, which is what a copy does besides writing. */
async function readRate(run: BackupRun, files: readonly FileRange[]): Promise<number> {
  const beginMs = performance.now()
  let bytes = 0
  for (const file of files) {
    const wanted = Math.min(file.bytes, SAMPLE_BYTES_MAX - bytes)
    if (wanted <= 0) break
    await hashFile(file.path, { ...run.meter.context, onBytes: () => undefined }, wanted)
    bytes += wanted
  }
  // A clock may not have moved while a few bytes were read.
  return (bytes * 1000) / Math.max(performance.now() - beginMs, 0.001)
}

async function freeBytesOf({ target }: CompletedOptions): Promise<number | undefined> {
  if (typeof target === 'string') return freeSpace(target)
  if ('volumes' in target) return undefined
  const { url } = target.archive.store
  return isAbsolute(url) ? freeSpace(url) : undefined
}

/** Folders on one disk share its room. */
function freeBytesIn({ folders }: VolumesEstimate): number {
  const byDevice = new Map(folders.map(({ device, freeBytes }) => [device, freeBytes]))
  return [...byDevice.values()].reduce((sum, bytes) => sum + bytes, 0)
}

function bytesOf(files: readonly { readonly bytes: number }[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}
