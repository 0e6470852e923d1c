import { join } from 'node:path'
import { makeDirectoryDurable, removeIfPresent, removeStaleTemporaries } from '../files/atomic-file.ts'
import { FileSource } from '../files/byte-source.ts'
import type { FileSystem } from '../files/file-system.ts'
import { FrameReader, type FrameStep } from '../segments/frame-reader.ts'
import type { LogSettings } from './log-options.ts'
import type { Lsn } from '../records/record.ts'
import { refuseUnlessTorn, summaryOf } from '../segments/segment-decoder.ts'
import {
  checkIdentity,
  checkLink,
  corruptAt,
  missingSegment,
  openSegmentFile,
  readHeader,
  segmentNumbers,
  summaryFromEnds,
  type SegmentSummary,
} from '../segments/segment-file.ts'
import type { PreviousSegment } from '../segments/segment-header.ts'
import { makeSegment } from '../segments/segment-maker.ts'
import { isUnfinishedSegmentName, segmentName } from '../segments/segment-name.ts'
import { SegmentTally } from '../segments/segment-tally.ts'
import { judgeTail } from '../segments/tail-verdict.ts'
import type { SegmentPlace } from '../segments/active-segment.ts'

/** Commits wait while a segment is made, so it begins with few zeros; the others follow in the background. */
const FIRST_ZEROS_BYTES = 256 * 1024

/** What opening a log found and did. */
export interface OpenedLog {
  /** Whether the folder had no segment and the first was made. */
  readonly created: boolean
  /** Segments in the folder, the active one included. */
  readonly segments: number
  /** The first LSN that the folder has or will have. */
  readonly firstLsn: Lsn
  /** `firstLsn - 1` when the log is empty. */
  readonly lastLsn: Lsn
  /** Commit time of the last record; 0 when there never was one. */
  readonly lastCommittedAtUs: number
  /** Records in the last segment, which were read through. */
  readonly records: number
  /** Bytes of a torn tail that were cut off. */
  readonly tornBytes: number
  /** Leftovers of a crash that were removed. */
  readonly removed: readonly string[]
}

/** Verifies the segments of a folder, mends the end of the last one, and says where writing goes on. */
export async function openSegments(
  settings: LogSettings,
): Promise<{ opened: OpenedLog; place: SegmentPlace }> {
  const { directory, fileSystem } = settings
  // Without the folder's name the log in it would be lost, however well it is synced itself.
  await makeDirectoryDurable(directory, fileSystem)
  const removed = await removeLeftovers(directory, fileSystem)
  const numbers = await segmentNumbers(directory, fileSystem)
  const base = { segments: Math.max(1, numbers.length), removed }
  if (numbers.length === 0) {
    const place = await createNext(settings, undefined)
    const firstLsn = place.tally.nextLsn
    return {
      place,
      opened: {
        ...base,
        created: true,
        firstLsn,
        ...ending(place, settings.afterCommittedAtUs),
        tornBytes: 0,
      },
    }
  }
  const chain = await verifyChain(settings, numbers)
  const { place, tornBytes, firstLsn } = await openLast(
    settings,
    /* v8 ignore next -- there is one: an empty folder was dealt with above */
    numbers.at(-1) ?? 1,
    chain.last,
  )
  const grown = place.tally.header.segmentNumber === numbers.at(-1) ? 0 : 1
  return {
    place,
    opened: {
      ...base,
      segments: numbers.length + grown,
      created: false,
      // A sealed last segment has a successor by now, and the log still begins with what it holds.
      firstLsn: chain.firstLsn ?? firstLsn,
      ...ending(place, 0),
      tornBytes,
    },
  }
}

/** Makes the segment after `link`, or the first one. */
export async function createNext(
  settings: LogSettings,
  link: { previous: PreviousSegment; nextLsn: Lsn; sealed?: Promise<void> } | undefined,
): Promise<SegmentPlace> {
  const { directory, fileSystem, identity } = settings
  const segmentNumber = link === undefined ? settings.nextSegmentNumber : link.previous.segmentNumber + 1
  const { header, filled } = await makeSegment({
    directory,
    fileSystem,
    preallocateBytes: Math.min(settings.preallocateBytes, settings.segmentBytesMax, FIRST_ZEROS_BYTES),
    sealed: link?.sealed,
    header: {
      ...identity,
      segmentNumber,
      firstLsn: link?.nextLsn ?? settings.nextLsn,
      previous: link?.previous,
      createdAtUs: Math.floor(settings.now()),
    },
  })
  const tally = new SegmentTally(header)
  return { path: join(directory, segmentName(segmentNumber)), tally, position: 96, filled }
}

function ending(
  place: SegmentPlace,
  floorUs: number,
): Pick<OpenedLog, 'lastLsn' | 'lastCommittedAtUs' | 'records'> {
  const { tally } = place
  return {
    lastLsn: tally.nextLsn - 1,
    lastCommittedAtUs: Math.max(floorUs, tally.timeFloorUs),
    records: tally.records,
  }
}

/** Unfinished segments have no name yet and so no commit; temporaries belong to a process that is gone. */
async function removeLeftovers(directory: string, fileSystem: FileSystem): Promise<readonly string[]> {
  const removed: string[] = []
  for (const name of await fileSystem.list(directory)) {
    if (!isUnfinishedSegmentName(name)) continue
    await removeIfPresent(join(directory, name), fileSystem)
    removed.push(name)
  }
  return [...removed, ...(await removeStaleTemporaries(directory, fileSystem))]
}

