// What may go: a pure function of the catalogue, the promise and the clock. It thinks in paths from the root, because a
// backup and a segment of one timeline may carry the promise of another that left it.
import {
  type BackupRef,
  type Catalogue,
  type PieceRef,
  type RetentionDecision,
  type RetentionPromise,
  type SegmentRange,
  type SegmentRef,
  uncovered,
} from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import { historyOf } from '../plan/catalogue-history.ts'
import type { Coverage } from '../history/coverage.ts'
import { newestTimeline } from '../history/history.ts'
import { pathsOf, reachableRuns, type StateRun, type TimelinePath } from '../plan/restorability.ts'

/** Why a backup stays; `files`: another one that stays names objects of it. */
export type KeptFor = 'instants' | 'bases' | 'files'

/** What retention would do, shown before it does it. */
export interface RetentionPlan {
  readonly promise: RetentionPromise
  readonly nowUs: number
  /** Every backup that stays, with the parts of the promise that need it. */
  readonly kept: readonly { readonly backup: BackupRef; readonly keptFor: readonly KeptFor[] }[]
  readonly backups: readonly BackupRef[]
  readonly segments: readonly SegmentRef[]
  readonly pieces: readonly PieceRef[]
  /** The same as the journal tells it; absent when nothing can go. */
  readonly decision?: RetentionDecision
  /** What the archive holds afterwards. */
  readonly after: Catalogue
}

/** Something promised that cannot be recovered any more: states of a timeline, or a backup. */
export type PromisedLoss =
  | ({ readonly type: 'states'; readonly timeline: number } & StateRun)
  | { readonly type: 'backup'; readonly label: string }

/** The states of one timeline's path that a promise covers. */
export interface PromisedStates extends StateRun {
  readonly timeline: number
  readonly coverage: Coverage
  /** The archive has a state as old as the promise asks; otherwise it is younger than its promise. */
  readonly isFull: boolean
}

/** Everything that the promise does not need. Backups, segments and timelines go; what is not archived whole stays. */
export function planRetention(catalogue: Catalogue, promise: RetentionPromise, nowUs: number): RetentionPlan {
  const paths = livePaths(catalogue, nowUs - promise.instantsUs)
  const needs = paths.map((path) => needOf(path, nowUs - promise.instantsUs))
  const forInstants = new Set(needs.flatMap(({ bases }) => bases))
  const forBases = promisedBases(catalogue.backups, promise, nowUs)
  const forFiles = referredTo(catalogue.backups, new Set([...forInstants, ...forBases]))
  const kept = catalogue.backups.flatMap((backup) => {
    const keptFor: KeptFor[] = []
    if (forInstants.has(backup.label)) keptFor.push('instants')
    if (forBases.has(backup.label)) keptFor.push('bases')
    if (forFiles.has(backup.label)) keptFor.push('files')
    return keptFor.length === 0 ? [] : [{ backup, keptFor }]
  })
  const stays = new Set(kept.map(({ backup }) => backup))
  const backups = catalogue.backups.filter((backup) => !stays.has(backup))
  const timelines = retirable(catalogue, needs)
  const isGone = ({ timeline }: { readonly timeline: number }): boolean => timelines.includes(timeline)
  const newest = newestSegments(catalogue, needs)
  const segments = catalogue.segments.filter(
    (segment) => isGone(segment) || !(newest.has(segment) || needs.some((need) => needsPart(need, segment))),
  )
  const gone = new Set(segments)
  const pieces = catalogue.pieces.filter(isGone)
  const isEmpty = backups.length + segments.length + pieces.length === 0
  return {
    promise,
    nowUs,
    kept,
    backups,
    segments,
    pieces,
    ...(isEmpty
      ? {}
      : {
          decision: {
            backups: backups.map(({ label }) => label),
            segments: rangesOf(segments.filter((segment) => !isGone(segment))),
            timelines,
          },
        }),
    after: {
      ...catalogue,
      backups: catalogue.backups.filter((backup) => stays.has(backup)),
      segments: catalogue.segments.filter((segment) => !gone.has(segment)),
      pieces: catalogue.pieces.filter((piece) => !isGone(piece)),
    },
  }
}

