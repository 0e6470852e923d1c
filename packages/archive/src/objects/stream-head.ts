// A decoder that must see the beginning of a stream before it knows how to go on with the rest.

/** The first `bytes` of a stream, fewer only at its end, what came along with them, and both in one. */
export async function takeHead(
  iterator: AsyncIterator<Uint8Array>,
  bytes: number,
): Promise<{ head: Buffer; rest: Buffer; taken: Buffer }> {
  let taken: Buffer = Buffer.alloc(0)
  while (taken.length < bytes) {
    const next = await iterator.next()
    if (next.done === true) break
    // Nearly always the first chunk holds all of the head: copying it would cost as much again as reading it.
    taken = taken.length === 0 ? bufferOf(next.value) : Buffer.concat([taken, next.value])
  }
  return { head: taken.subarray(0, bytes), rest: taken.subarray(bytes), taken }
}

/** What was taken already, then the rest of the stream. */
export async function* following(
  first: readonly Buffer[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (const part of first) if (part.length > 0) yield part
  for (;;) {
    const next = await iterator.next()
    if (next.done === true) return
    yield next.value
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
