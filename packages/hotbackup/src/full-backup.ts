/**
 * A full backup: mark and pin, data files, **then** logs, everything durable, manifest, one appearance, mark released. The
 * owner need not answer; it may write, compact, take checkpoints, be killed and be opened again meanwhile.
 */
import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import { clearBackupDue, readBackupDue } from '@timberline/engine'
import type { CheckpointManifest } from '@timberline/engine'
import { readFileWhole } from '@timberline/wal'
import { readFolderBase, refuseOtherBase } from './sink/backup-base.ts'
import type { FolderBase } from './sink/backup-base.ts'
import { beginArchiveSink } from './sink/archive-sink.ts'
import { completeRun, digestOf } from './backup-run.ts'
import type { BackupRun, CopiedSet } from './backup-run.ts'
import { copyData } from './copy-data.ts'
import { hotbackupError } from './errors.ts'
import { beginFolderSink, inspectTarget } from './sink/folder-sink.ts'
import { durableLog, refuseBulkLoad } from './log-copy.ts'
import type { DurableLog } from './log-copy.ts'
import type { BackupResult } from './options.ts'
import type { SealedLog } from './owner.ts'
import { copyProvedLog } from './proved-log.ts'
import { backupLabel } from './sink/sink.ts'
import type { BackupSink } from './sink/sink.ts'
import { pinHome } from './staging.ts'
import type { Pin } from './staging.ts'
import { TakenTables } from './taken-tables.ts'
import { foldersOf, refuseOverlap } from './sink/target-check.ts'
import { beginVolumesSink } from './volumes/volumes-sink.ts'

/** Makes a full backup of a home whose target has been settled. */
export async function fullBackup(run: BackupRun): Promise<BackupResult> {
  const { options } = run
  if (typeof options.target === 'string') await refuseTarget(run, options.target)
  const base = await folderBaseOf(run)
  const { pin, sink } = await pinBeside(run, base)
  // What is pinned is needed until it is copied; it is let go while the copy is made to appear.
  let released: Promise<readonly string[]> | undefined
  try {
    const { checkpoint, segmentCount, tries } = pin
    options.onEvent({
      type: 'pinned',
      lsn: checkpoint.lsn,
      tableCount: checkpoint.tables.length,
      segmentCount,
      tries,
    })
    const set = await copySet(run, pin, sink)
    released = pin.release()
    if (base !== undefined) await refuseOtherBase(base, run.identity, options.fileSystem)
    const result = await completeRun(run, sink, set)
    await answerDue(run, checkpoint)
    return result
  } catch (error) {
    await sink.abandon()
    throw error
  } finally {
    for (const path of await (released ?? pin.release())) {
      options.onEvent({ type: 'leftover.kept', path, reason: 'it could not be removed' })
    }
  }
}

/** A pin of what has to be copied; the rest is in the new backup already. */
interface PinBeside extends Pin {
  readonly taken: ReadonlyMap<string, BackupFile> | undefined
}

/** Pins the home, and begins the backup: a folder beside it, since neither waits for the other; what others see is begun when the pin holds. */
async function pinBeside(
  run: BackupRun,
  base: FolderBase | undefined,
): Promise<{ readonly pin: PinBeside; readonly sink: BackupSink }> {
  const { options, layout, watch } = run
  const begun = typeof options.target === 'string' ? beginSink(run, base) : undefined
  let taken: TakenTables | undefined
  // What the new backup takes over from its base needs no pin.
  const takeOver = async (checkpoint: CheckpointManifest): Promise<ReadonlySet<string>> => {
    const sink = await begun
    if (base === undefined || sink === undefined) return new Set()
    taken ??= new TakenTables({ base, sink }, options.fileSystem)
    return taken.take(checkpoint)
  }
  const pinning = watch.time('pin', () => pinHome({ ...options, layout, safeTables: base && takeOver }))
  const [pinned, sink] = await Promise.allSettled([
    pinning,
    begun ?? pinning.then(() => beginSink(run, base)),
  ])
  if (pinned.status === 'fulfilled' && sink.status === 'fulfilled')
    return { pin: { ...pinned.value, taken: taken?.files }, sink: sink.value }
  if (sink.status === 'fulfilled') await sink.value.abandon()
  if (pinned.status === 'fulfilled') await pinned.value.release()
  throw pinned.status === 'rejected' ? pinned.reason : (sink as PromiseRejectedResult).reason
}