/** What `promise` covers and `before` can recover, but `after` cannot. */
export function promisedLoss(
  { before, after }: { readonly before: Catalogue; readonly after: Catalogue },
  promise: RetentionPromise,
  nowUs: number,
): readonly PromisedLoss[] {
  const later = new Map(pathsOf(historyOf(after)).map(({ timeline, coverage }) => [timeline, coverage]))
  const states = promisedStates(before, promise, nowUs).flatMap((promised): PromisedLoss[] => {
    const { timeline } = promised
    const coverage = later.get(timeline)
    // v8 ignore next -- a timeline that is let go stays in the tree
    const left = coverage === undefined ? [] : reachableRuns(coverage)
    return within(reachableRuns(promised.coverage), promised)
      .flatMap((run) => uncovered(run, left))
      .map((run) => ({ type: 'states', timeline, ...run }))
  })
  const labels = new Set(after.backups.map(({ label }) => label))
  const lost = [...promisedBases(before.backups, promise, nowUs)].filter((label) => !labels.has(label))
  return [...states, ...lost.map((label): PromisedLoss => ({ type: 'backup', label }))]
}

/** What of the promise the archive cannot keep as it is, whatever retention does: states without a way to them. */
export function promiseGaps(
  catalogue: Catalogue,
  promise: RetentionPromise,
  nowUs: number,
): readonly PromisedLoss[] {
  return promisedStates(catalogue, promise, nowUs).flatMap((promised): PromisedLoss[] => {
    const { timeline, coverage, fromLsn, throughLsn } = promised
    const gaps = uncovered({ fromLsn, throughLsn }, reachableRuns(coverage))
    return gaps.map((run) => ({ type: 'states', timeline, ...run }))
  })
}

/** For each timeline that was written within the promise: from a state not after its oldest instant to the last one known. */
export function promisedStates(
  catalogue: Catalogue,
  promise: RetentionPromise,
  nowUs: number,
): readonly PromisedStates[] {
  const sinceUs = nowUs - promise.instantsUs
  return livePaths(catalogue, sinceUs).map(({ timeline, coverage }) => {
    const old = coverage.bases.filter(({ committedAtUs }) => committedAtUs <= sinceUs).map(({ lsn }) => lsn)
    const read = coverage.shelves
      .flatMap(({ spans }) => spans)
      .filter(({ span }) => span.lastCommittedAtUs <= sinceUs)
      .map(({ throughLsn }) => throughLsn)
    const isFull = old.length > 0
    const fromLsn = isFull ? Math.max(...old, ...read) : (coverage.bases[0]?.lsn ?? 0)
    return { timeline, coverage, isFull, fromLsn, throughLsn: coverage.knownThroughLsn }
  })
}

/** Timelines that were written or begun since then, the one that is shipped, and the newest, which recovery follows. */
function livePaths(catalogue: Catalogue, sinceUs: number): readonly TimelinePath[] {
  const history = historyOf(catalogue)
  const live = new Set([newestTimeline(history), catalogue.owner?.timeline])
  for (const { timeline, begunAtUs } of catalogue.timelines) if (begunAtUs > sinceUs) live.add(timeline)
  for (const { timeline, lastCommittedAtUs } of [...catalogue.segments, ...catalogue.pieces]) {
    if (lastCommittedAtUs > sinceUs) live.add(timeline)
  }
  for (const { timeline, endCommittedAtUs } of catalogue.backups) {
    if (endCommittedAtUs > sinceUs) live.add(timeline)
  }
  return pathsOf(history).filter(({ timeline }) => live.has(timeline))
}

interface Need {
  readonly timeline: number
  readonly coverage: Coverage
  /** Labels. */
  readonly bases: readonly string[]
  /** All records after this one. */
  readonly afterLsn: Lsn
}

/** From the newest backup that is not younger than the oldest instant; all there is, when every one is. */
function needOf({ timeline, coverage }: TimelinePath, sinceUs: number): Need {
  const first = coverage.bases.findLastIndex(({ committedAtUs }) => committedAtUs <= sinceUs)
  const bases = coverage.bases.slice(Math.max(0, first)).map(({ label }) => label)
  return { timeline, coverage, bases, afterLsn: coverage.bases[first]?.lsn ?? -1 }
}

