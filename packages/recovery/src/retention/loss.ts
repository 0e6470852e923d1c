// What damage makes unreachable, as a function of the catalogue: what can be restored from all of it, less what can be restored
// without the objects that are damaged. A backup and the log overlap, so that damage often costs nothing but a second copy.
import { type Catalogue, type FindingSubject, uncovered } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import { historyOf } from '../plan/catalogue-history.ts'
import { type Coverage, type Run, spanAt } from '../history/coverage.ts'
import type { History, Span } from '../history/history.ts'
import { pathsOf, restorabilityOf } from '../plan/restorability.ts'

/** Records of one timeline that no recovery can end at, both ends included. */
export interface LostRange {
  readonly timeline: number
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
  /** Commit time of the last record known before the range or at its beginning, microseconds since 1970. */
  readonly fromCommittedAtUs: number
  /** Commit time of the first record known at the end of the range or behind it. */
  readonly throughCommittedAtUs?: number
}

/** What one damaged object costs. */
export interface Loss {
  /** Lost for want of it: by its damage alone, or together with the other damage. Empty when something else holds the same. */
  readonly ranges: readonly LostRange[]
  /** What holds the same, when nothing is lost: names of segments and backups. */
  readonly coveredBy: readonly string[]
}

/** What all damage costs together, and each object for itself, in the order of the subjects. */
export interface LossReport {
  readonly total: readonly LostRange[]
  readonly each: readonly Loss[]
}

/**
 * What cannot be recovered from an archive when these of its objects cannot be read. A gap costs all records behind it as far as
 * the next backup. What lies before the oldest backup of a timeline is no loss: it could not be had before. Pure.
 */
export function lostBy(catalogue: Catalogue, subjects: readonly FindingSubject[]): LossReport {
  const whole = historyWithout(catalogue, [])
  const left = historyWithout(catalogue, subjects)
  const { ranges: before, holes } = restorabilityOf(whole)
  const after = reachableIn(left)
  const holeOf = (subject: FindingSubject): readonly TimelineRun[] =>
    subject.type === 'gap'
      ? holes.filter((hole) => hole.reason === 'log-missing' && holds(hole, subject))
      : []
  const coverages = { whole: coveragesOf(whole), left: coveragesOf(left) }
  const told = (lost: readonly TimelineRun[]): readonly LostRange[] =>
    united(lost).map((range) => dated(range, coverages.whole))
  const each = subjects.map((subject, index): Loss => {
    const alone = reachableIn(historyWithout(catalogue, [subject]))
    const others = reachableIn(historyWithout(catalogue, subjects.toSpliced(index, 1)))
    const ranges = told([...holeOf(subject), ...subtract(before, alone), ...subtract(others, after)])
    return { ranges, coveredBy: ranges.length > 0 ? [] : coverersOf(subject, coverages.left) }
  })
  return { total: told([...subtract(before, after), ...subjects.flatMap(holeOf)]), each }
}

function coveragesOf(history: History): ReadonlyMap<number, Coverage> {
  return new Map(pathsOf(history).map(({ timeline, coverage }) => [timeline, coverage]))
}

type TimelineRun = Run & { readonly timeline: number }

function reachableIn(history: History): readonly TimelineRun[] {
  return restorabilityOf(history).ranges
}

/** What an archive can supply when these objects cannot be read; what is known to have existed stays known. */
function historyWithout(catalogue: Catalogue, subjects: readonly FindingSubject[]): History {
  const gone = new Set(
    subjects.flatMap((subject) => {
      if (subject.type === 'segment') return [subject.segment.name]
      return subject.type === 'piece' ? [subject.piece.name] : []
    }),
  )
  const baseless = new Set<string>()
  const logless = new Set<string>()
  for (const subject of subjects) {
    if (subject.type !== 'manifest' && subject.type !== 'backup-file') continue
    const part = partOf(subject)
    if (part === 'base' || part === 'all') baseless.add(subject.backup.label)
    if (part === 'log' || part === 'all') logless.add(subject.backup.label)
  }
  const { known, branches } = historyOf(catalogue)
  const kept = historyOf({
    ...catalogue,
    segments: catalogue.segments.filter(({ name }) => !gone.has(name)),
    pieces: catalogue.pieces.filter(({ name }) => !gone.has(name)),
  })
  return {
    ...kept,
    branches,
    known,
    bases: kept.bases.filter(({ label }) => !baseless.has(label)),
    spans: kept.spans.filter(({ origin }) => origin.type !== 'backup' || !logless.has(origin.backup.label)),
  }
}

/** What of a backup goes with an object: its tables make the base, its log holds records; all else only describes it. */
function partOf(
  subject: FindingSubject & { readonly type: 'manifest' | 'backup-file' },
): 'all' | 'base' | 'log' | undefined {
  if (subject.type === 'manifest') return 'all'
  if (subject.file.name.startsWith('log/')) return 'log'
  return subject.file.name.startsWith('checkpoint/') ? 'base' : undefined
}

