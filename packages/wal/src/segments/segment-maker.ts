import { join } from 'node:path'
import type { FileSystem } from '../files/file-system.ts'
import { decodeHeader, encodeHeader, HEADER_BYTES, type SegmentHeader } from './segment-header.ts'
import { segmentName, unfinishedSegmentName } from './segment-name.ts'
import { invariant } from '../invariant.ts'

/** What a new segment is made of. */
export interface NewSegment {
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly header: Omit<SegmentHeader, 'checksum' | 'formatVersion'>
  /** Zeros to write behind the header. */
  readonly preallocateBytes: number
  /** Ends when the seal of the segment before is durable; absent for the first. */
  readonly sealed?: Promise<void> | undefined
}

/**
 * Makes a segment whole under another name, then gives it its own: a segment that has its name has a good header, which is why
 * a bad one is corruption and never a torn write. Durable when it resolves. It is made while the one before is being sealed,
 * because commits wait for both.
 */
export async function makeSegment(segment: NewSegment): Promise<{ header: SegmentHeader; filled: number }> {
  const { directory, fileSystem } = segment
  // Both have ended also when one fails: whoever is told of that may count on nobody writing in the folder any more.
  const [made, sealed] = await Promise.allSettled([makeUnnamed(segment), segment.sealed])
  if (sealed.status === 'rejected') throw sealed.reason
  if (made.status === 'rejected') throw made.reason
  const number = segment.header.segmentNumber
  await fileSystem.rename(
    join(directory, unfinishedSegmentName(number)),
    join(directory, segmentName(number)),
  )
  // From here on the segment is part of the log, also after power loss; the first commit in it may be acknowledged.
  await fileSystem.syncDirectory(directory)
  return made.value
}

async function makeUnnamed(segment: NewSegment): Promise<{ header: SegmentHeader; filled: number }> {
  const { directory, fileSystem } = segment
  const bytes = encodeHeader(segment.header)
  const decoded = decodeHeader(bytes)
  invariant(decoded.type === 'whole', 'a segment header reads back as it was written')
  const unfinished = join(directory, unfinishedSegmentName(segment.header.segmentNumber))
  const handle = await fileSystem.open(unfinished, 'create')
  let filled = HEADER_BYTES
  try {
    await handle.write(bytes, 0)
    try {
      await handle.write(Buffer.alloc(segment.preallocateBytes), HEADER_BYTES)
      filled += segment.preallocateBytes
    } catch {
      // Space written ahead is a convenience: without it the segment begins with its header alone.
      await handle.truncate(HEADER_BYTES)
    }
    // The header is durable before the segment has its name.
    await handle.sync()
  } finally {
    await handle.close()
  }
  return { header: decoded.header, filled }
}