/** Checks all segments but the last, by their ends. */
async function verifyChain(
  settings: LogSettings,
  numbers: readonly number[],
): Promise<{ firstLsn: Lsn | undefined; last: SegmentSummary | undefined }> {
  const { directory, fileSystem, identity } = settings
  let before: SegmentSummary | undefined
  let firstLsn: Lsn | undefined
  for (const number of numbers.slice(0, -1)) {
    if (before !== undefined && number !== before.header.segmentNumber + 1) {
      throw missingSegment(directory, before.header.segmentNumber + 1)
    }
    const source = await openExisting(directory, number, fileSystem)
    try {
      const header = await readHeader(source, number)
      checkIdentity(identity, header, source)
      if (before !== undefined) checkLink(before, header, source)
      before = await summaryFromEnds(source, header)
      if (before === undefined) {
        throw corruptAt(source, 'the segment has no seal and is not the last one', { position: source.bytes })
      }
      firstLsn ??= before.firstLsn
    } finally {
      await source.handle.close()
    }
  }
  // v8 ignore next -- the caller has at least one
  const last = numbers.at(-1) ?? 1
  if (before !== undefined && last !== before.header.segmentNumber + 1) {
    throw missingSegment(directory, before.header.segmentNumber + 1)
  }
  return { firstLsn, last: before }
}

/** Reads the last segment through, cuts a torn tail, and makes sure that what is left is durable. */
async function openLast(
  settings: LogSettings,
  number: number,
  before: SegmentSummary | undefined,
): Promise<{ place: SegmentPlace; tornBytes: number; firstLsn: Lsn }> {
  const { directory, fileSystem } = settings
  const path = join(directory, segmentName(number))
  const source = await FileSource.open(path, 'write', fileSystem)
  try {
    const header = await readHeader(source, number)
    checkIdentity(settings.identity, header, source)
    if (before !== undefined) checkLink(before, header, source)
    const reader = new FrameReader(source, header)
    const { step, unprovenAt } = await readThrough(reader)
    const sealed = step.type === 'seal'
    const tornBytes = sealed
      ? await tailBehindSeal(reader)
      : await refuseUnlessTorn(reader, step.type === 'broken' ? step : { type: 'end' }, true)
    await rewrite(source, unprovenAt, reader.position)
    if (tornBytes > 0 || sealed) await source.handle.truncate(reader.position)
    // What was read may never have been synced by the process that wrote it; from here on it is durable, and the cut is.
    await source.handle.sync()
    await fileSystem.syncDirectory(directory)
    const filled = tornBytes > 0 ? reader.position : Math.max(source.bytes, reader.position)
    const { firstLsn } = header
    if (!sealed) {
      return { place: { path, tally: reader.tally, position: reader.position, filled }, tornBytes, firstLsn }
    }
    const summary = summaryOf(reader, step)
    const previous: PreviousSegment = {
      segmentNumber: number,
      bytes: summary.bytes,
      sealChecksum: step.header.checksum,
      lastCommittedAtUs: reader.tally.timeFloorUs,
    }
    return { place: await createNext(settings, { previous, nextLsn: reader.nextLsn }), tornBytes, firstLsn }
  } finally {
    await source.handle.close()
  }
}

/** Reads to the end; `unprovenAt` is where the frames begin of which no later frame states that they were durable. */
async function readThrough(
  reader: FrameReader,
): Promise<{ step: Exclude<FrameStep, { type: 'group' | 'fence' }>; unprovenAt: number }> {
  let unproven: { position: number; provenBy: Lsn }[] = []
  for (;;) {
    const position = reader.position
    const step = await reader.next()
    if (step.type === 'end' || step.type === 'bad' || step.type === 'broken') {
      return { step, unprovenAt: unproven[0]?.position ?? position }
    }
    unproven = unproven.filter(({ provenBy }) => provenBy > step.header.durableLsn)
    // A fence is known to be durable once a record behind it is; a seal by nothing in its own segment.
    const { firstLsn } = step.header
    if (step.type === 'seal') return { step, unprovenAt: unproven[0]?.position ?? position }
    unproven.push({ position, provenBy: step.type === 'group' ? reader.nextLsn - 1 : firstLsn })
  }
}

async function tailBehindSeal(reader: FrameReader): Promise<number> {
  const { source, position, nextLsn } = reader
  const verdict = await judgeTail(source, reader.header, { position, expectedLsn: nextLsn })
  if (verdict.type === 'clean') return 0
  throw corruptAt(source, 'the segment goes on behind its seal', { position, lsn: nextLsn })
}

/**
 * Writes the unproven frames once more, byte for byte. After a failed sync the system may count their pages as clean though
 * they never reached the device; a sync alone would then succeed and promise what is not there.
 */
async function rewrite(source: FileSource, begin: number, end: number): Promise<void> {
  const chunk = Buffer.alloc(Math.min(1024 * 1024, Math.max(0, end - begin)))
  for (let at = begin; at < end; at += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, end - at))
    const read = await source.read(part, at)
    await source.handle.write(part.subarray(0, read), at)
  }
}

async function openExisting(directory: string, number: number, fileSystem: FileSystem): Promise<FileSource> {
  const source = await openSegmentFile(directory, number, fileSystem)
  if (source === undefined) throw missingSegment(directory, number)
  return source
}
