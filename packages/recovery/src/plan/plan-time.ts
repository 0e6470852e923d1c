// Times to LSNs, as far as the catalogue alone can tell.
import type { Lsn } from '@timberline/wal'
import { type Coverage, type PathSpan, spanAt } from '../history/coverage.ts'
import type { Base } from '../history/history.ts'
import { isDroppedAt, type Target } from './target.ts'

/** Where a time lies: known exactly, inside the span that ends at `throughLsnMax`, or past all that can be read. */
export type TimeEnd =
  | { readonly type: 'known'; readonly throughLsn: Lsn; readonly throughLsnMax: Lsn }
  | { readonly type: 'inside'; readonly throughLsnMax: Lsn }
  | { readonly type: 'unknown'; readonly reach: Lsn }

/**
 * Walks from the base to the span that holds the time. That a time is reached is proved only by a record committed at that
 * time or later: otherwise commits before it could be missing from the end.
 */
export function endOfTime(coverage: Coverage, base: Base, target: Target & { type: 'time' }): TimeEnd {
  const { atUs, edge } = target
  if (base.committedAtUs === atUs) return exactly(base.lsn)
  let lsn = base.lsn + 1
  for (let found = spanAt(coverage, lsn); found !== undefined; found = spanAt(coverage, lsn)) {
    const { span, throughLsn } = found
    const first = firstTime(found, lsn)
    if (first !== undefined && isDroppedAt(first, target)) return exactly(lsn - 1)
    const isWhole = throughLsn === span.lastLsn
    if (isWhole && span.lastCommittedAtUs === atUs)
      return exactly(edge === 'through' ? throughLsn : throughLsn - 1)
    if (span.lastCommittedAtUs >= atUs) {
      if (isWhole) return { type: 'inside', throughLsnMax: throughLsn - 1 }
      // Cut at a fork: its own last time says nothing, the next timeline's first one may.
      const next = spanAt(coverage, throughLsn + 1)
      const nextFirst = next === undefined ? undefined : firstTime(next, throughLsn + 1)
      if (nextFirst === undefined || isDroppedAt(nextFirst, target))
        return { type: 'inside', throughLsnMax: throughLsn }
    }
    lsn = throughLsn + 1
  }
  return { type: 'unknown', reach: lsn - 1 }
}

function exactly(throughLsn: Lsn): TimeEnd {
  return { type: 'known', throughLsn, throughLsnMax: throughLsn }
}

function firstTime({ span }: PathSpan, lsn: Lsn): number | undefined {
  return span.firstLsn === lsn ? span.firstCommittedAtUs : undefined
}
