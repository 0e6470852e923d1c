// Deltas as bytes: FORMAT.md, "Delta". Read as a stream, so that neither side ever holds more of one than an entry.
import { crc32 } from 'node:zlib'
import type { DeltaRef } from '@timberline/archive'
import { isReservedKey, type Operation } from '@timberline/engine'
import { recoveryError } from '../errors.ts'

/** What the header of a delta says. */
export type DeltaHeader = Pick<DeltaRef, 'timeline' | 'firstLsn' | 'lastLsn' | 'lastCommittedAtUs'> & {
  readonly environmentId: string
}

const MAGIC = Buffer.from('TLDELTAS', 'latin1')
const VERSION = 1
const HEADER_BYTES = 72
const CRC_AT = 64
const ENTRY_HEAD_BYTES = 8
const END_BYTES = 16
/** No key and no value is as long: as the length of a value it says "removed", as that of a key "no more entries". */
const NONE = 0xffffffff
const CHUNK_BYTES = 256 * 1024

/** The content of a delta; `operations` ascend by key, each key once. */
export async function* encodeDelta(
  header: DeltaHeader,
  operations: AsyncIterable<readonly Operation[]>,
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [encodeHeader(header)]
  let partBytes = HEADER_BYTES
  let entries = 0
  for await (const batch of operations) {
    for (const operation of batch) {
      const value = operation.type === 'put' ? operation.value : undefined
      const head = Buffer.allocUnsafe(ENTRY_HEAD_BYTES)
      head.writeUInt32LE(operation.key.length, 0)
      head.writeUInt32LE(value?.length ?? NONE, 4)
      parts.push(head, operation.key)
      if (value !== undefined) parts.push(value)
      partBytes += ENTRY_HEAD_BYTES + operation.key.length + (value?.length ?? 0)
      entries += 1
    }
    if (partBytes < CHUNK_BYTES) continue
    yield Buffer.concat(parts)
    parts = []
    partBytes = 0
  }
  const end = Buffer.alloc(END_BYTES)
  end.writeUInt32LE(NONE, 0)
  end.writeBigUInt64LE(BigInt(entries), 8)
  yield Buffer.concat([...parts, end])
}

/**
 * The entries of a delta, in order. What was yielded counts only once the stream has ended without an error.
 *
 * @throws RECOVERY_DELTA_UNUSABLE
 */
export async function* decodeDelta(
  content: AsyncIterable<Uint8Array>,
  expected: DeltaHeader,
): AsyncGenerator<Operation[]> {
  const decoder = new DeltaDecoder(expected)
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  for await (const chunk of content) {
    waitingBytes += chunk.length
    // Put together only when they suffice: a long value comes in many chunks, none of which stays what it is.
    if (waitingBytes < decoder.wantedBytes) {
      waiting.push(Buffer.from(chunk))
      continue
    }
    const { operations, rest } = decoder.decode(Buffer.concat([...waiting, chunk]))
    waiting = [rest]
    waitingBytes = rest.length
    if (operations.length > 0) yield operations
  }
  decoder.end(waitingBytes)
}

class DeltaDecoder {
  /** How many bytes the next step needs. */
  wantedBytes = HEADER_BYTES
  readonly #expected: DeltaHeader
  #state: 'header' | 'entries' | 'end' = 'header'
  #entries = 0
  #lastKey: Buffer | undefined

  constructor(expected: DeltaHeader) {
    this.#expected = expected
  }

  /** Decodes all that is whole. */
  decode(bytes: Buffer): { operations: Operation[]; rest: Buffer } {
    const operations: Operation[] = []
    let at = 0
    if (this.#state === 'header') {
      requireHeader(bytes.subarray(0, HEADER_BYTES), this.#expected)
      at = HEADER_BYTES
      this.#state = 'entries'
      this.wantedBytes = END_BYTES
    }
    while (bytes.length - at >= this.wantedBytes) {
      if (this.#state === 'end') throw unusable('it goes on after its end')
      at = this.#step(bytes, at, operations)
    }
    // Copied, so that one waiting byte does not keep a whole chunk.
    return { operations, rest: Buffer.from(bytes.subarray(at)) }
  }

  end(restBytes: number): void {
    if (this.#state !== 'end' || restBytes > 0) throw unusable('it ends too early')
  }

  /** One entry or the end, at least as many bytes as wanted being there; returns where it ends. */
  #step(bytes: Buffer, at: number, operations: Operation[]): number {
    const keyBytes = bytes.readUInt32LE(at)
    const valueLength = bytes.readUInt32LE(at + 4)
    if (keyBytes === NONE) return this.#finish(bytes, at)
    const valueBytes = valueLength === NONE ? 0 : valueLength
    const entryBytes = ENTRY_HEAD_BYTES + keyBytes + valueBytes
    if (bytes.length - at < entryBytes) {
      this.wantedBytes = entryBytes
      return at
    }
    this.wantedBytes = ENTRY_HEAD_BYTES
    const keyAt = at + ENTRY_HEAD_BYTES
    const key = bytes.subarray(keyAt, keyAt + keyBytes)
    if (this.#lastKey !== undefined && Buffer.compare(key, this.#lastKey) <= 0)
      throw unusable('its keys do not ascend')
    if (isReservedKey(key)) throw unusable('a key is the engine’s own')
    const value = bytes.subarray(keyAt + keyBytes, at + entryBytes)
    operations.push(valueLength === NONE ? { type: 'del', key } : { type: 'put', key, value })
    this.#lastKey = key
    this.#entries += 1
    return at + entryBytes
  }

  #finish(bytes: Buffer, at: number): number {
    if (bytes.length - at < END_BYTES) {
      this.wantedBytes = END_BYTES
      return at
    }
    if (bytes.readUInt32LE(at + 4) !== 0 || bytes.readBigUInt64LE(at + 8) !== BigInt(this.#entries)) {
      throw unusable('its end does not count its entries')
    }
    this.#state = 'end'
    this.wantedBytes = 1
    return at + END_BYTES
  }
}

function encodeHeader(header: DeltaHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(bytes, 0)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.write(header.environmentId, 16, 'hex')
  bytes.writeBigUInt64LE(BigInt(header.timeline), 32)
  bytes.writeBigUInt64LE(BigInt(header.firstLsn), 40)
  bytes.writeBigUInt64LE(BigInt(header.lastLsn), 48)
  bytes.writeBigUInt64LE(BigInt(header.lastCommittedAtUs), 56)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT)
  return bytes
}

/** A delta of another run, applied here, would be a wrong state without any other sign of it. */
function requireHeader(bytes: Buffer, expected: DeltaHeader): void {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw unusable('it does not begin like a delta')
  if (bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(0, CRC_AT)))
    throw unusable('its header does not match its checksum')
  if (bytes.readUInt16LE(8) !== VERSION) throw unusable('it was written by another release')
  if (!bytes.equals(encodeHeader(expected))) throw unusable('it is of another run than the catalogue says')
}

function unusable(reason: string): Error {
  return recoveryError('RECOVERY_DELTA_UNUSABLE', `a compacted delta cannot be used, ${reason}`)
}
