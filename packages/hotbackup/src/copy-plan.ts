/**
 * Which log segments a backup needs, and whether they lead without a gap from the checkpoint to the end. Pure: from
 * descriptions of segments to a decision, so that every wrong order of copying can be put to it in a test.
 */

/** What the plan must know of a segment; a `SegmentSummary` of the log package in short. */
export interface PlannedSegment {
  readonly segmentNumber: number
  readonly environmentId: string
  readonly timeline: number
  readonly firstLsn: number
  /** `firstLsn - 1` when it holds no record. */
  readonly lastLsn: number
  readonly sealed: boolean
}

/** What the plan must know of a checkpoint. */
export interface PlannedCheckpoint {
  readonly environmentId: string
  readonly timeline: number
  readonly lsn: number
  /** The first segment needed to go on from `lsn`. */
  readonly segmentNumber: number
}

/** The segments to copy, or the one reason why there is no usable backup. */
export type CopyPlan =
  | { readonly type: 'whole'; readonly segments: readonly PlannedSegment[]; readonly endLsn: number }
  | { readonly type: 'gap'; readonly reason: string; readonly segmentNumber: number; readonly lsn: number }

/** Chooses the segments from the checkpoint on and proves that they are contiguous in number, LSN and identity. */
export function planCopy(checkpoint: PlannedCheckpoint, listed: readonly PlannedSegment[]): CopyPlan {
  const segments = listed
    .filter((segment) => segment.segmentNumber >= checkpoint.segmentNumber)
    .toSorted((a, b) => a.segmentNumber - b.segmentNumber)
  const first = segments[0]
  if (first === undefined)
    return gap('no segment at or after the checkpoint', checkpoint.segmentNumber, checkpoint.lsn)
  if (first.segmentNumber !== checkpoint.segmentNumber) {
    return gap('the first segment after the checkpoint is missing', checkpoint.segmentNumber, checkpoint.lsn)
  }
  if (first.firstLsn > checkpoint.lsn + 1) {
    return gap('the log begins after the checkpoint', first.segmentNumber, checkpoint.lsn + 1)
  }
  const broken = brokenLink(checkpoint, segments)
  if (broken !== undefined) return broken
  const endLsn = segments[segments.length - 1]?.lastLsn ?? 0
  if (endLsn < checkpoint.lsn) {
    // What copying the logs before the data leads to: the data is ahead of the log that should complete it.
    return gap('the log ends before the checkpoint', checkpoint.segmentNumber, endLsn)
  }
  return { type: 'whole', segments, endLsn }
}

function brokenLink(
  checkpoint: PlannedCheckpoint,
  segments: readonly PlannedSegment[],
): CopyPlan | undefined {
  for (const [index, segment] of segments.entries()) {
    if (segment.environmentId !== checkpoint.environmentId) {
      return gap('a segment of another environment', segment.segmentNumber, segment.firstLsn)
    }
    if (segment.timeline !== checkpoint.timeline) {
      return gap('a segment of another timeline', segment.segmentNumber, segment.firstLsn)
    }
    const before = segments[index - 1]
    if (before === undefined) continue
    if (segment.segmentNumber !== before.segmentNumber + 1) {
      return gap('a segment is missing', before.segmentNumber + 1, before.lastLsn + 1)
    }
    if (!before.sealed)
      return gap('a segment that has a successor is not sealed', before.segmentNumber, before.lastLsn)
    if (segment.firstLsn !== before.lastLsn + 1) {
      return gap('records are missing between two segments', segment.segmentNumber, before.lastLsn + 1)
    }
  }
  return undefined
}

function gap(reason: string, segmentNumber: number, lsn: number): CopyPlan {
  return { type: 'gap', reason, segmentNumber, lsn }
}
