// Who may archive, one after the other, and which pieces count by that: FORMAT.md#segments-and-pieces.
import type { OwnerRef, PieceRef } from './catalogue.ts'

/** The owners of an archive. */
export class Owners {
  readonly #all: OwnerRef[] = []

  /** The one that may archive. */
  get current(): OwnerRef | undefined {
    return this.#all.at(-1)
  }

  claim(owner: OwnerRef): void {
    this.#all.push(owner)
  }

  adopt({ segmentNumber, endPosition }: { segmentNumber: number; endPosition: number }): void {
    const owner = this.current
    if (owner !== undefined) {
      this.#all[this.#all.length - 1] = { ...owner, adopted: { segmentNumber, endPosition } }
    }
  }

  /** The present owner goes over to another timeline. What it adopted of the old one stays, in the entry before. */
  goOver(timeline: number, atUs: number): void {
    const owner = this.current
    if (owner === undefined) return
    this.#all.push({
      ...owner,
      timeline,
      claimedAtUs: atUs,
      adopted: { segmentNumber: 0, endPosition: 0 },
    })
  }

  /**
   * Pieces that count. One of an older epoch counts only as far as the owners after it adopted: a shipper that lost its
   * right may have had one put under way, and nobody may build on that.
   */
  countedPieces(listed: readonly PieceRef[]): readonly PieceRef[] {
    const later = (piece: PieceRef): readonly OwnerRef[] =>
      this.#all.filter((owner) => owner.epoch > piece.epoch && owner.timeline === piece.timeline)
    const counted = listed
      .filter((piece) => piece.epoch <= (this.current?.epoch ?? 0))
      .filter((piece) =>
        later(piece).every(({ adopted }) => adopted === undefined || reaches(adopted, piece)),
      )
      .toSorted((a, b) => bySegment(a, b) || a.position - b.position || b.endPosition - a.endPosition)
    let before: PieceRef | undefined
    return counted.filter((piece) => {
      // A put whose answer was lost may have stood while a longer piece was tried again.
      const isHeld =
        before !== undefined && bySegment(before, piece) === 0 && piece.position < before.endPosition
      if (!isHeld) before = piece
      return !isHeld
    })
  }
}

function reaches(adopted: NonNullable<OwnerRef['adopted']>, piece: PieceRef): boolean {
  if (piece.segmentNumber !== adopted.segmentNumber) return piece.segmentNumber < adopted.segmentNumber
  return piece.endPosition <= adopted.endPosition
}

/** Order of segments, and of what is part of one. */
export function bySegment(
  a: { readonly timeline: number; readonly segmentNumber: number },
  b: { readonly timeline: number; readonly segmentNumber: number },
): number {
  return a.timeline - b.timeline || a.segmentNumber - b.segmentNumber
}