function needsPart(need: Need, part: SegmentRef | PieceRef): boolean {
  const stretch = need.coverage.path.find(({ timeline }) => timeline === part.timeline)
  if (stretch === undefined || part.firstLsn > stretch.throughLsn) return false
  // One without records stands for the place before its first.
  return Math.min(Math.max(part.lastLsn, part.firstLsn), stretch.throughLsn) > need.afterLsn
}

/** A shipper compares its log with the newest segment: without one, a diverged copy of a home could not be told. */
function newestSegments({ segments }: Catalogue, needs: readonly Need[]): ReadonlySet<SegmentRef> {
  const newest = needs.map(({ timeline }) => segments.findLast((segment) => segment.timeline === timeline))
  return new Set(newest.filter((segment) => segment !== undefined))
}

/** Timelines that nothing promised goes through. */
function retirable(catalogue: Catalogue, needs: readonly Need[]): readonly number[] {
  const parts = [...catalogue.segments, ...catalogue.pieces]
  return catalogue.timelines
    .map(({ timeline }) => timeline)
    .filter((timeline) => {
      const own = parts.filter((part) => part.timeline === timeline)
      const isNeeded =
        timeline === catalogue.owner?.timeline ||
        needs.some((need) => need.timeline === timeline || own.some((part) => needsPart(need, part)))
      return own.length > 0 && !isNeeded
    })
}

/** The labels that `promise.bases` keeps: of each period the first backup, on each timeline, so that the choice never moves. */
function promisedBases(
  backups: readonly BackupRef[],
  { bases }: RetentionPromise,
  nowUs: number,
): ReadonlySet<string> {
  const labels = new Set<string>()
  for (const { everyUs, spanUs } of bases) {
    const periods = new Set<string>()
    const young = backups.filter(({ endCommittedAtUs }) => endCommittedAtUs > nowUs - spanUs)
    for (const { label, timeline, endCommittedAtUs } of young.toSorted(byEnd)) {
      const period = `${timeline}/${Math.floor(endCommittedAtUs / everyUs)}`
      if (!periods.has(period)) labels.add(label)
      periods.add(period)
    }
  }
  return labels
}

/** The labels that backups which stay refer to, and those that these refer to, since they stay as backups too. */
function referredTo(backups: readonly BackupRef[], labels: ReadonlySet<string>): ReadonlySet<string> {
  const referred = new Set<string>()
  const waiting = [...labels]
  const references = new Map(backups.map((backup) => [backup.label, backup.references ?? []]))
  for (let label = waiting.pop(); label !== undefined; label = waiting.pop()) {
    const more = (references.get(label) ?? []).filter((each) => !referred.has(each))
    for (const each of more) referred.add(each)
    waiting.push(...more)
  }
  return referred
}

function byEnd(a: BackupRef, b: BackupRef): number {
  return a.endCommittedAtUs - b.endCommittedAtUs
}

/** Only neighbours: between others there may be pieces that stay. */
function rangesOf(segments: readonly SegmentRef[]): readonly SegmentRange[] {
  const ranges: SegmentRange[] = []
  for (const { timeline, segmentNumber } of segments) {
    const last = ranges.at(-1)
    if (last?.timeline === timeline && last.throughSegment + 1 === segmentNumber) {
      ranges[ranges.length - 1] = { ...last, throughSegment: segmentNumber }
    } else {
      ranges.push({ timeline, fromSegment: segmentNumber, throughSegment: segmentNumber })
    }
  }
  return ranges
}

function within(runs: readonly StateRun[], { fromLsn, throughLsn }: StateRun): readonly StateRun[] {
  return runs
    .map((run) => ({
      fromLsn: Math.max(run.fromLsn, fromLsn),
      throughLsn: Math.min(run.throughLsn, throughLsn),
    }))
    .filter((run) => run.fromLsn <= run.throughLsn)
}
