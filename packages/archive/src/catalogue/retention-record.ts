// What the journal says of the promise and of what was let go for it; the planning itself is the recovery package's, which
// knows what can be recovered from what.
import * as v from 'valibot'
import { byteCountSchema, lsnSchema, segmentNumberSchema, timelineSchema, timeSchema } from './schemas.ts'

/** Of each period of `everyUs`, counted from the epoch, one backup is kept while it is younger than `spanUs`; microseconds. */
export interface PromisedBases {
  readonly everyUs: number
  readonly spanUs: number
}

/** What can be recovered as long as the archive is kept by its own tools. */
export interface RetentionPromise {
  /** Every instant of so many microseconds before now. */
  readonly instantsUs: number
  readonly bases: readonly PromisedBases[]
}

/** Consecutive segments of one timeline, both ends included. */
export interface SegmentRange {
  readonly timeline: number
  readonly fromSegment: number
  readonly throughSegment: number
}

/** What is let go; from the event on it is in no catalogue, whether or not its objects are deleted yet. */
export interface RetentionDecision {
  /** Labels. */
  readonly backups: readonly string[]
  /** Archived segments. */
  readonly segments: readonly SegmentRange[]
  /** Timelines of which all segments and pieces go; nothing is archived on them any more. */
  readonly timelines: readonly number[]
}

/** A recovery that was rehearsed and found right. */
export interface RecoveryProof {
  /** The timeline and the state that were recovered. */
  readonly timeline: number
  readonly lsn: number
  readonly committedAtUs: number
  readonly provedAtUs: number
  /** From the beginning to an open database, in microseconds, and the parts that fetched the backup and replayed. */
  readonly totalUs: number
  readonly restoreUs: number
  readonly replayUs: number
  /** What it moved. */
  readonly baseBytes: number
  readonly logBytes: number
  /** Records replayed, and keys of deltas: what was written on the way. */
  readonly records: number
}

const label = v.pipe(v.string(), v.maxLength(64))
const spanUs = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

export const promiseSchema: v.GenericSchema<unknown, RetentionPromise> = v.object({
  instantsUs: timeSchema,
  bases: v.pipe(v.array(v.object({ everyUs: spanUs, spanUs })), v.maxLength(16)),
})

export const decisionSchema: v.GenericSchema<unknown, RetentionDecision> = v.object({
  backups: v.array(label),
  segments: v.array(
    v.object({
      timeline: timelineSchema,
      fromSegment: segmentNumberSchema,
      throughSegment: segmentNumberSchema,
    }),
  ),
  timelines: v.array(timelineSchema),
})

export const proofSchema: v.GenericSchema<unknown, RecoveryProof> = v.object({
  timeline: timelineSchema,
  lsn: lsnSchema,
  committedAtUs: timeSchema,
  provedAtUs: timeSchema,
  totalUs: timeSchema,
  restoreUs: timeSchema,
  replayUs: timeSchema,
  baseBytes: byteCountSchema,
  logBytes: byteCountSchema,
  records: byteCountSchema,
})