/** Takes away the mark that a full backup is due, if the checkpoint that was copied holds what it is due for. */
async function answerDue(run: BackupRun, { lsn, createdAtUs }: CheckpointManifest): Promise<void> {
  const { home, fileSystem, onEvent } = run.options
  try {
    const due = await readBackupDue(home, fileSystem)
    if (due === undefined) return
    const isAnswered = due.lsn === undefined ? due.sinceUs < createdAtUs : due.lsn <= lsn
    if (isAnswered) await clearBackupDue(home, fileSystem)
  } catch (error) {
    // The backup stands all the same; the home goes on asking for one.
    onEvent({ type: 'leftover.kept', path: `${home}, the mark of a due backup`, reason: String(error) })
  }
}

/**
 * Refuses a target folder that overlaps the home or holds something else than a backup of it.
 *
 * @throws HOTBACKUP_TARGET_OVERLAPS, HOTBACKUP_TARGET_NOT_BACKUP, HOTBACKUP_TARGET_FOREIGN, HOTBACKUP_TARGET_BUSY
 */
export async function refuseTarget(run: BackupRun, target: string): Promise<void> {
  await refuseOverlap(target, foldersOf(run.layout))
  await inspectTarget(target, run.identity, run.options)
}

async function copySet(run: BackupRun, pin: PinBeside, sink: BackupSink): Promise<CopiedSet> {
  const { options, layout, meter, watch } = run
  const { checkpoint, tries } = pin
  const { fileSystem } = options
  const identity = await sink.write('timberline.json', await readFileWhole(layout.identityPath, fileSystem))
  let sealed: SealedLog | undefined
  // Right before it is listed: the set ends with a whole log file, and with what was committed since.
  const listLog = async (): Promise<DurableLog> => {
    sealed = await run.owner?.seal()
    options.onEvent({ type: 'log.begun' })
    const places = { live: layout.logDirectory, staged: pin.logDirectory, fileSystem }
    return watch.time('log', () => durableLog(checkpoint, places))
  }
  // Segments only grow, so what was durable at the start can be copied after the data as well as before them.
  const atStart = options.asOf === 'start' ? await listLog() : undefined
  const data = await watch.time('data', () => copyData(pin, sink, meter))
  const log = atStart ?? (await listLog())
  refuseBulkLoad(log.segments, checkpoint.lsn)
  const logs = await watch.time('log', () => copyProvedLog(checkpoint, log, { sink, meter }))
  options.onEvent({ type: 'log.ended', lsn: log.endLsn, segments: logs.map((file) => file.name) })
  const copy =
    sink.folder === undefined
      ? { tablesDirectory: pin.tablesDirectory, logDirectory: log.directory, scratch: pin.scratchDirectory }
      : {
          tablesDirectory: join(sink.folder, 'checkpoint/tables'),
          logDirectory: join(sink.folder, 'log'),
          scratch: join(sink.folder, 'scratch'),
        }
  const digest = await digestOf(run, { checkpoint, ...copy }, log.endLsn)
  const base = sink.base?.label
  return { checkpoint, files: [identity, ...data, ...logs], log, sealed, digest, tries, base }
}

async function beginSink(run: BackupRun, base: FolderBase | undefined): Promise<BackupSink> {
  const { target, fileSystem } = run.options
  if (typeof target !== 'string')
    return 'volumes' in target ? beginVolumesSink(run, target.volumes) : beginArchiveSink(run, target.archive)
  const label = backupLabel(run.startedAtMs, base === undefined ? 'full' : 'incremental')
  return beginFolderSink({ target, label, base, fileSystem })
}

/** The earlier backup in a folder that an incremental one is made against: the one that was named, or the one to be replaced. */
export async function folderBaseOf({ options, identity }: BackupRun): Promise<FolderBase | undefined> {
  const { base, fileSystem, incremental, target } = options
  if (!incremental || typeof target !== 'string') return undefined
  const found = await readFolderBase(base ?? target, identity, fileSystem)
  if (found !== undefined || base === undefined) return found
  throw hotbackupError('HOTBACKUP_BASE', 'there is no backup in the base', { details: { base } })
}
