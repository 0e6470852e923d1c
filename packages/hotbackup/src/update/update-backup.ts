/**
 * An update adds the log written since to a finished backup, without copying data again: new segments and a new manifest, put in place so
 * that the old backup stands until the new one does. What stays is not read and not touched, so that an update costs what has changed.
 */
import { join } from 'node:path'
import type { BackupManifest } from '@timberline/archive'
import { placeHold, segmentName } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { completeRun, digestOf } from '../backup-run.ts'
import type { BackupRun, BackupSize, CopiedSet } from '../backup-run.ts'
import { inspectTarget, readTarget } from '../sink/folder-sink.ts'
import { beginFolderUpdate } from './folder-update.ts'
import type { FolderUpdate } from './folder-update.ts'
import { listLiveSegments } from '../log-copy.ts'
import { copyNewLog, nameOf, planNewLog, sealedLog } from './new-log.ts'
import type { UpdateLogs } from './new-log.ts'
import type { BackupResult } from '../options.ts'
import { recoveredUpdate } from './recovered-update.ts'
import { backupLabel } from '../sink/sink.ts'
import { removeDeadStaging } from '../staging.ts'
import { takeOver } from './take-over.ts'
import { foldersOf, refuseOverlap } from '../sink/target-check.ts'
import { damagedBase, planUpdate, readBase, updatable } from './update-plan.ts'
import { allOf, begunBeside } from './side-by-side.ts'

/** Adds the log written since to the backup in the target. */
export async function updateBackup(run: BackupRun, target: string): Promise<BackupResult> {
  const { options, layout } = run
  const { fileSystem } = options
  await refuseOverlap(target, foldersOf(layout))
  const manifest = updatable(run, target, await inspectTarget(target, run.identity, options))
  const hold = await placeHold(layout.logDirectory, { purpose: 'hotbackup update', fileSystem })
  try {
    // Both logs are looked at while the new folder is made.
    const looking = lookAtLogs(run, { target, manifest })
    if (options.recover) return await recoveredUpdate(run, target, looking)
    return await updateInPlace(run, { target, manifest }, looking)
  } finally {
    await hold.release().catch((error: unknown) => {
      options.onEvent({ type: 'leftover.kept', path: `hold ${hold.id}`, reason: String(error) })
    })
  }
}

async function lookAtLogs(
  run: BackupRun,
  { target, manifest }: { readonly target: string; readonly manifest: BackupManifest },
): Promise<UpdateLogs> {
  const { options, layout } = run
  const [base, live] = await allOf([
    readBase(target, manifest, run),
    sealedLog(run),
    removeDeadStaging({ ...options, layout }),
  ])
  return { base, live }
}

/** What an update of the backup in the target would copy; the home must be pinned. */
export async function updateSize(run: BackupRun, target: string): Promise<BackupSize> {
  const { options, layout } = run
  const manifest = updatable(run, target, await readTarget(target, run.identity, options.fileSystem))
  const base = await readBase(target, manifest, run)
  const { copied } = planUpdate(base, await listLiveSegments(layout.logDirectory, options.fileSystem))
  const files = copied.map(({ header, bytes }) => ({
    path: join(layout.logDirectory, segmentName(header.segmentNumber)),
    bytes,
  }))
  const copiedNames = new Set(copied.map(nameOf))
  const kept = manifest.files.filter(({ name }) => !copiedNames.has(name))
  const sum = (of: readonly { readonly bytes: number }[]): number =>
    of.reduce((all, { bytes }) => all + bytes, 0)
  return { dataBytes: 0, logBytes: sum(files), reusedBytes: sum(kept), files }
}

async function updateInPlace(
  run: BackupRun,
  { target, manifest }: { readonly target: string; readonly manifest: BackupManifest },
  looking: Promise<UpdateLogs>,
): Promise<BackupResult> {
  const { fileSystem } = run.options
  const label = backupLabel(run.startedAtMs, 'full')
  const beginning = beginFolderUpdate({ target, label, older: manifest, fileSystem })
  const [update, logs] = await begunBeside(beginning, looking)
  try {
    return await completeRun(run, update, await updatedSet(run, logs, update))
  } catch (error) {
    await update.abandon()
    throw error
  }
}

async function updatedSet(run: BackupRun, logs: UpdateLogs, update: FolderUpdate): Promise<CopiedSet> {
  const { options, meter, watch } = run
  const { base } = logs
  const { checkpoint, folder, manifest } = base
  const [{ plan, log, sealed, kept }] = await allOf([
    planNewLog(run, logs),
    watch.time('data', () => requireFiles(folder, manifest, options.fileSystem)),
  ])
  for (const file of kept) meter.reused(file)
  const copied = await watch.time('log', () =>
    copyNewLog(run, { base, plan }, { syncs: update.syncs, pathOf: update.pathOfNew }),
  )
  options.onEvent({ type: 'log.ended', lsn: plan.endLsn, segments: copied.map(({ name }) => name) })
  if (options.digest) {
    const keptLogs = kept.filter(({ name }) => name.startsWith('log/'))
    await takeOver(run, keptLogs, { from: folder, to: update.folder, syncs: update.syncs })
  }
  const copy = {
    checkpoint,
    tablesDirectory: join(folder, 'checkpoint/tables'),
    logDirectory: join(update.folder, 'log'),
    scratch: join(update.folder, 'scratch'),
  }
  const digest = await digestOf(run, copy, plan.endLsn)
  return { checkpoint, files: [...kept, ...copied], log, sealed, digest, tries: 1 }
}

/**
 * Refuses to build on a backup that has lost a file. Their content is for `verifyBackup`, as it reads all of it; an update must not cost what a
 * backup holds.
 */
async function requireFiles(folder: string, manifest: BackupManifest, fileSystem: FileSystem): Promise<void> {
  const there = new Set<string>()
  for (const prefix of ['', 'checkpoint/', 'checkpoint/tables/', 'log/'])
    for (const name of await fileSystem.list(join(folder, prefix))) there.add(`${prefix}${name}`)
  const lost = manifest.files.find(({ name }) => !there.has(name))
  if (lost !== undefined)
    throw damagedBase(folder, { file: lost.name, bytes: undefined, expectedBytes: lost.bytes })
}
