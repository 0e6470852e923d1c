/**
 * What an update has to do, from the finished backup and the log of the home: which segments stay, and which are copied. The decision is pure.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { logEndOf } from '@timberline/archive'
import type { BackupManifest } from '@timberline/archive'
import { decodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest } from '@timberline/engine'
import { listSegments, readFileWhole, segmentName } from '@timberline/wal'
import type { SegmentSummary } from '@timberline/wal'
import type { BackupRun } from '../backup-run.ts'
import { planCopy } from '../copy-plan.ts'
import { hotbackupError } from '../errors.ts'
import { plannedSegment } from '../log-copy.ts'

/** A finished backup to be continued. */
export interface UpdateBase {
  readonly folder: string
  readonly manifest: BackupManifest
  readonly checkpoint: CheckpointManifest
  /** Its log, ascending. */
  readonly segments: readonly SegmentSummary[]
  readonly last: SegmentSummary
}

/** What happens to each segment of the new set. */
export interface UpdatePlan {
  /** Segments of the base that are taken over as they are. */
  readonly kept: readonly SegmentSummary[]
  /** Segments of the home that are copied; the first may continue the base's last. */
  readonly copied: readonly SegmentSummary[]
  readonly endLsn: number
}

/**
 * The backup in the target, if it can be updated.
 *
 * @throws HOTBACKUP_UPDATE_MISSING, HOTBACKUP_UPDATE_DIVERGED
 */
export function updatable(
  run: BackupRun,
  target: string,
  manifest: BackupManifest | undefined,
): BackupManifest {
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
export function planUpdate(base: UpdateBase, live: readonly SegmentSummary[]): UpdatePlan {
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

/**
 * Reads the backup that is to be updated. Its log is listed by headers and seals, and ends where its manifest says.
 *
 * @throws HOTBACKUP_COPY_DAMAGED
 */
export async function readBase(
  folder: string,
  manifest: BackupManifest,
  run: BackupRun,
): Promise<UpdateBase> {
  const { fileSystem } = run.options
  const checkpointFile = manifest.files.find((file) => /^checkpoint\/\d+\.json$/.test(file.name))
  const segments = await listSegments(join(folder, 'log'), fileSystem, { through: logEndOf(manifest) })
  const last = segments[segments.length - 1]
  if (checkpointFile === undefined || last === undefined) throw damagedBase(folder, {})
  const content = await readFileWhole(join(folder, checkpointFile.name), fileSystem, checkpointFile.bytes)
  const sha256 = createHash('sha256').update(content).digest('hex')
  if (sha256 !== checkpointFile.sha256) throw damagedBase(folder, { file: checkpointFile.name, sha256 })
  const checkpoint = decodeCheckpoint(content, join(folder, checkpointFile.name))
  return { folder, manifest, checkpoint, segments, last }
}

function updateGap(base: UpdateBase, details: Record<string, string | number>): Error {
  return hotbackupError('HOTBACKUP_UPDATE_GAP', 'the log has gone on past the end of the backup', {
    details: { target: base.folder, backupEndLsn: base.manifest.endLsn, ...details },
  })
}

/** The error for a home and a backup that do not belong together. */
export function diverged(target: string, details: Record<string, string | number>): Error {
  return hotbackupError('HOTBACKUP_UPDATE_DIVERGED', 'the home and the backup have different histories', {
    details: { target, ...details },
  })
}

/** The error for a backup that cannot be built on. */
export function damagedBase(target: string, details: Record<string, string | number | undefined>): Error {
  return hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the backup to be updated is damaged', {
    details: { target, ...details },
  })
}
