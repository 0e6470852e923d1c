import {
  FRAME_GROUP,
  FRAME_HEADER_BYTES,
  frameBytes,
  GROUP_RECORDS_MAX,
  RECORD_HEADER_BYTES,
  sealFrameHeader,
} from './frame.ts'
import { writeU32, writeU64 } from './little-endian.ts'
import { KIND_CODES, type Lsn, type RecordKind, type SegmentMark } from './record.ts'

/** A group takes no more records once its payload has this many bytes; one larger record makes a group of its own. */
export const GROUP_BYTES_MAX: number = 1024 * 1024

const FIRST_BYTES = 64 * 1024

/** A group of commits while it is collected: already laid out as the frame it will be. */
export class Group {
  readonly firstLsn: Lsn
  readonly marks: SegmentMark[] = []
  /** Whether any of its records waits for the device. */
  durable = false
  records = 0
  firstCommittedAtUs = 0
  lastCommittedAtUs = 0
  #bytes = FRAME_HEADER_BYTES
  #buffer: Buffer
  #promise: Promise<void> | undefined
  #resolve: (() => void) | undefined
  #reject: ((error: unknown) => void) | undefined

  constructor(firstLsn: Lsn, buffer: Buffer | undefined) {
    this.firstLsn = firstLsn
    this.#buffer = buffer ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
  }

  get nextLsn(): Lsn {
    return this.firstLsn + this.records
  }

  /** Payload bytes so far. */
  get payloadBytes(): number {
    return this.#bytes - FRAME_HEADER_BYTES
  }

  /** Bytes it takes in the file. */
  get frameBytes(): number {
    return frameBytes(this.payloadBytes)
  }

  /** The memory behind it, to be used again once the group is done. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /** Bytes of the records' own payloads. */
  get recordBytes(): number {
    return this.payloadBytes - this.records * RECORD_HEADER_BYTES
  }

  hasRoomFor(payloadBytes: number, bytesMax: number): boolean {
    if (this.records === 0) return true
    const after = this.payloadBytes + RECORD_HEADER_BYTES + payloadBytes
    return this.records < GROUP_RECORDS_MAX && after <= bytesMax
  }

  /** Copies a record in. */
  add(payload: Uint8Array, kind: RecordKind, committedAtUs: number): void {
    const begin = this.#bytes
    const end = begin + RECORD_HEADER_BYTES + payload.length
    if (end + 8 > this.#buffer.length) this.#grow(end + 8)
    const buffer = this.#buffer
    writeU32(buffer, payload.length, begin)
    writeU32(buffer, KIND_CODES[kind], begin + 4)
    writeU64(buffer, committedAtUs, begin + 8)
    buffer.set(payload, begin + RECORD_HEADER_BYTES)
    this.#bytes = end
    if (this.records === 0) this.firstCommittedAtUs = committedAtUs
    this.lastCommittedAtUs = committedAtUs
    this.records += 1
  }

  /** The group as a whole frame of the segment whose header checksum is `seed`. */
  encode(seed: number, durableLsn: Lsn): Buffer {
    const bytes = this.frameBytes
    this.#buffer.fill(0, this.#bytes, bytes)
    const frame = this.#buffer.subarray(0, bytes)
    sealFrameHeader(frame, seed, {
      type: FRAME_GROUP,
      payloadBytes: this.payloadBytes,
      records: this.records,
      firstLsn: this.firstLsn,
      durableLsn,
      committedAtUs: this.firstCommittedAtUs,
    })
    return frame
  }

  /** Settles with the whole group; made only when somebody asks, so that the hot path allocates none. */
  whenDone(): Promise<void> {
    this.#promise ??= new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    return this.#promise
  }

  succeed(): void {
    this.#resolve?.()
  }

  fail(error: unknown): void {
    this.#reject?.(error)
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#bytes)
    this.#buffer = larger
  }
}
