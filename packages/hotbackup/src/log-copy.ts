/**
 * The second half of every backup: the log from the checkpoint to what is durable now. Segments are only ever appended
 * to, so the bytes up to the last whole frame can be copied while the owner writes on.
 */
import { join } from 'node:path'
import { isBulkLoadMark } from '@timberline/engine'
import { TimberlineError, listSegments, segmentName } from '@timberline/wal'
import type { FileSystem, SegmentSummary } from '@timberline/wal'
import { planCopy } from './copy-plan.ts'
import type { CopyPlan, PlannedCheckpoint, PlannedSegment } from './copy-plan.ts'
import { hotbackupError } from './errors.ts'
import { linkSegments } from './staging.ts'

const LIST_TRIES_MAX = 5
const LIST_PAUSE_MS = 20

/** The log that completes a checkpoint, as it was durable when it was listed. */
export interface DurableLog {
  /** Where the segments can be read until the pin is released. */
  readonly directory: string
  /** Ascending, contiguous, from the checkpoint's segment on. */
  readonly segments: readonly SegmentSummary[]
  readonly endLsn: number
  /** Commit time of the last record; `undefined` when the log holds none. */
  readonly endCommittedAtUs: number | undefined
}

/** The live log and the folder of links to the segments that were there when the backup began. */
export interface LogPlaces {
  readonly live: string
  readonly staged: string
  readonly fileSystem: FileSystem
}

/**
 * Lists the log anew and makes what was listed durable, so that a backup never holds a commit that the owner could lose.
 *
 * @throws HOTBACKUP_LOG_GAP when it does not lead from the checkpoint to its end
 */
export async function durableLog(checkpoint: PlannedCheckpoint, places: LogPlaces): Promise<DurableLog> {
  const { live, staged, fileSystem } = places
  const listed = await listLiveSegments(live, fileSystem)
  let plan = planCopy(checkpoint, listed.map(plannedSegment))
  if (plan.type === 'whole')
    return madeDurable(chosen(listed, plan), { endLsn: plan.endLsn, directory: live, fileSystem })
  // Somebody removed a segment past the mark: the links made at the beginning still have it.
  await linkSegments(live, staged, fileSystem)
  const linked = await listSegments(staged, fileSystem)
  plan = planCopy(checkpoint, linked.map(plannedSegment))
  if (plan.type === 'whole')
    return madeDurable(chosen(linked, plan), { endLsn: plan.endLsn, directory: staged, fileSystem })
  throw logGap(plan, live)
}

/**
 * Lists a log that its owner may be writing, sealing and reopening at this moment. A frame that is half there, or a folder
 * read while a segment is added, can look like damage; what is real is still there after a pause.
 */
export async function listLiveSegments(
  directory: string,
  fileSystem: FileSystem,
): Promise<readonly SegmentSummary[]> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await listSegments(directory, fileSystem)
    } catch (error) {
      if (tries === LIST_TRIES_MAX || !isPerhapsPassing(error)) throw error
      await new Promise((resolve) => setTimeout(resolve, LIST_PAUSE_MS))
    }
  }
}

function isPerhapsPassing(error: unknown): boolean {
  return error instanceof TimberlineError && (error.kind === 'corruption' || error.kind === 'gap')
}

/** The short description of a segment that plans are made of. */
export function plannedSegment(summary: SegmentSummary): PlannedSegment {
  const { environmentId, timeline, segmentNumber } = summary.header
  const { firstLsn, lastLsn, sealed } = summary
  return { segmentNumber, environmentId, timeline, firstLsn, lastLsn, sealed }
}

/**
 * Refuses a log that data was loaded beside: it does not lead from the checkpoint to its end.
 *
 * @throws HOTBACKUP_BULK_LOAD
 */
export function refuseBulkLoad(segments: readonly SegmentSummary[], afterLsn: number): void {
  const load = segments
    .flatMap(({ marks }) => marks)
    .find((mark) => mark.lsn > afterLsn && isBulkLoadMark(mark))
  if (load === undefined) return
  throw hotbackupError('HOTBACKUP_BULK_LOAD', 'data was loaded beside the log after what was copied', {
    details: { lsn: load.lsn, checkpointLsn: afterLsn },
  })
}

/** The error for a plan that found a gap. */
export function logGap(plan: CopyPlan & { type: 'gap' }, directory: string): Error {
  const { reason, segmentNumber, lsn } = plan
  return hotbackupError('HOTBACKUP_LOG_GAP', `the log cannot complete the data: ${reason}`, {
    details: { directory, segment: segmentName(segmentNumber), lsn },
  })
}

/** Makes the last of the listed segments durable up to where it was listed. */
export async function madeDurable(
  segments: readonly SegmentSummary[],
  where: { endLsn: number; directory: string; fileSystem: FileSystem },
): Promise<DurableLog> {
  const { endLsn, directory, fileSystem } = where
  // A segment that has a successor was synced before that was begun.
  const last = segments[segments.length - 1]
  if (last !== undefined) {
    const handle = await fileSystem.open(join(directory, segmentName(last.header.segmentNumber)), 'read')
    try {
      // Every frame that was listed is durable from here on, whether its owner has come to syncing it or not.
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  const endCommittedAtUs = segments.findLast(
    (each) => each.lastCommittedAtUs !== undefined,
  )?.lastCommittedAtUs
  return { directory, segments, endLsn, endCommittedAtUs }
}

function chosen(
  listed: readonly SegmentSummary[],
  plan: CopyPlan & { type: 'whole' },
): readonly SegmentSummary[] {
  const numbers = new Set(plan.segments.map((segment) => segment.segmentNumber))
  return listed.filter((segment) => numbers.has(segment.header.segmentNumber))
}
