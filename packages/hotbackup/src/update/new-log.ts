/** The log that an update adds to a backup: what it is, and its copy. */
import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import { segmentName } from '@timberline/wal'
import type { SegmentSummary } from '@timberline/wal'
import type { BackupRun } from '../backup-run.ts'
import { hotbackupError } from '../errors.ts'
import { listLiveSegments, madeDurable, refuseBulkLoad } from '../log-copy.ts'
import type { DurableLog } from '../log-copy.ts'
import type { SealedLog } from '../owner.ts'
import { copySegment } from '../sink/segment-copy.ts'
import type { SyncQueue } from '@timberline/wal'
import { diverged, planUpdate } from './update-plan.ts'
import type { UpdateBase, UpdatePlan } from './update-plan.ts'

/** What an update has found to do. */
export interface NewLog {
  readonly base: UpdateBase
  readonly plan: UpdatePlan
  /** The end of the log, durable. */
  readonly log: DurableLog
  readonly sealed: SealedLog | undefined
  /** Files of the base that stay as they are. */
  readonly kept: readonly BackupFile[]
}

/** The log of the home as it was when an update began. */
export interface SealedSegments {
  readonly sealed: SealedLog | undefined
  readonly segments: readonly SegmentSummary[]
}

/** What an update decides by. */
export interface UpdateLogs {
  readonly base: UpdateBase
  readonly live: SealedSegments
}

/** Has the log of the home sealed, and lists it. */
export async function sealedLog({ options, layout, owner }: BackupRun): Promise<SealedSegments> {
  const sealed = await owner?.seal()
  options.onEvent({ type: 'log.begun' })
  return { sealed, segments: await listLiveSegments(layout.logDirectory, options.fileSystem) }
}

/**
 * Decides what an update copies, and makes its end durable.
 *
 * @throws HOTBACKUP_UPDATE_GAP, HOTBACKUP_UPDATE_DIVERGED, HOTBACKUP_BULK_LOAD
 */
export async function planNewLog(run: BackupRun, { base, live }: UpdateLogs): Promise<NewLog> {
  const { options, layout } = run
  const { fileSystem } = options
  const plan = planUpdate(base, live.segments)
  refuseBulkLoad(plan.copied, base.checkpoint.lsn)
  const { endLsn } = plan
  const durable = await madeDurable(plan.copied, { endLsn, directory: layout.logDirectory, fileSystem })
  const endCommittedAtUs = durable.endCommittedAtUs ?? base.manifest.endCommittedAtUs
  const keptLogs = new Set(plan.kept.map(nameOf))
  const kept = base.manifest.files.filter((file) => !file.name.startsWith('log/') || keptLogs.has(file.name))
  return { base, plan, log: { ...durable, endCommittedAtUs }, sealed: live.sealed, kept }
}

/** Copies segments of the home, each proved on the way: that it is whole, continues the one before it, and ends where it was listed. */
export async function copyNewLog(
  run: BackupRun,
  { base, plan }: { readonly base: UpdateBase; readonly plan: UpdatePlan },
  to: { readonly syncs: SyncQueue; readonly pathOf: (name: string) => string },
): Promise<readonly BackupFile[]> {
  const { layout, meter } = run
  const segments = [...plan.kept, ...plan.copied]
  meter.expect(plan.copied)
  const files: BackupFile[] = []
  for (const segment of plan.copied) {
    const name = nameOf(segment)
    const older = base.manifest.files.find((file) => file.name === name)
    const target = { path: to.pathOf(name), syncs: to.syncs, prefixBytes: older?.bytes }
    const what = {
      range: {
        path: join(layout.logDirectory, segmentName(segment.header.segmentNumber)),
        bytes: segment.bytes,
      },
      expected: { after: segments[segments.indexOf(segment) - 1], last: segment === segments.at(-1) },
    }
    const { bytes, sha256, prefixSha256, summary } = await copySegment(what, target, meter.context)
    if (older !== undefined && prefixSha256 !== older.sha256) throw diverged(base.folder, { segment: name })
    if (summary.lastLsn !== segment.lastLsn) throw endsElsewhere(segment, summary)
    const file = { name, bytes, sha256 }
    files.push(file)
    meter.copied(file)
  }
  return files
}

/** The name of a segment in a set. */
export function nameOf({ header }: SegmentSummary): string {
  return `log/${segmentName(header.segmentNumber)}`
}

function endsElsewhere(segment: SegmentSummary, copy: SegmentSummary): Error {
  return hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the copied log ends before the log that was copied', {
    details: { segment: nameOf(segment), endLsn: copy.lastLsn, expectedEndLsn: segment.lastLsn },
  })
}
