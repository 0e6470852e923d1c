// How fast a copy of a running database may be: as asked for, or else what a writer beside it hardly feels.
import type { HotbackupOptions } from '@timberline/hotbackup'
import type { Arguments } from './arguments.ts'

/** What words of `--max-mb-per-s` become. */
export const RATE_WORDS: ReadonlyMap<string, number> = new Map([
  ['none', 0],
  ['full', Infinity],
])

/** The limit while there are commits, when none was asked for (docs/decisions/0031-easy-on-the-writer.md). */
export const BESIDE_WRITERS_MB_PER_S = 10

/** The limits of a backup by `--max-mb-per-s`. */
export function ratesOf(args: Arguments): Pick<HotbackupOptions, 'maxMbPerS' | 'maxMbPerSBesideWriters'> {
  const maxMbPerS = args.number('max-mb-per-s')
  if (maxMbPerS === undefined) return { maxMbPerSBesideWriters: BESIDE_WRITERS_MB_PER_S }
  return maxMbPerS === RATE_WORDS.get('none') ? {} : { maxMbPerS }
}