/** What else holds the records, or the base, of a damaged object. */
function coverersOf(subject: FindingSubject, coverages: ReadonlyMap<number, Coverage>): readonly string[] {
  // A delta only shortens the way through these.
  if (subject.type === 'delta')
    return [`the log of lsn ${subject.delta.firstLsn} to ${subject.delta.lastLsn}`]
  const place = placeOf(subject)
  const coverage = place === undefined ? undefined : coverages.get(place.timeline)
  if (place === undefined || coverage === undefined) return []
  const names = new Set<string>()
  if (place.isBase) {
    const base = coverage.bases.findLast(({ lsn }) => lsn < place.fromLsn)
    // v8 ignore next -- where no base is lost for anything, another one is before it
    if (base !== undefined) names.add(`backup ${base.label}`)
  }
  for (let lsn = place.fromLsn; lsn <= place.throughLsn;) {
    const found = spanAt(coverage, lsn)
    if (found === undefined) break
    names.add(nameOf(found.span))
    lsn = found.throughLsn + 1
  }
  return [...names]
}

function placeOf(
  subject: Exclude<FindingSubject, { readonly type: 'delta' }>,
): (TimelineRun & { readonly isBase: boolean }) | undefined {
  switch (subject.type) {
    case 'segment':
    case 'piece': {
      const { timeline, firstLsn, lastLsn } = subject.type === 'segment' ? subject.segment : subject.piece
      return { timeline, fromLsn: firstLsn, throughLsn: lastLsn, isBase: false }
    }
    case 'manifest':
    case 'backup-file': {
      const { timeline, lsn, endLsn } = subject.backup
      const part = partOf(subject)
      if (part === undefined) return undefined
      return {
        timeline,
        fromLsn: lsn + 1,
        throughLsn: part === 'base' ? lsn : endLsn,
        isBase: part !== 'log',
      }
    }
    case 'file':
    case 'gap':
      return undefined
  }
}

function nameOf({ origin, segmentNumber }: Span): string {
  if (origin.type === 'segment') return origin.segment.name
  return origin.type === 'backup' ? `backup ${origin.backup.label}` : `pieces of segment ${segmentNumber}`
}

function holds(
  range: TimelineRun,
  { timeline, lsn }: { readonly timeline: number; readonly lsn: Lsn },
): boolean {
  return range.timeline === timeline && range.fromLsn <= lsn && lsn <= range.throughLsn
}

/** Maximal runs, by timeline and ascending. */
function united(runs: readonly TimelineRun[]): readonly TimelineRun[] {
  const result: TimelineRun[] = []
  for (const run of runs.toSorted((a, b) => a.timeline - b.timeline || a.fromLsn - b.fromLsn)) {
    const last = result.at(-1)
    if (last?.timeline === run.timeline && run.fromLsn <= last.throughLsn + 1) {
      result[result.length - 1] = { ...last, throughLsn: Math.max(last.throughLsn, run.throughLsn) }
    } else result.push(run)
  }
  return result
}

/** The parts of `runs` that none of `others` holds; both united. */
function subtract(runs: readonly TimelineRun[], others: readonly TimelineRun[]): readonly TimelineRun[] {
  return runs.flatMap((run) => {
    const own = others.filter(({ timeline }) => timeline === run.timeline)
    return uncovered(run, own).map((part) => ({ timeline: run.timeline, ...part }))
  })
}

/** Only the ends of spans and the bases have times that are known without reading. */
function dated(run: TimelineRun, coverages: ReadonlyMap<number, Coverage>): LostRange {
  const { timeline, fromLsn, throughLsn } = run
  const coverage = coverages.get(timeline)
  // v8 ignore next -- a range is of a timeline that has a coverage
  if (coverage === undefined) return { ...run, fromCommittedAtUs: 0 }
  // A range begins at a base or behind one.
  let from = { lsn: 0, atUs: 0 }
  let through: { readonly lsn: Lsn; readonly atUs: number } | undefined
  const see = (lsn: Lsn, atUs: number | undefined): void => {
    if (atUs === undefined) return
    if (lsn <= fromLsn && lsn >= from.lsn) from = { lsn, atUs }
    if (lsn >= throughLsn && (through === undefined || lsn <= through.lsn)) through = { lsn, atUs }
  }
  for (const { lsn, committedAtUs } of coverage.bases) see(lsn, committedAtUs)
  for (const { span, throughLsn: endLsn } of coverage.shelves.flatMap(({ spans }) => spans)) {
    see(span.firstLsn, span.firstCommittedAtUs)
    if (endLsn === span.lastLsn) see(endLsn, span.lastCommittedAtUs)
  }
  return {
    timeline,
    fromLsn,
    throughLsn,
    fromCommittedAtUs: from.atUs,
    ...(through === undefined ? {} : { throughCommittedAtUs: through.atUs }),
  }
}
