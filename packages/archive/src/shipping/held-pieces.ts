// What a shipper knows of the pieces in its archive, so that they go when they are replaced, without a listing.
import type { PieceRef } from '../catalogue/catalogue.ts'

/** A piece, or a bundle by itself, which may have no whole part in it. */
export interface HeldPiece {
  readonly name: string
  /** The bundle that holds it; absent when it is an object of its own. */
  readonly bundle?: string | undefined
}

/** By segment: those that are not archived whole yet. Entered before they are put, so that a put of unknown outcome is removed. */
export type HeldPieces = Map<number, HeldPiece[]>

/** Enters a piece that is put next. */
export function hold(held: HeldPieces, segmentNumber: number, piece: HeldPiece): void {
  const own = held.get(segmentNumber)
  if (own === undefined) held.set(segmentNumber, [piece])
  else own.push(piece)
}

/** A piece of a listing. */
export function heldPieceOf({ name, within }: PieceRef): HeldPiece {
  return within === undefined ? { name } : { name, bundle: within.name }
}
