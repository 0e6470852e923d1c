/** What a soak test is given: its share of the run's time and the seed, by the environment that `pnpm soak` sets. */

const SEED_DEFAULT = 20_261_125
const MINUTES_DEFAULT = 1

/** The seed of everything that this run draws. */
export const seed: number = Number(process.env['SEED'] ?? SEED_DEFAULT)

/** The time that this file has, in milliseconds. */
export const shareMs: number = Number(process.env['SOAK_MINUTES'] ?? MINUTES_DEFAULT) * 60_000

/**
 * Whether to go on, for one of the tests that divide the file's time equally. The first answer is always yes, so that the
 * shortest run does one whole round; a round that has begun is finished.
 */
export function roundsWithin(testsInFile: number): () => boolean {
  const endMs = performance.now() + shareMs / testsInFile
  let rounds = 0
  return () => {
    rounds += 1
    return rounds === 1 || performance.now() < endMs
  }
}
