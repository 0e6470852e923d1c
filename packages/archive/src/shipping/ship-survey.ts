// What a shipper finds before it does anything: where log and archive stand, and whether they belong together. Reads only.
import { join } from 'node:path'
import {
  listSegments,
  segmentName,
  type FileSystem,
  type LogIdentity,
  type SegmentSummary,
} from '@timberline/wal'
import type { Archive } from '../archive.ts'
import type { PieceRef, SegmentRef } from '../catalogue/catalogue.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import { archiveError, hasCode } from '../errors.ts'
import { readRange, refuseAborted } from './file-range.ts'
import { PieceNames } from './piece-names.ts'
import { refuseEnded } from './reign.ts'

/** The log to ship and the archive it goes to. */
export interface Shipment {
  readonly archive: Archive
  readonly logDirectory: string
  readonly identity: LogIdentity
  readonly fileSystem: FileSystem
  readonly signal: AbortSignal
  /** What the home calls the archive. */
  readonly name: string
}

/** The last record that stands whole in a log now. */
export async function durableEnd({
  logDirectory,
  fileSystem,
}: Pick<Shipment, 'logDirectory' | 'fileSystem'>): Promise<number> {
  return (await listSegments(logDirectory, fileSystem)).at(-1)?.lastLsn ?? 0
}

/** Where to go on. */
export interface Survey {
  /** First segment of the log that is not archived, and the LSN before its first. */
  readonly nextSegment: number
  readonly nextLsnBefore: number
  /** The last segment archived before that one; 0 when none is. */
  readonly archivedSegment: number
  /** The newest segment of the log that has pieces, and how far they hold it; absent when there is none. */
  readonly pieced:
    | { readonly segmentNumber: number; readonly endPosition: number; readonly lastLsn: number }
    | undefined
  /** All pieces on the timeline by segment, those included that do not count. */
  readonly pieces: ReadonlyMap<number, readonly PieceRef[]>
  /** Segments in neither log nor archive. */
  readonly lost: { readonly fromSegment: number; readonly throughSegment: number } | undefined
}

/**
 * Compares the log with the archive.
 *
 * @param compared - names of pieces whose content was found equal to the log's; filled, so that a second survey is quick.
 * @throws ARCHIVE_TIMELINE_ENDED when a promotion ended the timeline
 * @throws ARCHIVE_CONFLICT when they are two histories, ARCHIVE_AHEAD when the archive knows more, ARCHIVE_LOG_EMPTY,
 * ARCHIVE_LOG_FOREIGN
 */
export async function surveyShipment(shipment: Shipment, compared: Set<string>): Promise<Survey> {
  const { archive, identity } = shipment
  // Pieces before events: as in `catalogue`.
  const listed = await archive.listPieces(identity.timeline)
  const fold = await archive.journal.refresh()
  // Before anything is compared: behind the end, log and archive may differ in any way.
  refuseEnded(fold, identity.timeline)
  const local = await localSegments(shipment)
  const archived = archivedSegments(fold, identity.timeline)
  compareSegments(local, archived)
  const counted = fold.countedPieces(listed).filter((piece) => !archived.has(piece.segmentNumber))
  const pieced = await comparePieces(shipment, { local, counted, compared })
  const { timeline } = identity
  const held: Held = {
    hasSegment: (number) => archived.has(number) || fold.retired.hasSegment(timeline, number),
    numbers: [...archived.keys(), fold.retired.newestSegment(timeline)],
  }
  return { ...placeOf(local, held, counted), pieced, pieces: bySegment(listed) }
}

/** Segments that need no shipping: archived, or archived once and let go by retention. */
interface Held {
  hasSegment(segmentNumber: number): boolean
  readonly numbers: readonly number[]
}

function placeOf(
  local: readonly SegmentSummary[],
  held: Held,
  counted: readonly PieceRef[],
): Pick<Survey, 'nextSegment' | 'nextLsnBefore' | 'archivedSegment' | 'lost'> {
  const next = local.find((segment) => !held.hasSegment(segment.header.segmentNumber))
  const last = local.at(-1)
  const nextSegment = next?.header.segmentNumber ?? (last?.header.segmentNumber ?? 0) + 1
  const nextLsnBefore = next === undefined ? (last?.lastLsn ?? 0) : next.firstLsn - 1
  const numbers = held.numbers.filter((number) => number < nextSegment)
  const archivedSegment = Math.max(0, ...numbers)
  const pieced = counted.map((piece) => piece.segmentNumber).filter((number) => number < nextSegment)
  const known = Math.max(archivedSegment, ...pieced)
  const isLost = known > 0 && known + 1 < nextSegment
  return {
    nextSegment,
    nextLsnBefore,
    archivedSegment,
    lost: isLost ? { fromSegment: known + 1, throughSegment: nextSegment - 1 } : undefined,
  }
}

