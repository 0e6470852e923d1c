import { createHash } from 'node:crypto'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'
import { CHUNK_BYTES } from '../chunk-buffers.ts'
import type { ChunkBuffers } from '../chunk-buffers.ts'
import type { RateLimit } from '../pace/rate-limit.ts'
import type { SyncQueue } from '@timberline/wal'

/**
 * Bytes written at a time. Linux keeps what is written at once in pages as large as that, if the file system can; to find 2 MiB in one piece,
 * in memory that was not used before, took five times as long as the writing.
 */
export const WRITE_BYTES: number = 256 * 1024

/** What a copy reads from and how fast, shared by all files of one backup. */
export interface CopyContext {
  readonly fileSystem: FileSystem
  readonly limit: RateLimit
  readonly buffers: ChunkBuffers
  readonly signal?: AbortSignal | undefined
  /** Called after each chunk. */
  readonly onBytes: (bytes: number) => void
}

/** The first `bytes` bytes of a file that is only ever appended to. */
export interface FileRange {
  readonly path: string
  readonly bytes: number
  /** The file, open already and left open: its name may be gone. Default: opened by its path. */
  readonly handle?: FileHandle | undefined
  /** What the home recorded of the content, if it did; a target that holds it already need not read it. */
  readonly sha256?: string | undefined
}

/**
 * The content of a range in chunks; each chunk is valid until the next one is asked for.
 *
 * @throws HOTBACKUP_COPY_DAMAGED when the file ends before the range does
 */
export async function* readRange(range: FileRange, context: CopyContext): AsyncGenerator<Buffer, void> {
  const handle = range.handle ?? (await context.fileSystem.open(range.path, 'read'))
  const chunk = context.buffers.take(Math.min(CHUNK_BYTES, range.bytes))
  try {
    let position = 0
    while (position < range.bytes) {
      const wanted = Math.min(chunk.length, range.bytes - position)
      const got = await handle.read(chunk.subarray(0, wanted), position)
      if (got === 0) {
        // Never wait for more: a source that shrinks would be read for ever.
        throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'a file ended before its known length', {
          details: { path: range.path, bytes: range.bytes, position },
        })
      }
      position += got
      yield* slicesOf(chunk.subarray(0, got), context)
    }
  } finally {
    context.buffers.give(chunk)
    if (range.handle === undefined) await handle.close()
  }
}

/** Hands out what was read as the limit allows: to read it slice by slice would cost a hop to another thread for each. */
async function* slicesOf(content: Buffer, { limit, onBytes }: CopyContext): AsyncGenerator<Buffer, void> {
  for (let position = 0; position < content.length;) {
    const bytes = await limit.take(content.length - position)
    onBytes(bytes)
    yield content.subarray(position, position + bytes)
    position += bytes
  }
}

/** How a copy to a file ends, and what else it hashes. */
export interface CopyTarget {
  readonly path: string
  /** Takes over the written file, to make it durable. */
  readonly syncs: SyncQueue
  /** An older length; its checksum is told too, so that an update can prove that the new content continues the old. */
  readonly prefixBytes?: number | undefined
}

/**
 * Copies a range to a new file, hashing what passes. The content is durable once the target's queue has settled.
 *
 * The hash is computed while the system writes the same chunk, so it costs next to nothing where there are two cores.
 */
export async function copyRange(
  range: FileRange,
  target: CopyTarget,
  context: CopyContext,
): Promise<{ bytes: number; sha256: string; prefixSha256: string | undefined }> {
  const hash = new PrefixHash(target.prefixBytes)
  const handle = await context.fileSystem.open(target.path, 'create')
  let isDurable = false
  try {
    let position = 0
    for await (const chunk of readRange(range, context)) {
      for (let begin = 0; begin < chunk.length; begin += WRITE_BYTES) {
        const part = chunk.subarray(begin, begin + WRITE_BYTES)
        const written = handle.write(part, position)
        hash.update(part)
        await written
        position += part.length
      }
      isDurable = await context.limit.settle(chunk.length, () => handle.sync())
    }
  } catch (error) {
    await handle.close()
    throw error
  }
  // A slice was the last one: to flush it again would make a writer wait for nothing.
  if (isDurable) await handle.close()
  else await target.syncs.add(handle)
  return { bytes: range.bytes, ...hash.end() }
}

/** Length and checksum of the first `bytes` bytes of a file, by default of all, read in bounded memory. */
export async function hashFile(
  path: string,
  context: CopyContext,
  bytes?: number,
): Promise<{ bytes: number; sha256: string }> {
  const length = bytes ?? (await lengthOf(path, context.fileSystem))
  const hash = createHash('sha256')
  for await (const chunk of readRange({ path, bytes: length }, context)) hash.update(chunk)
  return { bytes: length, sha256: hash.digest('hex') }
}

async function lengthOf(path: string, fileSystem: FileSystem): Promise<number> {
  const handle = await fileSystem.open(path, 'read')
  try {
    return (await handle.status()).bytes
  } finally {
    await handle.close()
  }
}

/** sha256 of a stream, and of its first bytes on the way. */
export class PrefixHash {
  readonly #hash = createHash('sha256')
  readonly #prefixBytes: number
  #position = 0
  #prefixSha256: string | undefined

  constructor(prefixBytes = -1) {
    this.#prefixBytes = prefixBytes
  }

  update(chunk: Uint8Array): void {
    const cut = this.#prefixBytes - this.#position
    this.#position += chunk.length
    if (cut <= 0 || cut > chunk.length) {
      this.#hash.update(chunk)
      return
    }
    this.#hash.update(chunk.subarray(0, cut))
    this.#prefixSha256 = this.#hash.copy().digest('hex')
    this.#hash.update(chunk.subarray(cut))
  }

  end(): { sha256: string; prefixSha256: string | undefined } {
    return { sha256: this.#hash.digest('hex'), prefixSha256: this.#prefixSha256 }
  }
}
