// The log is decoded a little at a time, and each look at the disk would be a wait: a thread of the pool may have to wait for a processor
// that others keep busy. So the next part of a file is read while this one is decoded.
import { type ByteSource, type FileHandle, readFully } from '@timberline/wal'

const BLOCK_BYTES = 1024 * 1024
/** The block that is read from, the one behind it, and the one before, in which the next look may still begin. */
const BLOCK_COUNT = 3

interface Block {
  /** Its number in the file; -1 before it was read. */
  number: number
  content: Buffer
  /** How many bytes it has. */
  bytes: Promise<number>
}

/** A file that does not change and is read from its beginning on, through an open handle that its owner closes behind `settled`. */
export class ReadAhead implements ByteSource {
  readonly bytes: number
  readonly path: string
  readonly #handle: FileHandle
  readonly #blocks: readonly Block[]

  constructor(handle: FileHandle, { bytes, path }: { readonly bytes: number; readonly path: string }) {
    this.#handle = handle
    this.bytes = bytes
    this.path = path
    this.#blocks = Array.from({ length: BLOCK_COUNT }, () => ({
      number: -1,
      content: Buffer.alloc(0),
      bytes: Promise.resolve(0),
    }))
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.length) {
      const number = Math.floor((position + done) / BLOCK_BYTES)
      const block = this.#block(number)
      this.#block(number + 1)
      const bytes = await block.bytes
      const from = position + done - number * BLOCK_BYTES
      const part = block.content.subarray(from, Math.min(bytes, from + target.length - done))
      if (part.length === 0) break
      target.set(part, done)
      done += part.length
    }
    return done
  }

  /** Resolves when nothing is being read; what failed is told to who asks for it. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#blocks.map(({ bytes }) => bytes))
  }

  #block(number: number): Block {
    const known = this.#blocks.find((block) => block.number === number)
    if (known !== undefined) return known
    // The farthest: so it is never the one that the next block is asked for beside.
    const far = (block: Block): number => Math.abs(block.number - number)
    const block = this.#blocks.reduce((most, each) => (far(each) > far(most) ? each : most))
    block.number = number
    block.bytes = this.#fill(block, number * BLOCK_BYTES, block.bytes)
    // Met by who asks for it, if anybody does.
    block.bytes.catch(() => undefined)
    return block
  }

  /** Behind what is still being read into the same memory. */
  async #fill(block: Block, position: number, before: Promise<number>): Promise<number> {
    await Promise.allSettled([before])
    const bytes = Math.max(0, Math.min(BLOCK_BYTES, this.bytes - position))
    if (block.content.length < bytes) block.content = Buffer.allocUnsafeSlow(bytes)
    return readFully(this.#handle, block.content.subarray(0, bytes), position)
  }
}
