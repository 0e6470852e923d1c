// Merging in levels keeps the count of pieces small while a segment is active for long: a day of one piece a second is 86,400
// objects, and a few dozen merged. A piece belongs to the slot of its last commit, and slots nest; so merged pieces nest too,
// whichever shipper made them, and rule 4 of FORMAT.md never drops one that reaches further than the one it prefers.
import type { PieceRef } from '../catalogue/catalogue.ts'
import { isWithin } from './segment-content.ts'

/** Lengths of the slots of each level, longest first, in microseconds of commit time; each is a multiple of the next. */
export const LEVEL_SLOTS_US: readonly number[] = [3_600_000_000, 300_000_000, 30_000_000]

/** Pieces that are to become one: at least two, without a hole between. */
export type PieceRun = readonly [PieceRef, PieceRef, ...PieceRef[]]

/**
 * The runs of counted pieces of one segment, ascending, that become one piece each: those of a slot that no commit can join
 * any more, because the newest piece is of a later one. A piece goes into the longest such slot.
 */
export function mergeableRuns(pieces: readonly PieceRef[], newestAtUs: number): readonly PieceRun[] {
  const groups: PieceRef[][] = []
  let slotBefore = ''
  for (const piece of pieces) {
    const slot = finishedSlot(piece.lastCommittedAtUs, newestAtUs)
    const group = groups.at(-1)
    const isNext = group?.at(-1)?.endPosition === piece.position
    if (group !== undefined && isNext && slot !== undefined && slot === slotBefore) group.push(piece)
    else groups.push([piece])
    slotBefore = slot ?? ''
  }
  return groups.flatMap((group) => (isRun(group) ? [group] : []))
}

/** The runs of counted pieces of one segment that stand in bundles, slot by slot, so that what replaces them nests as all others. */
export function bundledRuns(pieces: readonly PieceRef[]): readonly (readonly [PieceRef, ...PieceRef[]])[] {
  const runs: [PieceRef, ...PieceRef[]][] = []
  for (const piece of pieces) {
    if (piece.within === undefined) continue
    const before = runs.at(-1)?.at(-1)
    const isNext = before?.endPosition === piece.position
    const isSlot = mergeSlot(before?.lastCommittedAtUs ?? 0) === mergeSlot(piece.lastCommittedAtUs)
    if (isNext && isSlot) runs.at(-1)?.push(piece)
    else runs.push([piece])
  }
  return runs
}

/** Nothing becomes mergeable while the newest commit stays in one of these: no slot of any level ends within it. */
export function mergeSlot(newestAtUs: number): number {
  return Math.floor(newestAtUs / Math.min(...LEVEL_SLOTS_US))
}

/** Pieces that stand wholly within another one which counts, so that nobody needs them. */
export function coveredPieces(
  listed: readonly PieceRef[],
  counted: readonly PieceRef[],
): readonly PieceRef[] {
  return listed.filter((piece) => counted.some((one) => one.name !== piece.name && isWithin(piece, one)))
}

function finishedSlot(atUs: number, newestAtUs: number): string | undefined {
  const slotUs = LEVEL_SLOTS_US.find((us) => Math.floor(atUs / us) < Math.floor(newestAtUs / us))
  return slotUs === undefined ? undefined : `${slotUs}/${Math.floor(atUs / slotUs)}`
}

function isRun(group: readonly PieceRef[]): group is [PieceRef, PieceRef, ...PieceRef[]] {
  return group.length > 1
}
