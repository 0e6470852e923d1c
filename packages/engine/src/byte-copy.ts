/**
 * Copying of what is mostly short. A call into the runtime costs as much as some fifty bytes of a loop, with a view made for it as much as a
 * hundred, and leaves that view to the collector; four bytes at a time a loop is as fast as the call for what keys and values mostly have.
 */

/** Bytes that are also read and written four at a time. */
export interface Bytes {
  readonly bytes: Buffer
  readonly words: DataView
}

/** From here on the call is worth it, in bytes. */
const LONG_BYTES = 1024

/** The bytes of a buffer. */
export function bytesOf(bytes: Buffer): Bytes {
  return { bytes, words: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

/** Copies `count` bytes that lie at `fromAt` to `at`; both ranges are within bounds by the caller, and not in one memory. */
// oxlint-disable-next-line max-params -- objects for the ranges would be made for each of hundreds of thousands of entries
export function copyBytes(to: Bytes, at: number, from: Bytes, fromAt: number, count: number): void {
  if (count >= LONG_BYTES) {
    to.bytes.set(from.bytes.subarray(fromAt, fromAt + count), at)
    return
  }
  const target = to.words
  const source = from.words
  let done = 0
  // Four in a step: what each step costs beside its copying is as much as the copying; in the processor's own order, which costs nothing to read.
  for (; done + 16 <= count; done += 16) {
    target.setInt32(at + done, source.getInt32(fromAt + done, true), true)
    target.setInt32(at + done + 4, source.getInt32(fromAt + done + 4, true), true)
    target.setInt32(at + done + 8, source.getInt32(fromAt + done + 8, true), true)
    target.setInt32(at + done + 12, source.getInt32(fromAt + done + 12, true), true)
  }
  for (; done + 4 <= count; done += 4) target.setInt32(at + done, source.getInt32(fromAt + done, true), true)
  for (; done < count; done += 1) target.setInt8(at + done, source.getInt8(fromAt + done))
}
