import { crc32 } from 'node:zlib'
import type { FileHandle, FileSystem } from '../files/file-system.ts'
import { FRAME_FENCE, FRAME_HEADER_BYTES, sealFrameHeader } from '../records/frame.ts'
import type { Group } from '../records/group.ts'
import { invariant } from '../invariant.ts'
import { SEGMENT_MARKS_MAX, type Lsn } from '../records/record.ts'
import { encodeSeal } from './seal.ts'
import type { SegmentSummary } from './segment-file.ts'
import type { PreviousSegment, SegmentHeader } from './segment-header.ts'
import { SegmentTally } from './segment-tally.ts'
import { ZeroFill } from './zero-fill.ts'

/** Kept free for the seal, so that a segment with few marks stays within its bound, in bytes. */
const SEAL_RESERVE_BYTES = 128

/** Where writing goes on in a segment. */
export interface SegmentPlace {
  readonly path: string
  readonly tally: SegmentTally
  /** End of the last whole frame. */
  readonly position: number
  /** Up to here the file is written: frames and zeros. */
  readonly filled: number
}

/**
 * The segment being written. It knows where frames end and where the zeros written ahead end, and keeps the two writers of the
 * file apart: frames go only where no zeros are on their way.
 */
export class ActiveSegment {
  readonly path: string
  readonly tally: SegmentTally
  readonly #handle: FileHandle
  readonly #zeros: ZeroFill
  readonly #bytesMax: number
  #position: number
  #closing: Promise<void> | undefined

  private constructor(handle: FileHandle, place: SegmentPlace, zeros: { fill: ZeroFill; bytesMax: number }) {
    this.path = place.path
    this.tally = place.tally
    this.#position = place.position
    this.#handle = handle
    this.#zeros = zeros.fill
    this.#bytesMax = zeros.bytesMax
  }

  static async open(
    place: SegmentPlace,
    settings: { fileSystem: FileSystem; segmentBytesMax: number; preallocateBytes: number },
  ): Promise<ActiveSegment> {
    const handle = await settings.fileSystem.open(place.path, 'write')
    const fill = new ZeroFill({
      path: place.path,
      fileSystem: settings.fileSystem,
      stepBytes: settings.preallocateBytes,
      bytesMax: settings.segmentBytesMax,
      filled: place.filled,
    })
    return new ActiveSegment(handle, place, { fill, bytesMax: settings.segmentBytesMax })
  }

  get header(): SegmentHeader {
    return this.tally.header
  }

  get position(): number {
    return this.#position
  }

  /** Whether a frame of this size must go into the next segment. */
  isFullFor(group: Group): boolean {
    if (this.tally.records === 0) return false
    const marks = this.tally.marks.length + group.marks.length
    return (
      marks > SEGMENT_MARKS_MAX || this.#position + group.frameBytes + SEAL_RESERVE_BYTES > this.#bytesMax
    )
  }

  /** Whether a frame of this size can be written without waiting for zeros that are on their way. */
  isClear(bytes: number): boolean {
    return this.#zeros.isClear(this.#position + bytes)
  }

  writeNow(frame: Buffer): void {
    invariant(this.isClear(frame.length), 'a frame is written only where no zeros are on their way')
    this.#handle.writeNow(frame, this.#position)
  }

  async write(frame: Buffer): Promise<void> {
    if (!this.isClear(frame.length)) await this.#zeros.settle()
    await this.#handle.write(frame, this.#position)
  }

  /** All frames written before are durable when it returns. */
  syncNow(): void {
    this.#handle.syncNow()
    this.#refuseAfterFailedSync()
  }

  /** All frames written before are durable when it resolves. */
  async sync(): Promise<void> {
    await this.#handle.sync()
    this.#refuseAfterFailedSync()
  }

  /** Counts in a group's frame that was written, and has zeros written ahead of the next ones. */
  pass(frame: Buffer, group: Group): void {
    this.#advance(frame)
    for (const mark of group.marks) this.tally.addMark(mark)
    this.tally.advance(group.records, group.firstCommittedAtUs, group.lastCommittedAtUs)
    this.#zeros.keepAhead(this.#position, frame.length)
  }

  /** Writes a frame without records that states what is durable, so that damage before it is told from a torn tail. */
  async writeFence(durableLsn: Lsn): Promise<void> {
    const frame = Buffer.alloc(FRAME_HEADER_BYTES)
    sealFrameHeader(frame, this.header.checksum, {
      type: FRAME_FENCE,
      payloadBytes: 0,
      records: 0,
      firstLsn: this.tally.nextLsn,
      durableLsn,
      committedAtUs: this.tally.lastCommittedAtUs,
    })
    await this.write(frame)
    this.#advance(frame)
    this.tally.durableLsn = durableLsn
  }

  /** Cuts off everything behind the last whole frame, durably: after a failed write. */
  async cutBack(): Promise<void> {
    await this.#zeros.stop()
    await this.#handle.truncate(this.#position)
    // From here on nothing of the failed group can appear again.
    await this.sync()
  }

  /**
   * Ends the segment: everything in it must be durable before. What the next one is made with is known at once; the seal is
   * durable when `sealed` resolves, and the file then has its exact length.
   */
  seal(): { summary: SegmentSummary; link: PreviousSegment; sealed: Promise<void> } {
    const { tally } = this
    const { frame, checksum } = encodeSeal(
      {
        records: tally.records,
        firstCommittedAtUs: tally.firstCommittedAtUs,
        lastCommittedAtUs: tally.lastCommittedAtUs,
        chain: tally.chain,
        marks: tally.marks,
      },
      { position: this.#position, nextLsn: tally.nextLsn, seed: this.header.checksum },
    )
    const end = this.#position
    this.#position += frame.length
    const summary: SegmentSummary = { ...this.summary(), sealed: true, sealChecksum: checksum }
    const link: PreviousSegment = {
      segmentNumber: this.header.segmentNumber,
      bytes: summary.bytes,
      sealChecksum: checksum,
      lastCommittedAtUs: tally.timeFloorUs,
    }
    return { summary, link, sealed: this.#writeSeal(frame, end) }
  }

  async #writeSeal(frame: Buffer, position: number): Promise<void> {
    await this.#zeros.stop()
    await this.#handle.truncate(position)
    await this.#handle.write(frame, position)
    // The seal and the exact length are durable; only now may the next segment, which links to them, have its name.
    await this.sync()
  }

  summary(): SegmentSummary {
    const { tally } = this
    return {
      header: tally.header,
      sealed: false,
      firstLsn: tally.header.firstLsn,
      lastLsn: tally.nextLsn - 1,
      ...(tally.records > 0
        ? { firstCommittedAtUs: tally.firstCommittedAtUs, lastCommittedAtUs: tally.lastCommittedAtUs }
        : {}),
      bytes: this.#position,
      marks: [...tally.marks],
    }
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#zeros.stop().then(() => this.#handle.close())
    return this.#closing
  }

  #refuseAfterFailedSync(): void {
    if (this.#zeros.syncFailure !== undefined) throw this.#zeros.syncFailure.cause
  }

  #advance(frame: Buffer): void {
    this.tally.chain = crc32(frame.subarray(0, FRAME_HEADER_BYTES), this.tally.chain)
    this.#position += frame.length
    this.#zeros.passed(this.#position)
  }
}
