import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, type FileSystem, readFully } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import type { ObjectSource } from '../objects/object-codec.ts'

const CHUNK_BYTES = 256 * 1024
/** A second of a busy log: to read and to hash it twice would take longer than to hold it. */
const HELD_BYTES_MAX = 4 * 1024 * 1024

/** A part of a file that no longer changes. */
export interface FileRange {
  readonly path: string
  readonly position: number
  readonly endPosition: number
  /** The file, where it is open already; it is left so. */
  readonly handle?: FileHandle | undefined
}

/** The bytes of a range, in chunks that own their memory. @throws ARCHIVE_SOURCE_CHANGED when the file ends before it */
export async function* readRange(
  fileSystem: FileSystem,
  range: FileRange,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const handle = await fileSystem.open(range.path, 'read')
  try {
    for (let position = range.position; position < range.endPosition;) {
      refuseAborted(signal)
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, range.endPosition - position))
      const got = await handle.read(chunk, position)
      if (got === 0) throw endedEarly(range, position)
      position += got
      yield chunk.subarray(0, got)
    }
  } finally {
    await handle.close()
  }
}

/**
 * A range as content to store: read once and held where it is short, as pieces mostly are; a long one, after an outage say, is
 * read as it goes, twice.
 *
 * @throws ARCHIVE_SOURCE_CHANGED when the file ends before it
 */
export async function rangeContent(
  fileSystem: FileSystem,
  range: FileRange,
  signal: AbortSignal,
): Promise<Buffer | ObjectSource> {
  const { path, position, endPosition } = range
  if (endPosition - position > HELD_BYTES_MAX) return { read: () => readRange(fileSystem, range, signal) }
  refuseAborted(signal)
  const handle = range.handle ?? (await fileSystem.open(path, 'read'))
  try {
    // A shipper in a hurry reads eighty of these a second: without a generator and its promises.
    const content = Buffer.allocUnsafe(endPosition - position)
    const got = await readFully(handle, content, position)
    if (got < content.length) throw endedEarly(range, position + got)
    return content
  } finally {
    if (handle !== range.handle) await handle.close()
  }
}

function endedEarly({ path, endPosition }: FileRange, position: number): Error {
  return archiveError('ARCHIVE_SOURCE_CHANGED', 'a file ended early', {
    details: { path, position, endPosition },
  })
}

/** A stream that hashes what passes. */
export async function* hashing(content: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
}

/** The checksum that `hashing` feeds. */
export function sha256Hash(): Hash {
  return createHash('sha256')
}

/** @throws ARCHIVE_ABORTED once the signal has asked to stop */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw archiveError('ARCHIVE_ABORTED', 'the work was stopped', { cause: signal.reason })
  }
}
