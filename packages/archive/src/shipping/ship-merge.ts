// Merging of pieces: FORMAT.md#segments-and-pieces. The longer piece stands, read back, before the shorter ones go; a crash
// between leaves both, and the longer counts.
import { join } from 'node:path'
import { segmentName } from '@timberline/wal'
import type { PieceRef } from '../catalogue/catalogue.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import { parsePieceName, pieceName } from '../catalogue/layout.ts'
import { rangeContent } from './file-range.ts'
import { coveredPieces, mergeableRuns, type PieceRun } from './piece-levels.ts'
import type { Voyage } from './ship-begin.ts'
import { removePieces } from './ship-segment.ts'

/** A piece that took the place of shorter ones. */
export interface MergedPiece {
  readonly position: number
  readonly endPosition: number
  /** Objects removed for it. */
  readonly count: number
  readonly storedBytes: number
}

/** The runs of a segment's pieces that can be merged now; asks the store nothing. */
export function runsToMerge(voyage: Voyage, segmentNumber: number): readonly PieceRun[] {
  const counted = countedPieces(voyage, segmentNumber, voyage.shipment.archive.journal.fold)
  return mergeableRuns(counted, counted.at(-1)?.lastCommittedAtUs ?? 0)
}

/** Makes one piece of a run. Safe to repeat after an error. @throws ARCHIVE_FENCED, ARCHIVE_CONFLICT */
export async function mergePieces(voyage: Voyage, run: PieceRun): Promise<MergedPiece> {
  const { shipment, reign, pieces } = voyage
  const { archive, fileSystem, signal, logDirectory } = shipment
  await reign.check()
  const [first] = run
  const last = run.at(-1) ?? first
  const { timeline, segmentNumber, position, firstLsn } = first
  const { endPosition, lastLsn, lastCommittedAtUs } = last
  const place = { timeline, segmentNumber, position, endPosition, firstLsn, lastLsn, lastCommittedAtUs }
  const name = pieceName({ ...place, epoch: reign.epoch })
  const own = pieces.get(segmentNumber) ?? []
  // Known before it is put, as any piece.
  if (!own.some((piece) => piece.name === name)) own.push({ name })
  pieces.set(segmentNumber, own)
  const range = { path: join(logDirectory, segmentName(segmentNumber)), position, endPosition }
  const content = await rangeContent(fileSystem, range, signal)
  const { storedBytes } = await archive.putObject(name, content)
  // It stood before any later claim, so every later survey finds it: only now may the shorter ones go.
  await reign.check()
  const merged = { ...place, epoch: reign.epoch, name, storedBytes }
  const covered = coveredPieces(refsOf(own), [merged])
  const count = await removePieces(shipment, covered)
  const gone = new Set(covered.map((piece) => piece.name))
  pieces.set(
    segmentNumber,
    (pieces.get(segmentNumber) ?? []).filter((piece) => !gone.has(piece.name)),
  )
  return { position, endPosition, count, storedBytes }
}

function countedPieces(voyage: Voyage, segmentNumber: number, fold: CatalogueFold): readonly PieceRef[] {
  // A piece that is only under way has its name here too.
  const endPosition = voyage.backlog.piecedPosition(segmentNumber)
  const stand = refsOf(voyage.pieces.get(segmentNumber) ?? []).filter(
    (piece) => piece.endPosition <= endPosition,
  )
  return fold.countedPieces(stand)
}

function refsOf(pieces: readonly Pick<PieceRef, 'name'>[]): readonly PieceRef[] {
  return pieces.flatMap(({ name }) => parsePieceName({ name, bytes: 0 }) ?? [])
}
