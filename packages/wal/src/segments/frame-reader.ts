import type { ByteSource } from '../files/byte-source.ts'
import {
  decodeFrameHeader,
  decodeGroup,
  FRAME_FENCE,
  FRAME_GROUP,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  frameBytes,
  isZeroHeader,
  payloadMatches,
  type FrameHeader,
} from '../records/frame.ts'
import { passPlainGroups } from './plain-groups.ts'
import type { LogRecord, Lsn, SegmentMark } from '../records/record.ts'
import { decodeSeal, type Seal } from './seal.ts'
import { HEADER_BYTES, type SegmentHeader } from './segment-header.ts'
import { SegmentTally } from './segment-tally.ts'
import { crcOfRange } from '../records/short-crc.ts'

/** How much is read from the file at once, in bytes; a larger frame gets a window of its own size. */
export const WINDOW_BYTES: number = 256 * 1024
/** How much is read first when a file that grows is looked at again: the space behind its frames is zeros, and mostly not worth it. */
const LOOK_BYTES = 16 * 1024

/**
 * One step over a segment. `end`: nothing more (yet), by length or by zeros; `bad`: bytes that are no frame, which the caller
 * must judge as torn or corrupt; `broken`: checksums hold and the content contradicts itself, which no crash can explain.
 */
export type FrameStep =
  | { readonly type: 'group'; readonly records: LogRecord[]; readonly header: FrameHeader }
  | { readonly type: 'fence'; readonly header: FrameHeader }
  | { readonly type: 'seal'; readonly seal: Seal; readonly header: FrameHeader }
  | { readonly type: 'end' }
  | { readonly type: 'bad' }
  | { readonly type: 'broken'; readonly reason: string }

/** Where a segment's frames stop. */
export type SegmentEnd = Exclude<FrameStep, { readonly type: 'group' | 'fence' }>

/** Reads the frames of one segment in order, through one window that is used again until records lie in it. */
export class FrameReader {
  readonly source: ByteSource
  readonly header: SegmentHeader
  readonly tally: SegmentTally
  /** Where the next frame begins: everything before it is whole. */
  position: number = HEADER_BYTES
  #window: Buffer = Buffer.alloc(0)
  #windowAt = 0
  #isFreshLook = false
  /** The window belongs to those who have its records. */
  #isGivenAway = false
  /** What is read now is checked, and nobody gets its records. */
  #isPassing = false

  constructor(source: ByteSource, header: SegmentHeader) {
    this.source = source
    this.header = header
    this.tally = new SegmentTally(header)
  }

  get nextLsn(): Lsn {
    return this.tally.nextLsn
  }

  get marks(): readonly SegmentMark[] {
    return this.tally.marks
  }

