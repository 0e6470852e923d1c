/** A log sequence number: the count of records of an environment up to and including this one; the first is 1. */
export type Lsn = number

/**
 * What a record is for. `entry`: the application's payload; `mark`: the payload is the UTF-8 name of a restore point; `note`:
 * bookkeeping of the log's owner.
 */
export type RecordKind = 'entry' | 'mark' | 'note'

export interface LogRecord {
  readonly lsn: Lsn
  /** Microseconds since 1970; strictly increasing within a log. */
  readonly committedAtUs: number
  readonly kind: RecordKind
  readonly payload: Buffer
}

/** Whose log it is. */
export interface LogIdentity {
  /** 16 bytes as 32 lowercase hexadecimal digits. */
  readonly environmentId: string
  /** From 1; a recovery begins the next. */
  readonly timeline: number
}

/** A named restore point and where it stands. */
export interface SegmentMark {
  readonly name: string
  readonly lsn: Lsn
  readonly committedAtUs: number
}

/** Where an appended record stands. */
export interface RecordPlace {
  readonly lsn: Lsn
  readonly committedAtUs: number
}

/** Kinds as they stand on disk. @see FORMAT.md#group-payload */
export const KIND_CODES: Readonly<Record<RecordKind, number>> = { entry: 1, mark: 2, note: 3 }

const KINDS: readonly (RecordKind | undefined)[] = [undefined, 'entry', 'mark', 'note']

/** The kind that a number on disk stands for; `undefined` for a number that no version has used. */
export function kindOf(code: number): RecordKind | undefined {
  return KINDS[code]
}

/** The longest name of a restore point, in UTF-8 bytes: names stand in the seal, which is read whole. */
export const MARK_BYTES_MAX = 1024

/** A segment with this many restore points is sealed, so that a seal stays bounded. */
export const SEGMENT_MARKS_MAX = 4096

/** The largest value `recordBytesMax` may have, and so the largest record any reader accepts: 256 MiB. */
export const RECORD_BYTES_LIMIT: number = 256 * 1024 * 1024
