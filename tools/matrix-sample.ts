/*
 * Which cells of a matrix of faults a run strikes. The matrices of the packages, whole, would take half of the time of the default
 * tests: these strike one cell in so many, SEED tells which. `pnpm soak matrices` strikes each, and so does a planted bug, which is
 * not to escape by chance.
 */

/** Whether this run strikes each cell of every matrix. */
export const strikesAll: boolean = process.env['SOAK'] === '1' || process.env['PLANTED_BUG'] !== undefined

const seed = Number(process.env['SEED'] ?? '1')

/**
 * One in `share` of the cells, in their order; all of them where the run strikes each.
 *
 * @param turn - begins so many cells later, so that several kinds of fault share the cells among them
 */
export function oneIn<T>(share: number, cells: readonly T[], turn = 0): readonly T[] {
  return strikesAll ? cells : cells.filter((_, at) => at % share === (seed + turn) % share)
}

/** The numbers from 1 on of so many operations, as faults are told where to strike. */
export function operationsOf(count: number): readonly number[] {
  return Array.from({ length: count }, (_, at) => at + 1)
}
