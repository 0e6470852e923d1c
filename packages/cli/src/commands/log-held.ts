// What of a log waits for each archive: how much of it, and since when.
import { type Confirmation, readLog, type SegmentSummary } from '@timberline/wal'

/** What an archive has, and what is kept for it. */
export interface HeldFor extends Confirmation {
  /** Sealed segments that nothing but archives needs any more, and this one lacks. */
  readonly heldSegments: number
  readonly heldBytes: number
  /** Records of the log that it has not confirmed. */
  readonly lackingRecords: number
  /** When the oldest of them was committed; `null` when it has them all. */
  readonly oldestLackingAtUs: number | null
  /** The age of that, in seconds; 0 when it has them all. */
  readonly oldestLackingSeconds: number
}

/** A log as `stat` has read it. */
export interface HeldLog {
  readonly directory: string
  readonly timeline: number
  readonly segments: readonly SegmentSummary[]
  /** The first segment that the home itself needs; 0 without a checkpoint. */
  readonly neededFrom: number
  readonly nowMs: number
}

/** Tells what is held for an archive. */
export async function heldFor(log: HeldLog, confirmation: Confirmation): Promise<HeldFor> {
  const { segments, timeline, neededFrom, nowMs } = log
  // The word of an archive about another timeline says nothing of this one.
  const confirmed = confirmation.timeline === timeline ? confirmation : { segmentNumber: 0, lsn: 0 }
  const held = segments.filter(
    ({ header }) => header.segmentNumber > confirmed.segmentNumber && header.segmentNumber < neededFrom,
  )
  // What was released before it was archived is in no log, and so not held.
  const firstLsn = Math.max(confirmed.lsn + 1, segments[0]?.firstLsn ?? 1)
  const lackingRecords = Math.max(0, (segments.at(-1)?.lastLsn ?? 0) - firstLsn + 1)
  const oldestLackingAtUs = lackingRecords === 0 ? null : await committedAt(log, firstLsn)
  return {
    ...confirmation,
    heldSegments: held.length,
    heldBytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
    lackingRecords,
    oldestLackingAtUs,
    oldestLackingSeconds:
      oldestLackingAtUs === null ? 0 : Math.max(0, nowMs * 1000 - oldestLackingAtUs) / 1e6,
  }
}

/** `null` when the record went while it was looked for. */
async function committedAt({ directory, segments }: HeldLog, lsn: number): Promise<number | null> {
  // A seal says it for the first record; only one in the middle has to be read.
  const whole = segments.find(
    (segment) => segment.firstLsn === lsn && segment.firstCommittedAtUs !== undefined,
  )
  if (whole?.firstCommittedAtUs !== undefined) return whole.firstCommittedAtUs
  for await (const [record] of readLog({ directory, fromLsn: lsn, throughLsn: lsn })) {
    if (record !== undefined) return record.committedAtUs
  }
  return null
}
