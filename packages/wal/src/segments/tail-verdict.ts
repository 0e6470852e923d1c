import type { ByteSource } from '../files/byte-source.ts'
import { decodeFrameHeader, FRAME_ALIGNMENT, FRAME_HEADER_BYTES } from '../records/frame.ts'
import type { Lsn } from '../records/record.ts'
import type { SegmentHeader } from './segment-header.ts'

const CHUNK_BYTES = 256 * 1024

/** What stands behind the last whole frame of an unsealed segment. */
export type TailVerdict =
  /** Only zeros, or nothing. */
  | { readonly type: 'clean' }
  /** Bytes of frames that were never acknowledged; `tornBytes` reaches to the last byte that is not zero. */
  | { readonly type: 'torn'; readonly tornBytes: number }
  /** A later frame states that what should stand at `position` was durable. */
  | { readonly type: 'corrupt'; readonly witnessPosition: number; readonly durableLsn: Lsn }

/**
 * Tells a torn tail from corruption. A frame is written only after the durable LSN it states was reached; so a whole later
 * header that states at least the LSN expected at `position` proves that an acknowledged record stood there. Frames of
 * other segments, stale or embedded in payloads, do not parse: the checksum is seeded with this segment's header.
 * @see FORMAT.md#torn-or-corrupt
 */
export async function judgeTail(
  source: ByteSource,
  header: SegmentHeader,
  place: { position: number; expectedLsn: Lsn },
): Promise<TailVerdict> {
  const left = Math.max(0, source.bytes - place.position)
  const window = Buffer.allocUnsafe(Math.min(left, CHUNK_BYTES + FRAME_HEADER_BYTES))
  let lastNonZero = -1
  for (let at = place.position; at < source.bytes; at += CHUNK_BYTES) {
    const read = await source.read(window, at)
    const chunk = window.subarray(0, read)
    const nonZero = lastNonZeroIndex(chunk)
    if (nonZero < 0) continue
    lastNonZero = at + nonZero
    const witness = findWitness(chunk, header, place.expectedLsn)
    if (witness === undefined) continue
    return { type: 'corrupt', witnessPosition: at + witness.offset, durableLsn: witness.durableLsn }
  }
  return lastNonZero < 0 ? { type: 'clean' } : { type: 'torn', tornBytes: lastNonZero + 1 - place.position }
}

function findWitness(
  chunk: Buffer,
  header: SegmentHeader,
  expectedLsn: Lsn,
): { offset: number; durableLsn: Lsn } | undefined {
  for (let offset = 0; offset + FRAME_HEADER_BYTES <= chunk.length; offset += FRAME_ALIGNMENT) {
    const frame = decodeFrameHeader(chunk, offset, header.checksum)
    if (frame !== undefined && frame.durableLsn >= expectedLsn)
      return { offset, durableLsn: frame.durableLsn }
  }
  return undefined
}

function lastNonZeroIndex(bytes: Buffer): number {
  for (let index = bytes.length - 1; index >= 0; index -= 1) if (bytes[index] !== 0) return index
  return -1
}
