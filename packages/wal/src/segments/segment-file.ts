import { join } from 'node:path'
import { FileSource, type ByteSource } from '../files/byte-source.ts'
import { systemCode, walError, type TimberlineError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES, FRAME_SEAL, payloadMatches } from '../records/frame.ts'
import type { LogIdentity, Lsn, SegmentMark } from '../records/record.ts'
import { decodeSeal, sealBytesFromTrailer, type Seal } from './seal.ts'
import { decodeHeader, HEADER_BYTES, type HeaderProblem, type SegmentHeader } from './segment-header.ts'
import { parseSegmentName, segmentName } from './segment-name.ts'

const PROBLEMS: Readonly<Record<Exclude<HeaderProblem, 'version'>, string>> = {
  short: 'the file is shorter than a segment header',
  magic: 'the file does not begin like a segment',
  checksum: 'the segment header does not match its checksum',
  field: 'the segment header contradicts itself',
}

/** What is known of one segment. */
export interface SegmentSummary {
  readonly header: SegmentHeader
  readonly sealed: boolean
  readonly firstLsn: Lsn
  /** `firstLsn - 1` when the segment has no record. */
  readonly lastLsn: Lsn
  readonly firstCommittedAtUs?: number
  readonly lastCommittedAtUs?: number
  /** Valid bytes: header, frames and seal, without space written ahead or a torn tail. */
  readonly bytes: number
  /** Checksum of the seal, to which the next segment's header links; present when sealed. */
  readonly sealChecksum?: number
  readonly marks: readonly SegmentMark[]
}

/** Segment numbers in a folder, ascending. */
export async function segmentNumbers(directory: string, fileSystem: FileSystem): Promise<readonly number[]> {
  const numbers: number[] = []
  for (const name of await fileSystem.list(directory)) {
    const number = parseSegmentName(name)
    if (number !== undefined) numbers.push(number)
  }
  return numbers.sort((a, b) => a - b)
}

/** Opens a segment's file to read; `undefined` when it is not there. */
export async function openSegmentFile(
  directory: string,
  number: number,
  fileSystem: FileSystem,
): Promise<FileSource | undefined> {
  const path = join(directory, segmentName(number))
  try {
    return await FileSource.open(path, 'read', fileSystem)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The header of a segment; a segment is made whole before it has its name, so a bad header is always corruption. */
export async function readHeader(source: ByteSource, expectedNumber?: number): Promise<SegmentHeader> {
  const bytes = Buffer.alloc(HEADER_BYTES)
  const read = await source.read(bytes, 0)
  const decoded = decodeHeader(bytes.subarray(0, read))
  if (decoded.type === 'whole') {
    const found = decoded.header.segmentNumber
    if (expectedNumber === undefined || found === expectedNumber) return decoded.header
    throw corruptAt(source, 'the segment header has another number than the name', { position: 0, found })
  }
  if (decoded.problem === 'version') {
    throw walError('WAL_FORMAT', 'the segment has an unknown format version', {
      details: { path: source.path, formatVersion: decoded.formatVersion },
    })
  }
  throw corruptAt(source, PROBLEMS[decoded.problem], { position: 0 })
}

/** The seal at the end of a file; `undefined` when there is none that holds. */
export async function readSeal(
  source: ByteSource,
  header: SegmentHeader,
): Promise<{ seal: Seal; sealChecksum: number; nextLsn: Lsn } | undefined> {
  const end = source.bytes
  const trailer = Buffer.alloc(8)
  if (end < HEADER_BYTES + FRAME_HEADER_BYTES || (await source.read(trailer, end - 8)) < 8) return undefined
  const bytes = sealBytesFromTrailer(trailer)
  if (bytes === undefined || bytes > end - HEADER_BYTES) return undefined
  const frame = Buffer.alloc(bytes)
  if ((await source.read(frame, end - bytes)) < bytes) return undefined
  const frameHeader = decodeFrameHeader(frame, 0, header.checksum)
  if (frameHeader?.type !== FRAME_SEAL) return undefined
  if (FRAME_HEADER_BYTES + frameHeader.payloadBytes !== bytes) return undefined
  if (!payloadMatches(frame, 0, { header: frameHeader, seed: header.checksum })) return undefined
  const seal = decodeSeal(frame.subarray(FRAME_HEADER_BYTES))
  if (typeof seal === 'string' || seal.segmentBytes !== end) return undefined
  if (frameHeader.firstLsn !== header.firstLsn + seal.records) return undefined
  return { seal, sealChecksum: frameHeader.checksum, nextLsn: frameHeader.firstLsn }
}

/** Summary of a sealed segment from its two ends; `undefined` when it is not sealed. */
export async function summaryFromEnds(
  source: ByteSource,
  header: SegmentHeader,
): Promise<SegmentSummary | undefined> {
  const end = await readSeal(source, header)
  if (end === undefined) return undefined
  const { seal } = end
  return {
    header,
    sealed: true,
    firstLsn: header.firstLsn,
    lastLsn: end.nextLsn - 1,
    ...(seal.records > 0
      ? { firstCommittedAtUs: seal.firstCommittedAtUs, lastCommittedAtUs: seal.lastCommittedAtUs }
      : {}),
    bytes: seal.segmentBytes,
    sealChecksum: end.sealChecksum,
    marks: seal.marks,
  }
}

/** Throws when a segment does not follow the one before it exactly. */
export function checkLink(before: SegmentSummary, header: SegmentHeader, source: ByteSource): void {
  const link = header.previous
  const number = before.header.segmentNumber
  const identity = { environmentId: before.header.environmentId, timeline: before.header.timeline }
  checkIdentity(identity, header, source)
  if (link === undefined || link.segmentNumber !== number || header.segmentNumber !== number + 1) {
    throw corruptAt(source, 'the segment does not link to the one before it', { position: 0 })
  }
  const matches =
    link.sealChecksum === before.sealChecksum &&
    link.bytes === before.bytes &&
    header.firstLsn === before.lastLsn + 1 &&
    (before.lastCommittedAtUs === undefined || link.lastCommittedAtUs === before.lastCommittedAtUs)
  if (!matches) {
    throw corruptAt(source, 'the segment follows another end than the one before it has', {
      position: 0,
      lsn: header.firstLsn,
    })
  }
}

/** Throws when a segment belongs to another environment or timeline. */
export function checkIdentity(identity: LogIdentity, header: SegmentHeader, source: ByteSource): void {
  if (header.environmentId === identity.environmentId && header.timeline === identity.timeline) return
  throw walError('WAL_FOREIGN', 'the segment belongs to another log', {
    details: {
      path: source.path,
      environmentId: header.environmentId,
      timeline: header.timeline,
      expectedEnvironmentId: identity.environmentId,
      expectedTimeline: identity.timeline,
    },
  })
}

/** The error for damage in a segment. */
export function corruptAt(
  source: ByteSource,
  message: string,
  details: { position: number; lsn?: Lsn | undefined; found?: number; witnessPosition?: number },
): TimberlineError {
  return walError('WAL_CORRUPT', message, { details: { path: source.path, ...details } })
}

/** The error for segments that are not where they should be. */
export function missingSegment(directory: string, number: number, more: { lsn?: Lsn } = {}): TimberlineError {
  return walError('WAL_GAP', 'a segment of the log is missing', {
    details: { path: join(directory, segmentName(number)), segmentNumber: number, ...more },
  })
}
