// Which records of a path can be read, and from where. Pure; the plan and the ledger of reachable points stand on it.
import type { DeltaRef } from '@timberline/archive'
import { isBulkLoadMark } from '@timberline/engine'
import { invariant, type Lsn } from '@timberline/wal'
import type { Base, History, Point, Span, Stretch } from './history.ts'

/** A span with the part of it that belongs to a path: a parent's segment may run past the fork. */
export interface PathSpan {
  readonly span: Span
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
}

/** Spans of one kind of origin; `highest[i]` is the last LSN that any of the spans up to `i` reaches. */
export interface Shelf {
  readonly spans: readonly PathSpan[]
  readonly highest: readonly Lsn[]
}

/** Consecutive LSNs, both ends included. */
export interface Run {
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
}

/** What can be read along one path. */
export interface Coverage {
  readonly path: readonly Stretch[]
  /** By kind of origin, the preferred kind first; each ascending by first LSN. */
  readonly shelves: readonly Shelf[]
  /** Maximal runs of readable records, ascending and disjoint. */
  readonly runs: readonly Run[]
  /** Bases on the path, ascending by LSN. */
  readonly bases: readonly Base[]
  /** Deltas all of whose records are the path's own. */
  readonly deltas: readonly DeltaRef[]
  /** Where data was loaded beside the log, ascending: no replay leads past one of these. */
  readonly loads: readonly Required<Point>[]
  /** The last record known to have existed on the path. */
  readonly knownThroughLsn: Lsn
}

/** Works out what can be read along `path`. */
export function coverageOf(history: History, path: readonly Stretch[]): Coverage {
  const stretches = new Map(path.map((stretch) => [stretch.timeline, stretch]))
  const spans = history.spans
    .flatMap((span) => clip(span, stretches.get(span.timeline)))
    .toSorted((a, b) => a.fromLsn - b.fromLsn)
  const bases = history.bases
    .filter((base) => {
      const stretch = stretches.get(base.timeline)
      // The state at the fork is also the state before a timeline's first record.
      return stretch !== undefined && base.lsn >= stretch.fromLsn - 1 && base.lsn <= stretch.throughLsn
    })
    .toSorted((a, b) => a.lsn - b.lsn)
  const known = history.known.flatMap((point) => {
    const stretch = stretches.get(point.timeline)
    return stretch === undefined ? [] : [Math.min(point.lsn, stretch.throughLsn)]
  })
  const forks = path.filter(hasPlace).map((stretch) => stretch.fromLsn - 1)
  const ends = [...known, ...forks, ...bases.map((base) => base.lsn), ...spans.map((span) => span.throughLsn)]
  const knownThroughLsn = ends.reduce((a, b) => Math.max(a, b), 0)
  // One that runs past a fork holds writes that the path never saw.
  const deltas = (history.deltas ?? []).filter(({ timeline, firstLsn, lastLsn }) => {
    const stretch = stretches.get(timeline)
    return stretch !== undefined && stretch.fromLsn <= firstLsn && lastLsn <= stretch.throughLsn
  })
  const loads = history.marks
    .filter((mark) => {
      const stretch = stretches.get(mark.timeline)
      const isOwn = stretch !== undefined && stretch.fromLsn <= mark.lsn && mark.lsn <= stretch.throughLsn
      return isOwn && isBulkLoadMark(mark)
    })
    .map(({ lsn, committedAtUs }) => ({ lsn, committedAtUs }))
    .toSorted((a, b) => a.lsn - b.lsn)
  return { path, shelves: shelvesOf(spans), runs: unite(spans), bases, deltas, loads, knownThroughLsn }
}

/** The last LSN that replay from `lsn` can reach: before a record that is missing, or data that was loaded beside the log. */
export function reachFrom(coverage: Coverage, lsn: Lsn): Lsn {
  const next = coverage.runs.find((run) => run.fromLsn <= lsn + 1 && lsn + 1 <= run.throughLsn)
  if (next === undefined) return lsn
  const load = loadAfter(coverage, lsn)
  return load === undefined ? next.throughLsn : Math.min(next.throughLsn, load.lsn - 1)
}

