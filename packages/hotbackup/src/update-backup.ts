/**
 * An update adds the log written since to a finished backup, without copying data again. The
 * old set is never changed: a new folder beside it takes over its files by hard links, gets the new log, and replaces it
 * as a full backup would. So the old backup lives until the new one stands.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { decodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest } from '@timberline/engine'
import { listSegments, placeHold, readFileWhole, segmentName } from '@timberline/wal'
import type { SegmentSummary } from '@timberline/wal'
import { completeRun, digestOf } from './backup-run.ts'
import type { BackupRun, BackupSize, CopiedSet } from './backup-run.ts'
import { bringForward } from './bring-forward.ts'
import { planCopy } from './copy-plan.ts'
import { hotbackupError, systemCodeOf } from './errors.ts'
import { copyRange } from './file-source.ts'
import { beginFolderSink, inspectTarget, readTarget } from './folder-sink.ts'
import type { FolderSink } from './folder-sink.ts'
import { proveLog } from './full-backup.ts'
import { listLiveSegments, madeDurable, plannedSegment, refuseBulkLoad } from './log-copy.ts'
import type { DurableLog } from './log-copy.ts'
import type { BackupResult } from './options.ts'
import { backupLabel } from './sink.ts'
import { removeDeadStaging } from './staging.ts'
import { foldersOf, refuseOverlap } from './target-check.ts'
import { inParallel } from './workers.ts'

/** A finished backup to be continued. */
interface Base {
  readonly folder: string
  readonly manifest: BackupManifest
  readonly checkpoint: CheckpointManifest
  /** Its log, ascending. */
  readonly segments: readonly SegmentSummary[]
  readonly last: SegmentSummary
}

/** What happens to each segment of the new set. */
interface UpdatePlan {
  /** Segments of the base that are taken over as they are. */
  readonly kept: readonly SegmentSummary[]
  /** Segments of the home that are copied; the first may continue the base's last. */
  readonly copied: readonly SegmentSummary[]
  readonly endLsn: number
}

const LINKS_AT_A_TIME = 8

/** Makes an updated backup take the place of the one in the target. */
export async function updateBackup(run: BackupRun, target: string): Promise<BackupResult> {
  const { options, layout } = run
  const { fileSystem } = options
  await refuseOverlap(target, foldersOf(layout))
  const manifest = updatable(run, target, await inspectTarget(target, run.identity, options))
  const hold = await placeHold(layout.logDirectory, { purpose: 'hotbackup update', fileSystem })
  try {
    await removeDeadStaging({ ...options, layout })
    const base = await readBase(target, manifest, run)
    const sink = await beginFolderSink({
      target,
      label: backupLabel(run.startedAtMs, 'full'),
      fileSystem,
    })
    try {
      return await completeRun(run, sink, await updatedSet(run, base, sink))
    } catch (error) {
      await sink.abandon()
      throw error
    }
  } finally {
    await hold.release().catch((error: unknown) => {
      options.onEvent({ type: 'leftover.kept', path: `hold ${hold.id}`, reason: String(error) })
    })
  }
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
  const copiedNames = new Set(copied.map(({ header }) => `log/${segmentName(header.segmentNumber)}`))
  const kept = manifest.files.filter(({ name }) => !copiedNames.has(name))
  const sum = (of: readonly { readonly bytes: number }[]): number =>
    of.reduce((all, { bytes }) => all + bytes, 0)
  return { dataBytes: 0, logBytes: sum(files), reusedBytes: sum(kept), files }
}

function updatable(run: BackupRun, target: string, manifest: BackupManifest | undefined): BackupManifest {
  if (manifest === undefined) {
    throw hotbackupError('HOTBACKUP_UPDATE_MISSING', 'the target holds no backup to update', {
      details: { target },
    })
  }
  if (manifest.timeline !== run.identity.timeline) {
    throw diverged(target, { timeline: run.identity.timeline, backupTimeline: manifest.timeline })
  }
  return manifest
}

/**
 * Decides which segments are taken over and which are copied. Pure.
 *
 * @throws HOTBACKUP_UPDATE_GAP, HOTBACKUP_UPDATE_DIVERGED
 */
function planUpdate(base: Base, live: readonly SegmentSummary[]): UpdatePlan {
  const lastNumber = base.last.header.segmentNumber
  const continued = live.find((segment) => segment.header.segmentNumber === lastNumber)
  if (continued === undefined && !base.last.sealed) {
    throw updateGap(base, { segment: segmentName(lastNumber), lsn: base.last.lastLsn + 1 })
  }
  const same = continued === undefined || continued.header.checksum === base.last.header.checksum
  if (!same || (continued !== undefined && continued.bytes < base.last.bytes)) {
    throw diverged(base.folder, { segment: segmentName(lastNumber) })
  }
  const grown = continued !== undefined && continued.bytes > base.last.bytes ? continued : undefined
  const kept = grown === undefined ? base.segments : base.segments.slice(0, -1)
  const copied = live.filter((segment) => segment === grown || segment.header.segmentNumber > lastNumber)
  const plan = planCopy(base.checkpoint, [...kept, ...copied].map(plannedSegment))
  if (plan.type === 'whole') return { kept, copied, endLsn: plan.endLsn }
  throw updateGap(base, { segment: segmentName(plan.segmentNumber), lsn: plan.lsn, reason: plan.reason })
}

