// Merging of pieces: FORMAT.md#segments-and-pieces. The longer piece stands, read back, before the shorter ones go; a crash
// between leaves both, and the longer counts.
import { join } from 'node:path'
import { segmentName } from '@timberline/wal'
import type { PieceRef } from '../catalogue/catalogue.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import { parsePieceName, pieceName } from '../layout.ts'
import { rangeContent } from './file-range.ts'
import { hold } from './held-pieces.ts'
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
export async function mergePieces(
  voyage: Voyage,
  run: readonly [PieceRef, ...PieceRef[]],
): Promise<MergedPiece> {
  const { shipment, reign, pieces } = voyage
  const { archive, fileSystem, signal, logDirectory } = shipment
  await reign.check()
  const [first] = run
  const last = run.at(-1) ?? first
  const { timeline, segmentNumber, position, firstLsn } = first
  const { endPosition, lastLsn, lastCommittedAtUs } = last
  const place = { timeline, segmentNumber, position, endPosition, firstLsn, lastLsn, lastCommittedAtUs }
  const name = pieceName({ ...place, epoch: reign.epoch })
  // Known before it is put, as any piece.
  if (pieces.get(segmentNumber)?.some((piece) => piece.name === name) !== true) {
    hold(pieces, segmentNumber, { name })
  }
  const range = { path: join(logDirectory, segmentName(segmentNumber)), position, endPosition }
  const content = await rangeContent(fileSystem, range, signal)
  const { storedBytes } = await archive.putObject(name, content)
  // It stood before any later claim, so every later survey finds it: only now may the shorter ones go.
  await reign.check()
  const merged = { ...place, epoch: reign.epoch, name, storedBytes }
  const own = pieces.get(segmentNumber) ?? []
  const covered = new Set(coveredPieces(refsOf(own), [merged]).map((piece) => piece.name))
  const gone = own.filter((piece) => covered.has(piece.name))
  const count = await removePieces(
    shipment,
    gone,
    own.filter((piece) => !covered.has(piece.name)),
  )
  const objects = new Set(gone.flatMap(({ bundle }) => bundle ?? []))
  // Asked anew: other pieces were put meanwhile, into bundles of later slots.
  const after = (pieces.get(segmentNumber) ?? []).filter((piece) => !covered.has(piece.name))
  const kept = new Set(after.map(({ bundle }) => bundle))
  pieces.set(
    segmentNumber,
    after.filter(({ name: one }) => !objects.has(one) || kept.has(one)),
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
