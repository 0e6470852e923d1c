import { createHash } from 'node:crypto'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from './errors.ts'
import type { RateLimit } from './rate-limit.ts'

/** Bytes read at a time; one read of a whole table of the usual 2 MiB costs two hops to another thread. */
const CHUNK_BYTES = 1024 * 1024

/** What a copy reads from and how fast, shared by all files of one backup. */
export interface CopyContext {
  readonly fileSystem: FileSystem
  readonly limit: RateLimit
  readonly signal?: AbortSignal | undefined
  /** Called after each chunk. */
  readonly onBytes: (bytes: number) => void
}

/** The first `bytes` bytes of a file that is only ever appended to. */
export interface FileRange {
  readonly path: string
  readonly bytes: number
}

/**
 * The content of a range in chunks; each chunk is valid until the next one is asked for.
 *
 * @throws HOTBACKUP_COPY_DAMAGED when the file ends before the range does
 */
export async function* readRange(range: FileRange, context: CopyContext): AsyncGenerator<Buffer, void> {
  const handle = await context.fileSystem.open(range.path, 'read')
  try {
    const chunk = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, range.bytes)))
    let position = 0
    while (position < range.bytes) {
      const wanted = Math.min(chunk.length, range.bytes - position)
      await context.limit.take(wanted)
      const got = await handle.read(chunk.subarray(0, wanted), position)
      if (got === 0) {
        // Never wait for more: a source that shrinks would be read for ever.
        throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'a file ended before its known length', {
          details: { path: range.path, bytes: range.bytes, position },
        })
      }
      position += got
      context.onBytes(got)
      yield chunk.subarray(0, got)
    }
  } finally {
    await handle.close()
  }
}

/**
 * Copies a range to a new file, hashing what passes, and makes the new file's content durable.
 *
 * `prefix`, if given, is an older length; its checksum is returned too, so that an update can prove that the new content
 * continues the old.
 */
export async function copyRange(
  range: FileRange,
  to: string,
  context: CopyContext & { readonly prefixBytes?: number },
): Promise<{ bytes: number; sha256: string; prefixSha256?: string }> {
  const hash = createHash('sha256')
  let prefixSha256: string | undefined
  const handle = await context.fileSystem.open(to, 'create')
  try {
    let position = 0
    for await (const chunk of readRange(range, context)) {
      const cut = (context.prefixBytes ?? -1) - position
      if (cut > 0 && cut <= chunk.length) {
        hash.update(chunk.subarray(0, cut))
        prefixSha256 = hash.copy().digest('hex')
        hash.update(chunk.subarray(cut))
      } else {
        hash.update(chunk)
      }
      await handle.write(chunk, position)
      position += chunk.length
    }
    // The content is durable from here on; its name is when the folder has been synced.
    await handle.sync()
  } finally {
    await handle.close()
  }
  const sha256 = hash.digest('hex')
  return { bytes: range.bytes, sha256, ...(prefixSha256 === undefined ? {} : { prefixSha256 }) }
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
