import type { FrameHeader } from '../records/frame.ts'
import { FRAME_GROUP } from '../records/frame.ts'
import { MARK_BYTES_MAX, type LogRecord, type Lsn, type SegmentMark } from '../records/record.ts'
import type { Seal } from './seal.ts'
import type { SegmentHeader } from './segment-header.ts'

/**
 * What is known of a segment from its frames so far: the same count is kept by the writer and by every reader, and the seal
 * must agree with both.
 */
export class SegmentTally {
  readonly header: SegmentHeader
  readonly marks: SegmentMark[] = []
  /** CRC-32 over all frame headers so far. */
  chain: number
  /** The highest durable LSN that a frame has stated. */
  durableLsn: Lsn
  nextLsn: Lsn
  firstCommittedAtUs = 0
  /** Of this segment; 0 while it has no record. */
  lastCommittedAtUs = 0

  constructor(header: SegmentHeader) {
    this.header = header
    this.chain = header.checksum
    this.nextLsn = header.firstLsn
    this.durableLsn = header.firstLsn - 1
  }

  get records(): number {
    return this.nextLsn - this.header.firstLsn
  }

  /** The time that the next record's must exceed, here or in a later segment. */
  get timeFloorUs(): number {
    return this.lastCommittedAtUs === 0
      ? (this.header.previous?.lastCommittedAtUs ?? 0)
      : this.lastCommittedAtUs
  }

  /** Why a frame cannot stand here, though its checksums hold. */
  refusal(header: FrameHeader): string | undefined {
    if (header.firstLsn !== this.nextLsn) return `the frame begins with lsn ${header.firstLsn}`
    if (header.type === FRAME_GROUP && header.committedAtUs <= this.timeFloorUs)
      return 'commit times do not increase'
    return undefined
  }

  /** Counts a group in; says why it cannot be. */
  add(records: readonly LogRecord[]): string | undefined {
    for (const record of records) {
      if (record.kind !== 'mark') continue
      if (record.payload.length > MARK_BYTES_MAX) return 'the name of a mark is too long'
      this.addMark({
        name: record.payload.toString('utf8'),
        lsn: record.lsn,
        committedAtUs: record.committedAtUs,
      })
    }
    const first = records[0]
    const last = records.at(-1)
    if (first === undefined || last === undefined) return 'the group is empty'
    this.advance(records.length, first.committedAtUs, last.committedAtUs)
    return undefined
  }

  addMark(mark: SegmentMark): void {
    this.marks.push(mark)
  }

  advance(records: number, firstCommittedAtUs: number, lastCommittedAtUs: number): void {
    if (this.firstCommittedAtUs === 0) this.firstCommittedAtUs = firstCommittedAtUs
    this.lastCommittedAtUs = lastCommittedAtUs
    this.nextLsn += records
  }

  /** Why a seal ending at `end` cannot be the seal of what was read before it. */
  sealRefusal(seal: Seal, end: number): string | undefined {
    if (seal.segmentBytes !== end) return 'the seal stands at another length than it says'
    if (seal.records !== this.records) return 'the seal counts other records'
    if (seal.chain !== this.chain) return 'the seal was made for other frames'
    if (seal.marks.length !== this.marks.length) return 'the seal names other marks'
    if (seal.firstCommittedAtUs !== this.firstCommittedAtUs) return 'the seal says another first commit time'
    if (seal.lastCommittedAtUs !== this.lastCommittedAtUs) return 'the seal says another last commit time'
    return undefined
  }
}
