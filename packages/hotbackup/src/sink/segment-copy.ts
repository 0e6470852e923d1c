/**
 * A segment of the log is copied and proved in one pass: what is read goes to the hash, to the copy and through the frames before the
 * next is read. While the system writes, this thread hashes and proves.
 */
import { readFully, verifySegment } from '@timberline/wal'
import type { ByteSource, FileHandle, SegmentSummary } from '@timberline/wal'
import { CHUNK_BYTES } from '../chunk-buffers.ts'
import { hotbackupError } from '../errors.ts'
import { PrefixHash, WRITE_BYTES } from './file-source.ts'
import type { CopyContext, CopyTarget, FileRange } from './file-source.ts'

/** The disk is given so much at a time while the rest is still being read, so that little is left for the flush at the end. */
const FLUSH_AHEAD_BYTES = 1024 * 1024

/** What was copied. */
export interface CopiedSegment {
  readonly bytes: number
  readonly sha256: string
  /** Of the first bytes that were asked for. */
  readonly prefixSha256: string | undefined
  readonly summary: SegmentSummary
}

/** What the segment must be, besides whole. */
export interface ExpectedSegment {
  /** The one before it; absent when it is the first. */
  readonly after: SegmentSummary | undefined
  /** Whether it may be without a seal. */
  readonly last: boolean
}

/** Where the segment is, and what it must be. */
export interface SegmentToCopy {
  readonly range: FileRange
  readonly expected: ExpectedSegment
}

/**
 * Copies a segment to a new file, hashes it, and checks every checksum in it, its seal, and its link to the one before. The content is
 * durable once the target's queue has settled.
 *
 * @throws WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT; HOTBACKUP_COPY_DAMAGED when the file ends before the range does
 */
export async function copySegment(
  { range, expected }: SegmentToCopy,
  target: CopyTarget,
  context: CopyContext,
): Promise<CopiedSegment> {
  const from = await context.fileSystem.open(range.path, 'read')
  try {
    const to = await context.fileSystem.open(target.path, 'create')
    const passing = new PassingSource({ range, from, to, prefixBytes: target.prefixBytes }, context)
    let isDurable: boolean
    let summary: SegmentSummary
    try {
      summary = await verifySegment(passing, expected)
      isDurable = await passing.end()
    } catch (error) {
      await passing.rest()
      await to.close()
      throw error
    }
    // A slice was the last one: to flush it again would make a writer wait for nothing.
    if (isDurable) await to.close()
    else await target.syncs.add(to)
    return { bytes: range.bytes, ...passing.hashes(), summary }
  } finally {
    await from.close()
  }
}

interface Passage {
  readonly range: FileRange
  readonly from: FileHandle
  readonly to: FileHandle
  readonly prefixBytes: number | undefined
}

/** A range of a file as a source of bytes, each of which is hashed and written to another file when it is read for the first time. */
class PassingSource implements ByteSource {
  readonly #passage: Passage
  readonly #context: CopyContext
  readonly #hash: PrefixHash
  #passedBytes = 0
  /** Left of what the limit has allowed. */
  #sliceBytes = 0
  /** All of it. */
  #sliceBytesTaken = 0
  /** The write that is under way, or what the limit made of it. */
  #writing: Promise<boolean> = Promise.resolve(false)
  #unflushedBytes = 0
  /** The flush that is under way beside the writing, if any. */
  #flushing: Promise<void> | undefined

  constructor(passage: Passage, context: CopyContext) {
    this.#passage = passage
    this.#context = context
    this.#hash = new PrefixHash(passage.prefixBytes)
  }

  get bytes(): number {
    return this.#passage.range.bytes
  }

  get path(): string {
    return this.#passage.range.path
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    // The reader fills one window again and again: what is being written out of it must be written first.
    await this.#writing
    const there = Math.max(0, this.bytes - position)
    const read = await readFully(this.#passage.from, target.subarray(0, there), position)
    const known = this.#passedBytes - position
    if (known >= 0 && known < read) await this.#pass(target.subarray(known, read))
    return read
  }

  /** Resolves when all of it is written, with whether it is durable already. */
  async end(): Promise<boolean> {
    const isDurable = await this.#writing
    await this.#flushing
    if (this.#passedBytes === this.bytes) return isDurable
    throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'a file ended before its known length', {
      details: { path: this.path, bytes: this.bytes, position: this.#passedBytes },
    })
  }

  /** Waits for what is under way, whatever becomes of it. */
  async rest(): Promise<void> {
    await Promise.allSettled([this.#writing, this.#flushing])
  }

  hashes(): { sha256: string; prefixSha256: string | undefined } {
    return this.#hash.end()
  }

  async #pass(content: Uint8Array): Promise<void> {
    const { limit, onBytes } = this.#context
    for (let begin = 0; begin < content.length;) {
      await this.#writing
      if (this.#sliceBytes === 0) {
        this.#sliceBytes = await limit.take(Math.min(this.bytes - this.#passedBytes, CHUNK_BYTES))
        this.#sliceBytesTaken = this.#sliceBytes
      }
      const part = content.subarray(begin, begin + Math.min(this.#sliceBytes, WRITE_BYTES))
      onBytes(part.length)
      this.#writing = this.#write(part)
      // Waited for before the next one; an error that comes earlier is told then.
      this.#writing.catch(() => undefined)
      this.#hash.update(part)
      begin += part.length
    }
  }

  async #write(part: Uint8Array): Promise<boolean> {
    const { to } = this.#passage
    const position = this.#passedBytes
    this.#passedBytes += part.length
    this.#sliceBytes -= part.length
    const isWholeSlice = this.#sliceBytes === 0
    await to.write(part, position)
    this.#unflushedBytes += part.length
    if (!isWholeSlice) {
      this.#flushAhead()
      return false
    }
    const isDurable = await this.#context.limit.settle(this.#sliceBytesTaken, () => to.sync())
    if (isDurable) this.#unflushedBytes = 0
    else this.#flushAhead()
    return isDurable
  }

  #flushAhead(): void {
    if (this.#context.limit.isSlicing || this.#flushing !== undefined) return
    if (this.#unflushedBytes < FLUSH_AHEAD_BYTES) return
    this.#unflushedBytes = 0
    const flushing = this.#passage.to.sync().then(() => {
      this.#flushing = undefined
    })
    // Told at the end: one that failed stays, and none is tried after it.
    flushing.catch(() => undefined)
    this.#flushing = flushing
  }
}
