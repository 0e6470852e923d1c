import { decodeSegmentHeader, openSegmentSource, parseSegmentName } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { codeOf, engineError } from '../errors.ts'

/**
 * The segment of a log folder that holds a record, or will: the last one that begins at or before it. Reads headers only,
 * newest first, since what is asked for is near the end.
 *
 * @throws ENGINE_LOG_GAP when the log begins after it
 */
export async function segmentHolding(
  logDirectory: string,
  lsn: number,
  fileSystem: FileSystem,
): Promise<number> {
  const numbers = (await fileSystem.list(logDirectory))
    .map((name) => parseSegmentName(name))
    .filter((number) => number !== undefined)
    .toSorted((a, b) => b - a)
  for (const number of numbers) {
    const firstLsn = await firstLsnOf(logDirectory, number, fileSystem)
    if (firstLsn !== undefined && firstLsn <= lsn) return number
  }
  throw engineError('ENGINE_LOG_GAP', 'the log does not reach back to a record', {
    details: { logDirectory, lsn },
  })
}

/** `undefined` when the segment was removed meanwhile. */
async function firstLsnOf(
  logDirectory: string,
  segmentNumber: number,
  fileSystem: FileSystem,
): Promise<number | undefined> {
  try {
    const source = await openSegmentSource(logDirectory, segmentNumber, fileSystem)
    try {
      return (await decodeSegmentHeader(source)).firstLsn
    } finally {
      await source.handle.close()
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