  /** Whether there was more behind the last frame when the file was read: false means that only a fresh look can tell. */
  get seesMore(): boolean {
    if (this.#holds(FRAME_HEADER_BYTES)) return !isZeroHeader(this.#window, this.position - this.#windowAt)
    return this.#windowAt + this.#window.length < this.source.bytes
  }

  /** Forgets what was read ahead, so that the next step sees the file as it is now. */
  forget(): void {
    this.#windowAt = this.position
    this.#window = this.#window.subarray(0, 0)
    this.#isFreshLook = true
  }

  async next(): Promise<FrameStep> {
    if (!this.#holds(FRAME_HEADER_BYTES)) await this.#load(this.#isFreshLook ? LOOK_BYTES : WINDOW_BYTES)
    const left = this.#windowAt + this.#window.length - this.position
    if (left === 0) return { type: 'end' }
    if (left < FRAME_HEADER_BYTES) return this.#remainder()
    const at = this.position - this.#windowAt
    const header = decodeFrameHeader(this.#window, at, this.header.checksum)
    if (header === undefined) return isZeroHeader(this.#window, at) ? { type: 'end' } : { type: 'bad' }
    const bytes = frameBytes(header.payloadBytes)
    // Checked against what there is before anything is allocated for it.
    if (header.payloadBytes > FRAME_PAYLOAD_BYTES_MAX || this.position + bytes > this.source.bytes) {
      return { type: 'bad' }
    }
    if (!this.#holds(bytes)) await this.#load(Math.max(bytes, WINDOW_BYTES))
    return this.#holds(bytes) ? this.#decode(header, bytes) : { type: 'bad' }
  }

  /**
   * Passes groups and fences, checked as `next` does, to the first step that is neither. Makes no records: who only wants to know that a
   * segment is whole would spend most of its time on them.
   */
  async pass(): Promise<SegmentEnd> {
    this.#isPassing = true
    try {
      for (;;) {
        this.passRead({ throughLsn: Infinity, endPosition: Infinity })
        // Whatever is not a plain group that was read already: judged in one place.
        const step = await this.next()
        if (step.type !== 'group' && step.type !== 'fence') return step
      }
    } finally {
      this.#isPassing = false
    }
  }

  /** Passes groups without marks that were read already, up to the one that holds the record `throughLsn`, or that reaches `endPosition`. */
  passRead({ throughLsn, endPosition }: { readonly throughLsn: Lsn; readonly endPosition: number }): void {
    if (!this.#holds(FRAME_HEADER_BYTES)) return
    const range = { begin: this.position - this.#windowAt, end: endPosition - this.#windowAt, throughLsn }
    this.position = this.#windowAt + passPlainGroups(this.#window, range, this.tally)
  }

  #decode(header: FrameHeader, bytes: number): FrameStep {
    const at = this.position - this.#windowAt
    if (!payloadMatches(this.#window, at, { header, seed: this.header.checksum })) return { type: 'bad' }
    const problem = this.tally.refusal(header)
    if (problem !== undefined) return { type: 'broken', reason: problem }
    const begin = at + FRAME_HEADER_BYTES
    const payload = this.#window.subarray(begin, begin + header.payloadBytes)
    const chained = crcOfRange(this.#window, { begin: at, end: begin }, this.tally.chain)
    if (header.type === FRAME_GROUP) return this.#group(header, { payload, bytes, chained })
    if (header.type === FRAME_FENCE) {
      this.#pass(header, bytes, chained)
      return { type: 'fence', header }
    }
    const seal = decodeSeal(payload)
    if (typeof seal === 'string') return { type: 'broken', reason: seal }
    const mismatch = this.tally.sealRefusal(seal, this.position + bytes)
    if (mismatch !== undefined) return { type: 'broken', reason: mismatch }
    this.#pass(header, bytes, chained)
    return { type: 'seal', seal, header }
  }

  #group(header: FrameHeader, frame: { payload: Buffer; bytes: number; chained: number }): FrameStep {
    const records = decodeGroup(header, this.#lasting(frame.payload))
    if (typeof records === 'string') return { type: 'broken', reason: records }
    const problem = this.tally.add(records)
    if (problem !== undefined) return { type: 'broken', reason: problem }
    this.#pass(header, frame.bytes, frame.chained)
    return { type: 'group', records, header }
  }

  /**
   * The caller may keep records as long as it likes. Where much is read they lie in the window, and the next one is another; of a short look
   * they are copied, since a record that is kept would keep all of the window.
   */
  #lasting(payload: Buffer): Buffer {
    // With a new window for each that ends within a frame, as nearly all do, a log of 7 MB would make the collector look through the heap.
    if (this.#isPassing) return payload
    if (this.#window.length < WINDOW_BYTES) return Buffer.from(payload)
    this.#isGivenAway = true
    return payload
  }

  #pass(header: FrameHeader, bytes: number, chained: number): void {
    this.tally.chain = chained
    this.tally.durableLsn = Math.max(this.tally.durableLsn, header.durableLsn)
    this.position += bytes
  }

  /** Fewer bytes than a header are left: zeros are space written ahead, anything else is no frame. */
  #remainder(): FrameStep {
    const rest = this.#window.subarray(this.position - this.#windowAt)
    return rest.every((byte) => byte === 0) ? { type: 'end' } : { type: 'bad' }
  }

  #holds(bytes: number): boolean {
    return this.position >= this.#windowAt && this.position + bytes <= this.#windowAt + this.#window.length
  }

  async #load(bytes: number): Promise<void> {
    this.#isFreshLook = false
    const wanted = Math.min(bytes, Math.max(0, this.source.bytes - this.position))
    // The allocation behind a window is kept; one that grew for a large frame is given back afterwards.
    const { buffer } = this.#isGivenAway ? Buffer.alloc(0) : this.#window
    let target = Buffer.from(buffer, 0, buffer.byteLength)
    this.#isGivenAway = false
    if (target.length < wanted || target.length > Math.max(wanted, WINDOW_BYTES)) {
      // By powers of two, so that a reader of a growing file does not allocate at each step.
      const size = wanted > WINDOW_BYTES ? wanted : 2 ** Math.ceil(Math.log2(Math.max(wanted, 4096)))
      target = Buffer.allocUnsafeSlow(size)
    }
    const read = await this.source.read(target.subarray(0, wanted), this.position)
    this.#window = target.subarray(0, read)
    this.#windowAt = this.position
  }
}
