// Buffers that reads hand on to each other. The system gives a new one page by page at its first touch, each page zeroed, and the collector of
// garbage looks after it: together that costs more than the reading.
import type { ChunkMemory } from '@timberline/archive'

/** Memory for chunks, lent again once it was given back; what nobody gives back is the collector's. */
export class LentBuffers implements ChunkMemory {
  readonly #bytes: number
  readonly #freeMax: number
  readonly #free: Buffer[] = []
  /** By their memory, so that any chunk tells which of them it lies in. */
  readonly #lent = new WeakMap<ArrayBufferLike, Buffer>()

  /** Buffers of `bytes` each, of which at most `freeMax` that are not in use are kept. */
  constructor({ bytes, freeMax }: { readonly bytes: number; readonly freeMax: number }) {
    this.#bytes = bytes
    this.#freeMax = freeMax
  }

  take(bytesMax: number): Buffer {
    // Little is not worth a whole one.
    if (bytesMax < this.#bytes / 4) return Buffer.allocUnsafe(bytesMax)
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes)
    this.#lent.set(buffer.buffer, buffer)
    return buffer.subarray(0, bytesMax)
  }

  /** Nobody looks at this chunk or anything else in its memory any more; one from elsewhere is none of ours. */
  giveBack({ buffer }: Uint8Array): void {
    const whole = this.#lent.get(buffer)
    // Once: two readers must never be lent the same.
    this.#lent.delete(buffer)
    if (whole !== undefined && this.#free.length < this.#freeMax) this.#free.push(whole)
  }

  /** Chunks of a reader that takes its memory here, each of which holds until the next is asked for. */
  async *lentTo(read: (memory: ChunkMemory) => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of read(this)) {
      yield chunk
      this.giveBack(chunk)
    }
  }
}
