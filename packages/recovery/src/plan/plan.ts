// The recovery plan: a pure function of the history and the target. It reads nothing and decides everything that can be
// decided without reading the log; only the exact LSN of a time inside a segment is left to the reader of that segment.
import type { DeltaRef } from '@timberline/archive'
import { isBulkLoadMark } from '@timberline/engine'
import type { Lsn } from '@timberline/wal'
import {
  type Coverage,
  coverageOf,
  loadAfter,
  type PathSpan,
  reachFrom,
  spanAt,
  spansThrough,
} from '../history/coverage.ts'
import { bytesOf, objectsOf, recordsOf, stepsThrough } from './delta-steps.ts'
import type { RecoveryErrorCode } from '../errors.ts'
import {
  type Base,
  type History,
  newestTimeline,
  pathTo,
  type Point,
  type Stretch,
} from '../history/history.ts'
import { endOfTime } from './plan-time.ts'
import { checkedTarget, formatTarget, isDroppedAt, type Target } from './target.ts'

/** How to reach a target. */
export interface RecoveryPlan {
  readonly possible: true
  readonly target: Target
  /** The timeline asked for, and the path to it from the root. */
  readonly timeline: number
  readonly path: readonly Stretch[]
  readonly base: Base
  /** The log after the base, in order, without a hole. */
  readonly spans: readonly PathSpan[]
  /** Deltas that may stand for parts of it; the recovery takes those that shorten the way. */
  readonly deltas: readonly DeltaRef[]
  /** The last record to apply; absent when only reading the last span can tell (a time inside it). */
  readonly throughLsn?: Lsn
  /** The last record to apply is not after this one. */
  readonly throughLsnMax: Lsn
  /** Where the first dropped record can be read, when one is known. */
  readonly next?: PathSpan
  readonly predicted: RecoveryPrediction
}

/** What a recovery will move, known before it begins; upper bounds where the exact end is inside a segment. */
export interface RecoveryPrediction {
  readonly baseBytes: number
  /** Of log and deltas. */
  readonly logBytes: number
  /** Records that will be replayed one by one. */
  readonly records: number
  /** Deltas that will be applied, and their entries. */
  readonly deltas: number
  readonly deltaEntries: number
  /** Objects and files of log, and deltas. */
  readonly logObjects: number
}

/** Why a target cannot be reached, and what can be reached instead. */
export interface RecoveryGap {
  readonly possible: false
  readonly target: Target
  readonly code: RecoveryErrorCode
  readonly message: string
  readonly timeline?: number
  /** The records that are missing: the first, and the last when it is known. */
  readonly missing?: { readonly timeline: number; readonly fromLsn: Lsn; readonly throughLsn: Lsn }
  /** The nearest reachable points on the timeline. */
  readonly before?: Point
  readonly after?: Point
  /** What would have been valid: names of marks, numbers of timelines, labels of backups. */
  readonly known?: readonly string[]
}

/** Choices that the plan otherwise makes itself. */
export interface PlanOptions {
  /** The timeline to follow. Default: the newest that holds anything. */
  readonly timeline?: number
  /** The label of the backup to start from. Default: the newest one at or before the target. */
  readonly base?: string
  /** Use deltas where they shorten the way. Default: true. */
  readonly deltas?: boolean
}

/** Plans over a history; `planRecovery` is this over an archive's catalogue. */
export function planHistory(
  history: History,
  target: Target,
  options: PlanOptions = {},
): RecoveryPlan | RecoveryGap {
  checkedTarget(target)
  const timeline = options.timeline ?? newestTimeline(history)
  const path = timeline === undefined ? undefined : pathTo(history.branches, timeline)
  if (timeline === undefined || path === undefined) {
    return {
      possible: false,
      target,
      code: history.branches.length === 0 ? 'RECOVERY_NO_BASE' : 'RECOVERY_TIMELINE_UNKNOWN',
      message: timeline === undefined ? 'the archive is empty' : `there is no timeline ${timeline}`,
      known: history.branches.map((branch) => String(branch.timeline)),
    }
  }
  const coverage = coverageOf(history, path)
  const question = {
    history,
    coverage,
    target,
    timeline,
    base: options.base,
    deltas: options.deltas !== false,
  }
  switch (target.type) {
    case 'latest':
      return planThrough(question, undefined)
    case 'lsn':
      return planThrough(question, target.edge === 'before' ? target.lsn - 1 : target.lsn)
    case 'time':
      return planTime(question, target)
    case 'mark':
      return planMark(question, target)
  }
}