async function localSegments({
  logDirectory,
  identity,
  fileSystem,
}: Shipment): Promise<readonly SegmentSummary[]> {
  if ((await fileSystem.status(logDirectory)) === undefined) {
    throw archiveError('ARCHIVE_LOG_MISSING', 'there is no log folder', { details: { logDirectory } })
  }
  const local = await listSegments(logDirectory, fileSystem)
  const header = local[0]?.header
  if (header === undefined) {
    throw archiveError('ARCHIVE_LOG_EMPTY', 'the log has no segment yet', { details: { logDirectory } })
  }
  const { environmentId, timeline } = header
  if (environmentId === identity.environmentId && timeline === identity.timeline) return local
  throw archiveError('ARCHIVE_LOG_FOREIGN', 'the folder holds another log', {
    details: {
      logDirectory,
      environmentId,
      timeline,
      expectedEnvironmentId: identity.environmentId,
      expectedTimeline: identity.timeline,
    },
  })
}

function archivedSegments(fold: CatalogueFold, timeline: number): ReadonlyMap<number, SegmentRef> {
  return new Map(fold.segmentsOf(timeline).map((segment) => [segment.segmentNumber, segment]))
}

/** A seal's checksum covers its segment, and the header after it repeats the seal: two checks bind both histories. */
function compareSegments(local: readonly SegmentSummary[], archived: ReadonlyMap<number, SegmentRef>): void {
  const newest = [...archived.values()].at(-1)
  const last = local.at(-1)
  if (newest !== undefined && last !== undefined && newest.segmentNumber > last.header.segmentNumber) {
    throw ahead(newest.segmentNumber)
  }
  for (const { header, sealed, sealChecksum } of local) {
    const same = archived.get(header.segmentNumber)
    if (same !== undefined && !sealed) throw ahead(header.segmentNumber)
    if (
      same !== undefined &&
      (same.headerChecksum !== header.checksum || same.sealChecksum !== sealChecksum)
    ) {
      throw conflict(header.segmentNumber)
    }
    const before = archived.get(header.segmentNumber - 1)
    if (before !== undefined && header.previous?.sealChecksum !== before.sealChecksum) {
      throw conflict(header.segmentNumber - 1)
    }
  }
}

interface PieceComparison {
  readonly local: readonly SegmentSummary[]
  readonly counted: readonly PieceRef[]
  readonly compared: Set<string>
}

/**
 * Finds how far the newest segment that has pieces is held by pieces equal to the log. Older ones need no look: the header
 * in its first piece continues them. A damaged or missing piece ends what is held: it is shipped again.
 */
async function comparePieces(shipment: Shipment, comparison: PieceComparison): Promise<Survey['pieced']> {
  const { local, counted, compared } = comparison
  const segmentNumber = counted.at(-1)?.segmentNumber
  if (segmentNumber === undefined) return undefined
  if (segmentNumber > (local.at(-1)?.header.segmentNumber ?? 0)) throw ahead(segmentNumber)
  const segment = local.find(({ header }) => header.segmentNumber === segmentNumber)
  // Its log is gone, and the pieces are all that is left of it.
  if (segment === undefined) return undefined
  const names = new PieceNames(shipment, segment)
  let endPosition = 0
  let lastLsn = segment.firstLsn - 1
  for (const piece of counted.filter((one) => one.segmentNumber === segmentNumber)) {
    if (piece.position !== endPosition) break
    if (piece.endPosition > segment.bytes) throw ahead(segmentNumber)
    if (!compared.has(piece.name) && !(await isHeld(shipment, piece, names))) break
    compared.add(piece.name)
    endPosition = piece.endPosition
    lastLsn = piece.lastLsn
  }
  return { segmentNumber, endPosition, lastLsn }
}

/** Whether a piece is whole; it must then equal the log. @throws ARCHIVE_CONFLICT */
async function isHeld(shipment: Shipment, piece: PieceRef, names: PieceNames): Promise<boolean> {
  const { archive, logDirectory, fileSystem, signal } = shipment
  refuseAborted(signal)
  const { segmentNumber, position } = piece
  const path = join(logDirectory, segmentName(segmentNumber))
  let isSame = true
  let at = position
  try {
    for await (const chunk of archive.readPiece(piece)) {
      const begin = at
      for await (const own of readRange(fileSystem, {
        path,
        position: at,
        endPosition: begin + chunk.length,
      })) {
        isSame &&= own.equals(chunk.subarray(at - begin, at - begin + own.length))
        at += own.length
      }
    }
  } catch (error) {
    if (hasCode(error, 'ARCHIVE_OBJECT_DAMAGED') || hasCode(error, 'ARCHIVE_OBJECT_MISSING')) return false
    if (hasCode(error, 'ARCHIVE_KEY_MISSING') && (await names.agree(piece))) return true
    if (hasCode(error, 'ARCHIVE_KEY_MISSING')) throw conflict(segmentNumber)
    throw error
  }
  if (isSame && at === piece.endPosition) return true
  throw conflict(segmentNumber)
}

function bySegment(pieces: readonly PieceRef[]): ReadonlyMap<number, readonly PieceRef[]> {
  const map = new Map<number, PieceRef[]>()
  for (const piece of pieces) {
    const own = map.get(piece.segmentNumber)
    if (own === undefined) map.set(piece.segmentNumber, [piece])
    else own.push(piece)
  }
  return map
}

function ahead(segmentNumber: number): Error {
  return archiveError('ARCHIVE_AHEAD', 'the archive holds more of a segment than the log', {
    details: { segmentNumber },
  })
}

function conflict(segmentNumber: number): Error {
  return archiveError('ARCHIVE_CONFLICT', 'the archive holds another history at this place', {
    details: { segmentNumber },
  })
}
