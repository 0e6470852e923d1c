import { join } from 'node:path'
import { FileSource } from '../files/byte-source.ts'
import { TimberlineError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import { inParallel } from '../in-parallel.ts'
import { verifySegment } from './segment-decoder.ts'
import {
  checkLink,
  corruptAt,
  missingSegment,
  openSegmentFile,
  readHeader,
  segmentNumbers,
  summaryFromEnds,
  type SegmentSummary,
} from './segment-file.ts'
import { segmentName } from './segment-name.ts'

/** Side by side: a look is a chain of short calls, and a log may have thousands of segments. */
const LOOKS_AT_A_TIME = 4

/** How thoroughly to look. */
export interface ListOptions {
  /** Read and check every frame, not only headers and seals; default false. */
  readonly scan?: boolean | undefined
  /**
   * Read the folder as if it ended here: no segment behind this one, and of this one not more than its first `bytes` bytes. Default: read
   * all there is.
   */
  readonly through?: { readonly segmentNumber: number; readonly bytes: number } | undefined
}

/**
 * The segments of a folder, ascending, with their links verified: from headers and seals, only the unsealed last one is read
 * through. Segments removed from the front meanwhile are left out.
 *
 * @throws WAL_GAP for a missing segment in the middle; WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
 */
export async function listSegments(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
  options: ListOptions = {},
): Promise<readonly SegmentSummary[]> {
  const { scan = false, through } = options
  const there = await segmentNumbers(directory, fileSystem)
  const numbers = through === undefined ? there : there.filter((number) => number <= through.segmentNumber)
  const how = { fileSystem, scan, last: numbers.at(-1), through }
  const looks = await inParallel(numbers, LOOKS_AT_A_TIME, (number) => look(directory, number, how))
  return linked(directory, looks)
}

/** What was found of one segment: nothing where it has vanished since the folder was read. */
interface Look {
  readonly number: number
  readonly found?: { readonly source: FileSource; readonly summary: SegmentSummary } | undefined
  /** Why it is refused. It is told when all before it are in order: the first that is wrong is what is told of a log. */
  readonly refusal?: { readonly reason: unknown } | undefined
}

async function look(
  directory: string,
  number: number,
  how: ListOptions & { readonly fileSystem: FileSystem; readonly last: number | undefined },
): Promise<Look> {
  const { fileSystem, scan = false, last, through } = how
  try {
    const source = await openSegmentFile(directory, number, fileSystem)
    if (source === undefined) return { number }
    try {
      if (number === through?.segmentNumber) source.endAt(through.bytes)
      const summary = await summarize(source, number, { scan, last: number === last })
      return { number, found: { source, summary } }
    } finally {
      await source.handle.close()
    }
  } catch (reason) {
    return { number, refusal: { reason } }
  }
}

/** Segments that follow each other; what is wrong is told of the first of which something is. */
function linked(directory: string, looks: readonly Look[]): readonly SegmentSummary[] {
  const summaries: SegmentSummary[] = []
  for (const { number, found, refusal } of looks) {
    const before = summaries.at(-1)
    if (before !== undefined && number !== before.header.segmentNumber + 1) {
      throw missingSegment(directory, before.header.segmentNumber + 1)
    }
    if (refusal !== undefined) throw refusal.reason
    if (found === undefined) {
      // Removal goes from the oldest on: one that vanished had only vanished ones before it.
      if (before === undefined) continue
      throw missingSegment(directory, number)
    }
    if (before !== undefined) checkLink(before, found.summary.header, found.source)
    summaries.push(found.summary)
  }
  return summaries
}

async function summarize(
  source: FileSource,
  number: number,
  how: { scan: boolean; last: boolean },
): Promise<SegmentSummary> {
  const header = await readHeader(source, number)
  const fromEnds = how.scan ? undefined : await summaryFromEnds(source, header)
  if (fromEnds !== undefined) return fromEnds
  if (!how.scan && !how.last) {
    await source.refresh()
    const again = await summaryFromEnds(source, header)
    if (again !== undefined) return again
    throw corruptAt(source, 'the segment has no seal and is not the last one', { position: source.bytes })
  }
  return how.last ? verifyGrowing(source) : verifySegment(source, { last: false })
}

/**
 * Reads the last segment through while its owner may be writing it. A frame that came between two reads looks like one behind
 * damage; damage stays where it is, a race is gone when the file is read again.
 */
async function verifyGrowing(source: FileSource): Promise<SegmentSummary> {
  let damagedAt: unknown
  for (;;) {
    try {
      return await verifySegment(source, { last: true })
    } catch (error) {
      if (!(error instanceof TimberlineError) || error.code !== 'WAL_CORRUPT') throw error
      if (error.details['position'] === damagedAt) throw error
      damagedAt = error.details['position']
      await source.refresh()
    }
  }
}

/**
 * Reads a range of a segment's file; fewer bytes only where the file ends.
 *
 * @throws WAL_GAP when the segment is not there
 */
export async function readSegmentBytes(
  place: {
    readonly directory: string
    readonly segmentNumber: number
    readonly fileSystem?: FileSystem | undefined
  },
  position: number,
  bytes: number,
): Promise<Buffer> {
  const source = await openSegmentFile(
    place.directory,
    place.segmentNumber,
    place.fileSystem ?? nodeFileSystem,
  )
  if (source === undefined) throw missingSegment(place.directory, place.segmentNumber)
  try {
    const wanted = Math.max(0, Math.min(bytes, source.bytes - position))
    const target = Buffer.allocUnsafe(wanted)
    const read = await source.read(target, position)
    return target.subarray(0, read)
  } finally {
    await source.handle.close()
  }
}

/** A segment's file opened as a byte source for `decodeSegment` and `verifySegment`; the caller closes it. */
export function openSegmentSource(
  directory: string,
  segmentNumber: number,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<FileSource> {
  return FileSource.open(join(directory, segmentName(segmentNumber)), 'read', fileSystem)
}