interface Question {
  readonly history: History
  readonly coverage: Coverage
  readonly target: Target
  readonly timeline: number
  readonly base: string | undefined
  readonly deltas: boolean
}

function planThrough(question: Question, throughLsn: Lsn | undefined): RecoveryPlan | RecoveryGap {
  const { coverage } = question
  const base = chooseBase(question, (candidate) => throughLsn === undefined || candidate.lsn <= throughLsn)
  if ('possible' in base) return base
  const wanted = throughLsn ?? coverage.knownThroughLsn
  const reach = reachFrom(coverage, base.lsn)
  if (wanted > reach) return refuseBeyond(question, base, reach)
  return complete(question, base, { throughLsn: wanted, throughLsnMax: wanted })
}

function planTime(question: Question, target: Target & { type: 'time' }): RecoveryPlan | RecoveryGap {
  const { coverage } = question
  const { atUs, edge } = target
  const base = chooseBase(question, ({ committedAtUs }) =>
    edge === 'through' ? committedAtUs <= atUs : committedAtUs < atUs,
  )
  if ('possible' in base) return base
  const load = loadAfter(coverage, base.lsn)
  if (load !== undefined && !isDroppedAt(load.committedAtUs, target)) {
    return refuseBeyond(question, base, reachFrom(coverage, base.lsn))
  }
  const end = endOfTime(coverage, base, target)
  if (end.type === 'unknown') return refuseBeyond(question, base, end.reach)
  // The load itself is dropped, and all behind it.
  const throughLsnMax = Math.min(end.throughLsnMax, (load?.lsn ?? Infinity) - 1)
  return complete(question, base, { ...end, throughLsnMax })
}

function planMark(question: Question, target: Target & { type: 'mark' }): RecoveryPlan | RecoveryGap {
  const { history, coverage } = question
  const onPath = history.marks.filter((mark) => {
    const stretch = coverage.path.find((candidate) => candidate.timeline === mark.timeline)
    const isOwn = stretch !== undefined && stretch.fromLsn <= mark.lsn && mark.lsn <= stretch.throughLsn
    return isOwn && !isBulkLoadMark(mark)
  })
  // The same mark may be known from a segment, a piece and a backup.
  const lsns = [...new Set(onPath.filter((mark) => mark.name === target.name).map((mark) => mark.lsn))]
  const [lsn, second] = lsns
  if (lsn === undefined || second !== undefined) {
    return {
      possible: false,
      target,
      code: lsn === undefined ? 'RECOVERY_MARK_UNKNOWN' : 'RECOVERY_MARK_AMBIGUOUS',
      message:
        lsn === undefined
          ? `no restore point is called ${target.name}`
          : `${lsns.length} restore points have this name`,
      timeline: question.timeline,
      known:
        lsn === undefined ? [...new Set(onPath.map((mark) => mark.name))].slice(-knownMax) : lsns.map(String),
    }
  }
  return planThrough(question, target.edge === 'before' ? lsn - 1 : lsn)
}

const knownMax = 20

/** The newest base that is not after the target. A newer base always reaches at least as far as an older one. */
function chooseBase(question: Question, fits: (base: Base) => boolean): Base | RecoveryGap {
  const { coverage, target, timeline } = question
  const asked = coverage.bases.filter((base) => question.base === undefined || base.label === question.base)
  const base = asked.findLast(fits)
  if (base !== undefined) return base
  const earliest = asked[0]
  const labels = coverage.bases.map((candidate) => candidate.label)
  if (question.base !== undefined) {
    const where = earliest === undefined ? 'is not on this timeline' : 'lies after the target'
    const message = `backup ${question.base} ${where}`
    return { possible: false, target, code: 'RECOVERY_BASE_UNKNOWN', message, timeline, known: labels }
  }
  return {
    possible: false,
    target,
    code: 'RECOVERY_NO_BASE',
    message:
      earliest === undefined
        ? 'there is no backup on this timeline'
        : `no backup is as old as ${formatTarget(target)}`,
    timeline,
    ...(earliest === undefined ? {} : { after: pointOf(earliest) }),
  }
}

