// What an object must hold, known without it: the journal names length and sha256 of segments and manifests, manifests those of
// their files. Of a piece only its name is left, and its header where that can still be read.
import { dirname, basename } from 'node:path'
import { parseSegmentName, verifySegment } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import type { PieceRef } from '../catalogue/catalogue.ts'
import { archiveError, hasCode } from '../errors.ts'
import { type Envelope, objectDamaged } from '../objects/object-envelope.ts'
import { rangeOf, streamSource } from '../shipping/segment-content.ts'
import type { FindingSubject } from './finding.ts'

/** A part of a segment's file. */
export interface LogRange {
  readonly timeline: number
  readonly segmentNumber: number
  readonly position: number
  readonly endPosition: number
}

/** The content that an object must have, and where such content may lie. */
export interface Wanted {
  /** The object. */
  readonly name: string
  /** Absent for manifests. */
  readonly bytes?: number | undefined
  /** Absent where frames must prove the content instead. */
  readonly sha256?: string | undefined
  readonly log?: LogRange | undefined
  readonly piece?: PieceRef | undefined
  /** The path in a home, as in a backup set. */
  readonly path?: string | undefined
  /** A manifest is stored as it is, without an envelope. */
  readonly isManifest?: boolean
}

/** What the subject of a finding must hold; `undefined` when nothing tells. */
export async function wantedOf(archive: Archive, subject: FindingSubject): Promise<Wanted | undefined> {
  switch (subject.type) {
    case 'segment': {
      const { name, bytes, sha256, timeline, segmentNumber } = subject.segment
      return { name, bytes, sha256, log: { timeline, segmentNumber, position: 0, endPosition: bytes } }
    }
    case 'delta': {
      const { name, bytes, sha256 } = subject.delta
      return { name, bytes, sha256 }
    }
    case 'manifest': {
      const { name, manifestSha256 } = subject.backup
      return { name, sha256: manifestSha256, isManifest: true }
    }
    case 'backup-file': {
      const { name: path, bytes, sha256, object = path } = subject.file
      const segmentNumber = dirname(path) === 'log' ? parseSegmentName(basename(path)) : undefined
      const { timeline } = subject.backup
      const log =
        segmentNumber === undefined ? undefined : { timeline, segmentNumber, position: 0, endPosition: bytes }
      return { name: object, bytes, sha256, path, log }
    }
    case 'piece': {
      const { piece } = subject
      const { name, timeline, segmentNumber, position, endPosition } = piece
      const bytes = endPosition - position
      const header = await headerOf(archive, name)
      const sha256 = header?.bytes === bytes ? header.sha256 : undefined
      return { name, bytes, sha256, piece, log: { timeline, segmentNumber, position, endPosition } }
    }
    case 'file': {
      const header = await headerOf(archive, subject.name)
      return header === undefined ? undefined : { ...header, name: subject.name }
    }
    case 'gap':
      return undefined
  }
}

/**
 * Proves that bytes are the piece of this name: the segment's file up to its end must be whole frames, of this environment and
 * timeline, that end with the record and the commit time of the name, and those before it with the record before its first.
 *
 * @throws ARCHIVE_OBJECT_DAMAGED, WAL_CORRUPT, WAL_FOREIGN
 */
export async function provePiece(
  archive: Archive,
  piece: PieceRef,
  beginning: () => AsyncIterable<Buffer>,
): Promise<void> {
  const { environmentId } = archive.identity
  const { name, timeline, segmentNumber, position, endPosition } = piece
  const refuse = (reason: string): never => {
    throw objectDamaged(name, reason)
  }
  const through = async (bytes: number): ReturnType<typeof verifySegment> => {
    const content = rangeOf(beginning(), { position: 0, endPosition: bytes })
    const summary = await verifySegment(streamSource(content, { bytes, path: name }), {
      last: true,
      expect: { environmentId, timeline },
    })
    if (summary.bytes !== bytes || summary.header.segmentNumber !== segmentNumber)
      refuse('the source has other frames')
    return summary
  }
  const whole = await through(endPosition)
  const isLast =
    whole.lastLsn === piece.lastLsn &&
    (whole.lastCommittedAtUs ?? piece.lastCommittedAtUs) === piece.lastCommittedAtUs
  const firstLsn = position === 0 ? whole.firstLsn : (await through(position)).lastLsn + 1
  if (!isLast || firstLsn !== piece.firstLsn) refuse('the source has other records')
}

/** The header of a damaged object says what was put there, unless it is what is damaged. */
async function headerOf(archive: Archive, name: string): Promise<Envelope | undefined> {
  let header: Envelope | undefined
  try {
    for await (const chunk of archive.readObject(name, { onHeader: (found) => (header = found) })) void chunk
    // Whole, and yet found wrong: then its header says nothing of what should be there.
    return undefined
  } catch (error) {
    if (isDamage(error)) return header
    throw error
  }
}

/** Whether an error says that an object is not what it should be, or not there; everything else is the store's. */
export function isDamage(error: unknown): boolean {
  return (
    hasCode(error, 'ARCHIVE_OBJECT_DAMAGED') ||
    hasCode(error, 'ARCHIVE_OBJECT_MISSING') ||
    hasCode(error, 'ARCHIVE_FORMAT') ||
    hasCode(error, 'ARCHIVE_MANIFEST_DAMAGED')
  )
}

/** The error for content that is not what was wanted. */
export function notWanted(source: string, reason: string): Error {
  return archiveError('ARCHIVE_OBJECT_DAMAGED', `a source has other content, ${reason}`, {
    details: { source },
  })
}
