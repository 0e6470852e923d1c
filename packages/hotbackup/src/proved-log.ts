/**
 * The log of a full backup is proved: read frame by frame, it leads from the checkpoint to the end that was listed. For a folder that happens
 * in the pass that copies it, so that no copy is read twice; an archive and volumes take a log that is proved where it lies.
 */
import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import { inParallel, listSegments, segmentName } from '@timberline/wal'
import type { FileSystem, SegmentSummary } from '@timberline/wal'
import type { CopyMeter } from './copy-meter.ts'
import { planCopy } from './copy-plan.ts'
import type { CopyPlan, PlannedCheckpoint } from './copy-plan.ts'
import { hotbackupError } from './errors.ts'
import { logGap, plannedSegment } from './log-copy.ts'
import type { DurableLog } from './log-copy.ts'
import type { BackupSink } from './sink/sink.ts'

/** Two at a time keep a disk busy; more only take the owner's share of it. */
const FILES_AT_A_TIME = 2

/**
 * Copies the segments of a durable log, each up to its last whole frame, and proves them.
 *
 * @throws HOTBACKUP_COPY_DAMAGED, HOTBACKUP_LOG_GAP; WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
 */
export async function copyProvedLog(
  checkpoint: PlannedCheckpoint,
  log: DurableLog,
  { sink, meter }: { readonly sink: BackupSink; readonly meter: CopyMeter },
): Promise<readonly BackupFile[]> {
  const { directory, segments } = log
  const { context } = meter
  meter.expect(segments)
  const copies = await inParallel(segments, FILES_AT_A_TIME, async (segment, index): Promise<Copy> => {
    const name = segmentName(segment.header.segmentNumber)
    const range = { path: join(directory, name), bytes: segment.bytes }
    const expected = { after: segments[index - 1], last: index === segments.length - 1 }
    const copy =
      sink.copySegment === undefined
        ? { file: await sink.copy(range, `log/${name}`, context) }
        : await sink.copySegment({ range, expected }, `log/${name}`, context)
    meter.copied(copy.file)
    return copy
  })
  const proved = copies.flatMap(({ summary }) => summary ?? [])
  refuseOther(proved, log)
  const read = sink.copySegment === undefined ? await listAgain(log, context.fileSystem) : proved
  refuseShort(planCopy(checkpoint, read.map(plannedSegment)), log)
  return copies.map(({ file }) => file)
}

interface Copy {
  readonly file: BackupFile
  readonly summary?: SegmentSummary
}

function listAgain({ directory }: DurableLog, fileSystem: FileSystem): Promise<readonly SegmentSummary[]> {
  return listSegments(directory, fileSystem, { scan: true })
}

/** Each copy was linked to the one before it as that was listed; so each must be what was listed. */
function refuseOther(proved: readonly SegmentSummary[], { directory, segments }: DurableLog): void {
  const other = proved.find(
    ({ lastLsn, sealChecksum }, index) =>
      lastLsn !== segments[index]?.lastLsn || sealChecksum !== segments[index]?.sealChecksum,
  )
  if (other === undefined) return
  throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the copied log is not the log that was listed', {
    details: { directory, segment: segmentName(other.header.segmentNumber), endLsn: other.lastLsn },
  })
}

function refuseShort(plan: CopyPlan, { directory, endLsn }: DurableLog): void {
  if (plan.type === 'gap') throw logGap(plan, directory)
  if (plan.endLsn >= endLsn) return
  throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the copied log ends before the log that was copied', {
    details: { directory, endLsn: plan.endLsn, expectedEndLsn: endLsn },
  })
}
