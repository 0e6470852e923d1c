// How one home succeeds another: take the archive from whoever ships into it, settle which records count, then end the timeline. The
// journal's next free name decides against the old shipper and against everybody else who would succeed it.
import { invariant } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import type { PieceRef, TimelineEnd } from '../catalogue/catalogue.ts'
import { type Claimant, claimReign } from './reign.ts'

/** Who succeeds, and on which timeline. */
export interface Succession extends Claimant {
  readonly timeline: number
}

/**
 * Takes a timeline over: from here on no other owner can archive anything on it, and what it holds is settled. A shipper that was
 * told that its records are archived has put them before; one that was not, finds the claim. Resolves with the epoch. Safe to repeat
 * with the same `ownerId`, also after a crash.
 *
 * @throws ARCHIVE_TIMELINE_ENDED when another home has succeeded already, ARCHIVE_FENCED when another owner came in between
 */
export async function takeOverTimeline(archive: Archive, succession: Succession): Promise<number> {
  const { timeline, ...claimant } = succession
  const { epoch } = await claimReign(archive, claimant, timeline)
  // After the claim: what stands now was put before it, or will not count.
  const listed = await archive.listPieces(timeline)
  await archive.journal.append((fold) =>
    fold.owner?.epoch === epoch && fold.owner.adopted !== undefined
      ? undefined
      : { type: 'owner.adopted', epoch, ...endOf(fold, timeline, listed) },
  )
  return epoch
}

/**
 * Ends a timeline after record `lsn` and begins its successor, once and for all. Safe to repeat.
 *
 * @throws ARCHIVE_FENCED when another owner came in between: nothing has ended then
 */
export async function endTimeline(
  archive: Archive,
  end: { readonly epoch: number; readonly ownerId: string; readonly timeline: number; readonly lsn: number },
): Promise<TimelineEnd> {
  const { epoch, ownerId, timeline, lsn } = end
  await archive.journal.append((fold) =>
    fold.timeline(timeline)?.ended?.ownerId === ownerId
      ? undefined
      : { type: 'timeline.ended', epoch, timeline, lsn, successor: fold.newestTimeline + 1 },
  )
  const ended = archive.journal.fold.timeline(timeline)?.ended
  invariant(ended !== undefined, 'a timeline that was ended has an end')
  return ended
}

/** The last piece that counts; where there is none, the place after the last whole segment. */
function endOf(
  fold: CatalogueFold,
  timeline: number,
  listed: readonly PieceRef[],
): { segmentNumber: number; endPosition: number } {
  const last = fold.countedPieces(listed).at(-1)
  const archived = Math.max(
    fold.segmentsOf(timeline).at(-1)?.segmentNumber ?? 0,
    fold.retired.newestSegment(timeline),
  )
  if (last === undefined || last.segmentNumber <= archived)
    return { segmentNumber: archived + 1, endPosition: 0 }
  return { segmentNumber: last.segmentNumber, endPosition: last.endPosition }
}