async function updatedSet(run: BackupRun, base: Base, sink: FolderSink): Promise<CopiedSet> {
  const { options, layout, watch } = run
  const { fileSystem } = options
  const { checkpoint } = base
  const sealed = await run.owner?.seal()
  options.onEvent({ type: 'log.begun' })
  const listed = await listLiveSegments(layout.logDirectory, fileSystem)
  const plan = planUpdate(base, listed)
  refuseBulkLoad(plan.copied, checkpoint.lsn)
  const durable = await madeDurable(plan.copied, {
    endLsn: plan.endLsn,
    directory: layout.logDirectory,
    fileSystem,
  })
  const keptNames = new Set(plan.kept.map((segment) => `log/${segmentName(segment.header.segmentNumber)}`))
  const keptFiles = base.manifest.files.filter(
    (file) => !file.name.startsWith('log/') || keptNames.has(file.name),
  )
  await watch.time('data', () => takeOver(keptFiles, { from: base.folder, sink, run }))
  const copied = await watch.time('log', async () => {
    const files = await copyNewLog(run, { base, copied: plan.copied }, sink)
    await proveLog(checkpoint, durable, { directory: join(sink.folder, 'log'), fileSystem })
    return files
  })
  options.onEvent({ type: 'log.ended', lsn: plan.endLsn, segments: copied.map((file) => file.name) })
  const endCommittedAtUs = durable.endCommittedAtUs ?? base.manifest.endCommittedAtUs
  const log: DurableLog = { ...durable, endCommittedAtUs }
  const files = [...keptFiles, ...copied]
  const { endLsn } = plan
  if (options.recover && checkpoint.lsn < endLsn) {
    const last = plan.copied.at(-1) ?? base.last
    const lastSegmentNumber = last.header.segmentNumber
    const forwarded = await bringForward(run, { sink, checkpoint, files, endLsn, lastSegmentNumber })
    return { ...forwarded, log, sealed, tries: 1 }
  }
  const copy = {
    checkpoint,
    tablesDirectory: join(sink.folder, 'checkpoint/tables'),
    logDirectory: join(sink.folder, 'log'),
    scratch: join(sink.folder, 'scratch'),
  }
  return { checkpoint, files, log, sealed, digest: await digestOf(run, copy, endLsn), tries: 1 }
}

/** Gives the base's files a name in the new set: a link where the file system has links, else a verified copy. */
async function takeOver(
  files: readonly BackupFile[],
  where: { from: string; sink: FolderSink; run: BackupRun },
): Promise<void> {
  const { from, sink, run } = where
  const { fileSystem } = run.options
  await inParallel(files, LINKS_AT_A_TIME, async (file) => {
    const source = join(from, file.name)
    const bytes = (await fileSystem.status(source))?.bytes
    if (bytes !== file.bytes) throw damagedBase(from, { file: file.name, bytes, expectedBytes: file.bytes })
    try {
      await fileSystem.link(source, join(sink.folder, file.name))
      run.meter.reused(file)
    } catch (error) {
      if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(systemCodeOf(error) ?? '')) throw error
      const copy = await sink.copy({ path: source, bytes }, file.name, run.meter.context)
      if (copy.sha256 !== file.sha256) throw damagedBase(from, { file: file.name, sha256: copy.sha256 })
    }
  })
}

async function copyNewLog(
  run: BackupRun,
  plan: { base: Base; copied: readonly SegmentSummary[] },
  sink: FolderSink,
): Promise<readonly BackupFile[]> {
  const { layout, meter } = run
  const { base, copied } = plan
  meter.expect(copied)
  const files: BackupFile[] = []
  for (const segment of copied) {
    const name = segmentName(segment.header.segmentNumber)
    const range = { path: join(layout.logDirectory, name), bytes: segment.bytes }
    const older = base.manifest.files.find((file) => file.name === `log/${name}`)
    const copy = { path: join(sink.folder, 'log', name), syncs: sink.syncs, prefixBytes: older?.bytes }
    const { bytes, sha256, prefixSha256 } = await copyRange(range, copy, meter.context)
    if (older !== undefined && prefixSha256 !== older.sha256) throw diverged(base.folder, { segment: name })
    const file = { name: `log/${name}`, bytes, sha256 }
    files.push(file)
    meter.copied(file)
  }
  return files
}

async function readBase(folder: string, manifest: BackupManifest, run: BackupRun): Promise<Base> {
  const { fileSystem } = run.options
  const checkpointFile = manifest.files.find((file) => /^checkpoint\/\d+\.json$/.test(file.name))
  const segments = await listSegments(join(folder, 'log'), fileSystem)
  const last = segments[segments.length - 1]
  if (checkpointFile === undefined || last === undefined) throw damagedBase(folder, {})
  const content = await readFileWhole(join(folder, checkpointFile.name), fileSystem, checkpointFile.bytes)
  const sha256 = createHash('sha256').update(content).digest('hex')
  if (sha256 !== checkpointFile.sha256) throw damagedBase(folder, { file: checkpointFile.name, sha256 })
  const checkpoint = decodeCheckpoint(content, join(folder, checkpointFile.name))
  return { folder, manifest, checkpoint, segments, last }
}

function updateGap(base: Base, details: Record<string, string | number>): Error {
  return hotbackupError('HOTBACKUP_UPDATE_GAP', 'the log has gone on past the end of the backup', {
    details: { target: base.folder, backupEndLsn: base.manifest.endLsn, ...details },
  })
}

function diverged(target: string, details: Record<string, string | number>): Error {
  return hotbackupError('HOTBACKUP_UPDATE_DIVERGED', 'the home and the backup have different histories', {
    details: { target, ...details },
  })
}

function damagedBase(target: string, details: Record<string, string | number | undefined>): Error {
  return hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the backup to be updated is damaged', {
    details: { target, ...details },
  })
}
