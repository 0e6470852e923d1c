import type { BackupKind } from './backup-manifest.ts'
import type { PartPlace } from '../objects/piece-parts.ts'
import type { RecoveryProof, RetentionPromise } from './retention-record.ts'

/** Who an archive belongs to. */
export interface ArchiveIdentity {
  readonly format: 1
  readonly environmentId: string
  readonly createdAtUs: number
}

/** A timeline and where it left its parent. */
export interface TimelineInfo {
  readonly timeline: number
  readonly parent?: number | undefined
  readonly forkLsn?: number | undefined
  readonly begunAtUs: number
  /** Absent while the timeline goes on. */
  readonly ended?: TimelineEnd | undefined
}

/** The end of a timeline that a promotion decided; nothing is shipped on it any more. */
export interface TimelineEnd {
  /** The last record; the successor shares everything through it. */
  readonly lsn: number
  readonly successor: number
  /** Who promoted: the owner that claimed the timeline for it. */
  readonly ownerId: string
  readonly endedAtUs: number
}

/** A named restore point. */
export interface MarkRef {
  readonly timeline: number
  readonly name: string
  readonly lsn: number
  readonly committedAtUs: number
}

/** An archived segment. */
export interface SegmentRef {
  readonly timeline: number
  readonly segmentNumber: number
  readonly firstLsn: number
  /** `firstLsn - 1` when the segment has no record. */
  readonly lastLsn: number
  /** Of a segment without records: the last commit before it. */
  readonly firstCommittedAtUs: number
  readonly lastCommittedAtUs: number
  /** Of the segment's file. */
  readonly bytes: number
  readonly sha256: string
  /** Of the object. */
  readonly storedBytes: number
  /** Checksum of the segment's header, which seeds all its frames. */
  readonly headerChecksum: number
  /** Checksum of its seal, which the next segment's header repeats. */
  readonly sealChecksum: number
  readonly marks: readonly Omit<MarkRef, 'timeline'>[]
  /** The object. */
  readonly name: string
}

/** An archived range of whole frames of a segment that is not archived as a whole yet. */
export interface PieceRef {
  readonly timeline: number
  readonly segmentNumber: number
  /** Positions in the segment's file; the piece from 0 holds the segment's header. */
  readonly position: number
  readonly endPosition: number
  readonly firstLsn: number
  /** `firstLsn - 1` when the piece has no record. */
  readonly lastLsn: number
  readonly lastCommittedAtUs: number
  /** Owner epoch of the shipper that put it. */
  readonly epoch: number
  readonly name: string
  readonly storedBytes: number
  /** The bundle that holds it, and where; absent when it is an object of its own. */
  readonly within?: PartPlace | undefined
}

/** A backup in the archive. */
export interface BackupRef {
  readonly label: string
  readonly timeline: number
  readonly kind: BackupKind
  /** Labels of other backups whose objects its manifest names, ascending: they stay as long as it does. Absent when none. */
  readonly references?: readonly string[] | undefined
  /** LSN and commit time of the checkpoint that it starts from. */
  readonly lsn: number
  readonly committedAtUs: number
  readonly beginLsn: number
  readonly endLsn: number
  readonly endCommittedAtUs: number
  /** Of all files. */
  readonly bytes: number
  /** The manifest's object, and the checksum of its content. */
  readonly name: string
  readonly manifestSha256: string
}

/** The last write of each key in a run of archived segments, as one object: FORMAT.md#deltas. */
export interface DeltaRef {
  readonly timeline: number
  /** The run, both ends included. */
  readonly firstSegmentNumber: number
  readonly lastSegmentNumber: number
  /** Applied to the state at any LSN from `firstLsn - 1` to `lastLsn`, it gives the state at `lastLsn`. */
  readonly firstLsn: number
  readonly lastLsn: number
  readonly lastCommittedAtUs: number
  /** Keys written or removed. */
  readonly entries: number
  /** Of the content. */
  readonly bytes: number
  readonly sha256: string
  /** Of the object. */
  readonly storedBytes: number
  /** The object. */
  readonly name: string
}

/** A run of segments for which no delta is worth making, so that nobody reads them again to find out. */
export interface DeclinedDelta {
  readonly timeline: number
  readonly firstLsn: number
  readonly lastLsn: number
  /** `size`: it would hardly be smaller than the log. `bulk-load`: no replay leads across the run. */
  readonly reason: 'size' | 'bulk-load'
}

/** A shipper's reign over the archive. */
export interface OwnerRef {
  readonly epoch: number
  /** Random; tells two shippers of one name apart. */
  readonly ownerId: string
  /** Name, host and process, for people. */
  readonly description: string
  readonly timeline: number
  readonly claimedAtUs: number
  /** Up to where the owner took over pieces of the owners before it; absent between its claim and its survey. */
  readonly adopted?: { readonly segmentNumber: number; readonly endPosition: number } | undefined
}

/** All that an archive holds, as of one moment. */
export interface Catalogue {
  readonly identity: ArchiveIdentity
  /** Events folded; the sequence number of the last one. */
  readonly sequence: number
  /** Ascending by number. */
  readonly timelines: readonly TimelineInfo[]
  /** Ascending by timeline and number. */
  readonly segments: readonly SegmentRef[]
  /** Pieces that count and are not replaced by a segment; ascending by timeline, segment and position. */
  readonly pieces: readonly PieceRef[]
  /** Ascending by timeline, last and first LSN; each of segments that are here. */
  readonly deltas: readonly DeltaRef[]
  /** Runs without a delta, on purpose. */
  readonly declinedDeltas: readonly DeclinedDelta[]
  /** Ascending by label. */
  readonly backups: readonly BackupRef[]
  /** Of segments and pieces; ascending by timeline and LSN, each once. */
  readonly marks: readonly MarkRef[]
  /** The shipper that may archive; absent when none ever did. */
  readonly owner?: OwnerRef | undefined
  /** What retention keeps; absent when nothing was promised. */
  readonly promise?: RetentionPromise | undefined
  /** The newest rehearsed recovery; absent when none was told of. */
  readonly proof?: RecoveryProof | undefined
  /** Timelines that retention let go as a whole, ascending; they remain as parents of others. */
  readonly retiredTimelines?: readonly number[] | undefined
  /** Whom new objects are encrypted to; absent when the archive is in the clear. */
  readonly recipients?: readonly string[] | undefined
}
