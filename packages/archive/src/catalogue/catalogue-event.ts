// FORMAT.md#journal
import * as v from 'valibot'
import type { BackupRef, DeclinedDelta, DeltaRef, MarkRef, SegmentRef } from './catalogue.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../objects/checked-json.ts'
import { RECIPIENTS_COUNT_MAX } from '../objects/keyring.ts'
import { archiveError } from '../errors.ts'
import {
  decisionSchema,
  promiseSchema,
  proofSchema,
  type RecoveryProof,
  type RetentionDecision,
  type RetentionPromise,
} from './retention-record.ts'
import {
  backupKindSchema,
  byteCountSchema,
  environmentIdSchema,
  epochSchema,
  lsnSchema,
  segmentNumberSchema,
  sha256Schema,
  timelineSchema,
  timeSchema,
} from './schemas.ts'

const checksum = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0xffffffff))
const label = v.pipe(v.string(), v.maxLength(64))
const recipient = v.pipe(v.string(), v.regex(/^age1[02-9ac-hj-np-z]{58}$/))
const markName = v.pipe(v.string(), v.maxLength(65_536))

const eventSchema = v.variant('type', [
  v.object({
    type: v.literal('timeline.begun'),
    timeline: timelineSchema,
    parent: v.optional(timelineSchema),
    forkLsn: v.optional(lsnSchema),
  }),
  v.object({
    type: v.literal('timeline.ended'),
    epoch: epochSchema,
    timeline: timelineSchema,
    lsn: lsnSchema,
    successor: timelineSchema,
  }),
  v.object({
    type: v.literal('owner.claimed'),
    epoch: epochSchema,
    ownerId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
    description: v.pipe(v.string(), v.maxLength(1024)),
    timeline: timelineSchema,
  }),
  v.object({
    type: v.literal('owner.adopted'),
    epoch: epochSchema,
    segmentNumber: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    endPosition: byteCountSchema,
  }),
  v.object({
    type: v.literal('segment.archived'),
    epoch: epochSchema,
    segment: v.object({
      timeline: timelineSchema,
      segmentNumber: segmentNumberSchema,
      firstLsn: lsnSchema,
      lastLsn: lsnSchema,
      firstCommittedAtUs: timeSchema,
      lastCommittedAtUs: timeSchema,
      bytes: byteCountSchema,
      sha256: sha256Schema,
      storedBytes: byteCountSchema,
      headerChecksum: checksum,
      sealChecksum: checksum,
      marks: v.array(v.object({ name: markName, lsn: lsnSchema, committedAtUs: timeSchema })),
      name: v.string(),
    }),
  }),
  v.object({
    type: v.literal('mark.noted'),
    epoch: epochSchema,
    mark: v.object({ timeline: timelineSchema, name: markName, lsn: lsnSchema, committedAtUs: timeSchema }),
  }),
  v.object({
    type: v.literal('backup.added'),
    backup: v.object({
      label,
      timeline: timelineSchema,
      kind: backupKindSchema,
      references: v.optional(v.pipe(v.array(label), v.minLength(1))),
      lsn: lsnSchema,
      committedAtUs: timeSchema,
      beginLsn: lsnSchema,
      endLsn: lsnSchema,
      endCommittedAtUs: timeSchema,
      bytes: byteCountSchema,
      name: v.string(),
      manifestSha256: sha256Schema,
    }),
  }),
  v.object({ type: v.literal('promise.made'), promise: promiseSchema }),
  v.object({ type: v.literal('retention.decided'), decision: decisionSchema }),
  v.object({
    type: v.literal('retention.finished'),
    throughSequence: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
  v.object({ type: v.literal('recovery.proved'), proof: proofSchema }),
  v.object({
    type: v.literal('recipients.set'),
    // Never none: an archive that is encrypted does not become a clear one.
    recipients: v.pipe(v.array(recipient), v.minLength(1), v.maxLength(RECIPIENTS_COUNT_MAX)),
  }),
  v.object({
    type: v.literal('delta.added'),
    delta: v.object({
      timeline: timelineSchema,
      firstSegmentNumber: segmentNumberSchema,
      lastSegmentNumber: segmentNumberSchema,
      firstLsn: lsnSchema,
      lastLsn: lsnSchema,
      lastCommittedAtUs: timeSchema,
      entries: byteCountSchema,
      bytes: byteCountSchema,
      sha256: sha256Schema,
      storedBytes: byteCountSchema,
      name: v.string(),
    }),
  }),
  v.object({
    type: v.literal('delta.declined'),
    declined: v.object({
      timeline: timelineSchema,
      firstLsn: lsnSchema,
      lastLsn: lsnSchema,
      reason: v.picklist(['size', 'bulk-load']),
    }),
  }),
  v.object({ type: v.literal('delta.removed'), name: v.string() }),
])

const entrySchema = v.object({
  format: v.literal(1),
  sequence: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  environmentId: environmentIdSchema,
  writerId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  atUs: timeSchema,
  event: eventSchema,
})

/** A fact about the archive, in the past tense; the catalogue is the fold of all of them. */
export type CatalogueEvent =
  | {
      readonly type: 'timeline.begun'
      readonly timeline: number
      readonly parent?: number | undefined
      readonly forkLsn?: number | undefined
    }
  | {
      readonly type: 'timeline.ended'
      readonly epoch: number
      readonly timeline: number
      readonly lsn: number
      readonly successor: number
    }
  | {
      readonly type: 'owner.claimed'
      readonly epoch: number
      readonly ownerId: string
      readonly description: string
      readonly timeline: number
    }
  | {
      readonly type: 'owner.adopted'
      readonly epoch: number
      readonly segmentNumber: number
      readonly endPosition: number
    }
  | { readonly type: 'segment.archived'; readonly epoch: number; readonly segment: SegmentRef }
  | { readonly type: 'mark.noted'; readonly epoch: number; readonly mark: MarkRef }
  | { readonly type: 'backup.added'; readonly backup: BackupRef }
  | { readonly type: 'promise.made'; readonly promise: RetentionPromise }
  | { readonly type: 'retention.decided'; readonly decision: RetentionDecision }
  | { readonly type: 'retention.finished'; readonly throughSequence: number }
  | { readonly type: 'recovery.proved'; readonly proof: RecoveryProof }
  | { readonly type: 'recipients.set'; readonly recipients: readonly string[] }
  | { readonly type: 'delta.added'; readonly delta: DeltaRef }
  | { readonly type: 'delta.declined'; readonly declined: DeclinedDelta }
  | { readonly type: 'delta.removed'; readonly name: string }

/** One object of the journal. */
export interface JournalEntry {
  readonly format: 1
  /** From 1, without a hole: its create-only name is what orders events and fences owners. */
  readonly sequence: number
  readonly environmentId: string
  /** Random for each writer: two who say the same at the same time must not both be told that they were first. */
  readonly writerId: string
  readonly atUs: number
  readonly event: CatalogueEvent
}

/** An entry as its object holds it. */
export function encodeJournalEntry(entry: JournalEntry): Buffer {
  return encodeCheckedJson({ ...entry })
}

/** @throws ARCHIVE_JOURNAL_DAMAGED when the content is not the entry with this sequence number and environment */
export function decodeJournalEntry(
  content: Uint8Array,
  expected: { readonly sequence: number; readonly environmentId: string },
): JournalEntry {
  const details = { sequence: expected.sequence }
  const decoded = decodeCheckedJson(content)
  if (decoded.type === 'damaged') {
    throw archiveError('ARCHIVE_JOURNAL_DAMAGED', `an event is damaged, ${decoded.reason}`, { details })
  }
  const parsed = v.safeParse(entrySchema, decoded.value)
  if (!parsed.success) {
    const reason = v.summarize(parsed.issues)
    throw archiveError('ARCHIVE_JOURNAL_DAMAGED', `an event is unknown, ${reason}`, { details })
  }
  const { sequence, environmentId } = parsed.output
  if (sequence === expected.sequence && environmentId === expected.environmentId) return parsed.output
  throw archiveError('ARCHIVE_JOURNAL_DAMAGED', 'an event stands in the place of another', {
    details: { ...details, foundSequence: sequence, foundEnvironmentId: environmentId },
  })
}
