// A sample is a function of seed and names: the same seed over the same archive reads the same objects, so that what a nightly
// sample found can be looked at again, and another seed each night comes round to every object.
import { createHash } from 'node:crypto'
import { archiveError } from '../errors.ts'

/** Which part of the objects to read: a share of them, rounded up, or a number; chosen by `seed`. */
export interface VerifySample {
  readonly seed: string
  /** Above 0, at most 1. */
  readonly share?: number | undefined
  /** From 1 on; more than there are means all. */
  readonly count?: number | undefined
}

/** The names that a sample takes. @throws ARCHIVE_OPTION_INVALID unless exactly one of share and count is given, in bounds */
export function sampleOf(names: readonly string[], sample: VerifySample): ReadonlySet<string> {
  const { seed } = sample
  const ranked = names.map((name) => ({
    name,
    rank: createHash('sha256').update(`${seed}\n${name}`).digest('hex'),
  }))
  ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1))
  return new Set(ranked.slice(0, takenOf(names.length, sample)).map(({ name }) => name))
}

function takenOf(known: number, { share, count }: VerifySample): number {
  if (share !== undefined && count === undefined && share > 0 && share <= 1) return Math.ceil(known * share)
  if (count !== undefined && share === undefined && Number.isSafeInteger(count) && count > 0) return count
  throw archiveError('ARCHIVE_OPTION_INVALID', 'a sample is a share above 0 and at most 1, or a count', {
    details: { share, count },
  })
}