/** The first load beside the log that replay from `lsn` would meet. */
export function loadAfter(coverage: Coverage, lsn: Lsn): Required<Point> | undefined {
  return coverage.loads.find((load) => load.lsn > lsn)
}

/**
 * The span to read record `lsn` from: a whole archived segment before pieces, pieces before a backup's own copy, and among
 * equals the one that reaches furthest.
 */
export function spanAt(coverage: Coverage, lsn: Lsn): PathSpan | undefined {
  for (const shelf of coverage.shelves) {
    const found = onShelf(shelf, lsn)
    if (found !== undefined) return found
  }
  return undefined
}

/** What to read, in order, for a range of records, all of which are covered. */
export function spansThrough(
  coverage: Coverage,
  { fromLsn, throughLsn }: { readonly fromLsn: Lsn; readonly throughLsn: Lsn },
): PathSpan[] {
  const spans: PathSpan[] = []
  for (let lsn = fromLsn; lsn <= throughLsn;) {
    const found = spanAt(coverage, lsn)
    invariant(found !== undefined, `record ${lsn} is covered`)
    spans.push({ span: found.span, fromLsn: lsn, throughLsn: Math.min(found.throughLsn, throughLsn) })
    lsn = found.throughLsn + 1
  }
  return spans
}

function onShelf({ spans, highest }: Shelf, lsn: Lsn): PathSpan | undefined {
  let low = 0
  let high = spans.length
  while (low < high) {
    const middle = (low + high) >>> 1
    // v8 ignore next -- the index is in range
    const fromLsn = spans[middle]?.fromLsn ?? Infinity
    if (fromLsn <= lsn) low = middle + 1
    else high = middle
  }
  let best: PathSpan | undefined
  // Spans of one kind hardly overlap, so that this looks at one or two.
  for (let index = low - 1; index >= 0; index--) {
    // v8 ignore next -- the index is in range
    const reachLsn = highest[index] ?? 0
    if (reachLsn < lsn) break
    const candidate = spans[index]
    if (candidate !== undefined && candidate.throughLsn > (best?.throughLsn ?? lsn - 1)) best = candidate
  }
  return best
}

const preference = ['segment', 'pieces', 'files', 'backup'] as const

function shelvesOf(spans: readonly PathSpan[]): Shelf[] {
  return preference.map((type) => {
    const own = spans.filter(({ span }) => span.origin.type === type)
    let top = 0
    return { spans: own, highest: own.map(({ throughLsn }) => (top = Math.max(top, throughLsn))) }
  })
}

/** A timeline that was left before it began, by a recovery to its ancestors' past, tells nothing of the path's own records. */
function hasPlace({ fromLsn, throughLsn }: Stretch): boolean {
  return fromLsn <= throughLsn + 1
}

function clip(span: Span, stretch: Stretch | undefined): PathSpan[] {
  if (stretch === undefined) return []
  const fromLsn = Math.max(span.firstLsn, stretch.fromLsn)
  const throughLsn = Math.min(span.lastLsn, stretch.throughLsn)
  return fromLsn > throughLsn ? [] : [{ span, fromLsn, throughLsn }]
}

function unite(spans: readonly PathSpan[]): Run[] {
  const runs: Run[] = []
  for (const { fromLsn, throughLsn } of spans) {
    const last = runs.at(-1)
    if (last !== undefined && fromLsn <= last.throughLsn + 1) {
      runs[runs.length - 1] = { fromLsn: last.fromLsn, throughLsn: Math.max(last.throughLsn, throughLsn) }
    } else {
      runs.push({ fromLsn, throughLsn })
    }
  }
  return runs
}