/** The target lies past what replay from the base can reach: log is missing, data was loaded beside it, or the history ends. */
function refuseBeyond(question: Question, base: Base, reach: Lsn): RecoveryGap {
  const { coverage, target, timeline } = question
  const before = pointAt(coverage, base, reach)
  const later = coverage.bases.find((candidate) => candidate.lsn > reach)
  const refusal = {
    possible: false as const,
    target,
    timeline,
    before,
    ...(later === undefined ? {} : { after: pointOf(later) }),
  }
  if (loadAfter(coverage, base.lsn)?.lsn === reach + 1) {
    const message = `data was loaded beside the log at lsn ${reach + 1}, after backup ${base.label}`
    return { ...refusal, code: 'RECOVERY_BULK_LOAD', message }
  }
  if (reach >= coverage.knownThroughLsn) {
    const message = `the history of timeline ${timeline} ends at lsn ${reach}, before ${formatTarget(target)}`
    return { ...refusal, code: 'RECOVERY_TARGET_AFTER_END', message, ...elsewhere(question) }
  }
  const holeEnd =
    (coverage.runs.find((run) => run.fromLsn > reach + 1)?.fromLsn ?? coverage.knownThroughLsn + 1) - 1
  const owner = coverage.path.find(
    (stretch) => stretch.fromLsn <= reach + 1 && reach + 1 <= stretch.throughLsn,
  )
  // v8 ignore next -- a path has an owner for every lsn
  const missing = {
    timeline: owner?.timeline ?? timeline,
    fromLsn: reach + 1,
    throughLsn: Math.min(holeEnd, owner?.throughLsn ?? holeEnd),
  }
  const message = `log of timeline ${missing.timeline} is missing, lsn ${missing.fromLsn} to ${missing.throughLsn}`
  return { ...refusal, code: 'RECOVERY_LOG_GAP', message, missing }
}

/** Timelines off the path that hold the LSN: the target may simply be on another branch. */
function elsewhere({ history, target }: Question): { known?: readonly string[] } {
  if (target.type !== 'lsn') return {}
  const holding = history.spans.filter((span) => span.firstLsn <= target.lsn && target.lsn <= span.lastLsn)
  return holding.length === 0
    ? {}
    : { known: [...new Set(holding.map((span) => `timeline ${span.timeline}`))] }
}

interface End {
  readonly throughLsn?: Lsn
  readonly throughLsnMax: Lsn
}

function complete(question: Question, base: Base, { throughLsn, throughLsnMax }: End): RecoveryPlan {
  const { coverage, target, timeline } = question
  const spans = spansThrough(coverage, { fromLsn: base.lsn + 1, throughLsn: throughLsnMax })
  const next = spanAt(coverage, throughLsnMax + 1)
  // The last record always comes out of the log, which tells of it; of a time inside a span, only what lies before is sure.
  const deltasThroughLsn = throughLsn === undefined ? (spans.at(-1)?.fromLsn ?? 0) - 1 : throughLsn - 1
  const deltas = coverage.deltas.filter(
    ({ lastLsn }) => question.deltas && lastLsn > base.lsn && lastLsn <= deltasThroughLsn,
  )
  const way = { fromLsn: base.lsn + 1, throughLsn: throughLsnMax, deltasThroughLsn }
  const steps = stepsThrough({ spans, deltas }, way)
  const applied = steps.filter((step) => step.type === 'delta')
  return {
    possible: true,
    target,
    timeline,
    path: coverage.path,
    base,
    spans,
    deltas,
    ...(throughLsn === undefined ? {} : { throughLsn }),
    throughLsnMax,
    ...(next === undefined ? {} : { next: { ...next, fromLsn: throughLsnMax + 1 } }),
    predicted: {
      baseBytes: base.bytes,
      logBytes: bytesOf(steps),
      records: recordsOf(steps),
      deltas: applied.length,
      deltaEntries: applied.reduce((sum, { delta }) => sum + delta.entries, 0),
      logObjects: objectsOf(steps),
    },
  }
}

function pointOf(base: Base): Point {
  return { lsn: base.lsn, committedAtUs: base.committedAtUs }
}

function pointAt(coverage: Coverage, base: Base, lsn: Lsn): Point {
  if (lsn === base.lsn) return pointOf(base)
  const span = spanAt(coverage, lsn)?.span
  return span?.lastLsn === lsn ? { lsn, committedAtUs: span.lastCommittedAtUs } : { lsn }
}
