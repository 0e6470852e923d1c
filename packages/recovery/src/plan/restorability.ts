// The ledger: which states of each timeline can be recovered, and why the others cannot. It stands on the same coverage as
// the plan, so that what it says and what a recovery does cannot differ. Pure.
import type { Catalogue } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import { historyOf } from './catalogue-history.ts'
import { type Coverage, coverageOf, loadAfter, reachFrom, spanAt } from '../history/coverage.ts'
import { type History, pathTo, rooted } from '../history/history.ts'

/** Consecutive states of one timeline, each of which can be recovered; the state at an LSN is the one after its commit. */
export interface RestorableRange {
  readonly timeline: number
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
  /** Commit time of the first state; absent where only the log could tell it. Microseconds since the epoch. */
  readonly fromCommittedAtUs?: number
  readonly throughCommittedAtUs?: number
}

/** States that existed and cannot be recovered. */
export interface RestorabilityHole {
  readonly timeline: number
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
  /**
   * `no-backup`: there is log, and no backup before it; `log-missing`: the archive lacks records; `bulk-load`: data was loaded
   * beside the log at the first of them, and no backup was made since.
   */
  readonly reason: 'no-backup' | 'log-missing' | 'bulk-load'
  /** The records that are missing. */
  readonly missing?: { readonly fromLsn: Lsn; readonly throughLsn: Lsn }
}

/** What can be recovered, timeline by timeline; each state is told with the timeline that it was written on. */
export interface Restorability {
  /** Ascending by timeline and LSN. */
  readonly ranges: readonly RestorableRange[]
  readonly holes: readonly RestorabilityHole[]
}

/** Works out every state that can be recovered from what a catalogue names. */
export function restorability(catalogue: Catalogue): Restorability {
  return restorabilityOf(historyOf(catalogue))
}

/** A catalogue without the objects of these names: what is left when they are lost. */
export function withoutObjects(catalogue: Catalogue, names: ReadonlySet<string>): Catalogue {
  const isThere = ({ name }: { readonly name: string }): boolean => !names.has(name)
  return {
    ...catalogue,
    segments: catalogue.segments.filter(isThere),
    pieces: catalogue.pieces.filter(isThere),
    backups: catalogue.backups.filter(isThere),
  }
}

/** The same of any history. */
export function restorabilityOf(history: History): Restorability {
  const parts = pathsOf(history).map(({ timeline, coverage }) => timelinePart(timeline, coverage))
  return { ranges: parts.flatMap(({ ranges }) => ranges), holes: parts.flatMap(({ holes }) => holes) }
}

/** A timeline with what can be read along its path from the root. */
export interface TimelinePath {
  readonly timeline: number
  readonly coverage: Coverage
}

/** Every timeline of a history with its path; one whose ancestry is broken is left out, as the plan refuses it. */
export function pathsOf(history: History): readonly TimelinePath[] {
  const branches = rooted(history.branches)
  return branches
    .toSorted((a, b) => a.timeline - b.timeline)
    .flatMap(({ timeline }) => {
      const path = pathTo(branches, timeline)
      return path === undefined ? [] : [{ timeline, coverage: coverageOf(history, path) }]
    })
}

/** States, both ends included. */
export interface StateRun {
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
}

/** All states along a path that can be recovered, as ascending runs that do not touch. */
export function reachableRuns(coverage: Coverage): readonly StateRun[] {
  const runs: StateRun[] = []
  for (const base of coverage.bases) {
    const throughLsn = reachFrom(coverage, base.lsn)
    const last = runs.at(-1)
    // A base on the record after a run makes no gap between states.
    if (last === undefined || base.lsn > last.throughLsn + 1) runs.push({ fromLsn: base.lsn, throughLsn })
    else
      runs[runs.length - 1] = {
        fromLsn: last.fromLsn,
        throughLsn: Math.max(last.throughLsn, throughLsn),
      }
  }
  return runs
}

function timelinePart(timeline: number, coverage: Coverage): Restorability {
  const own = coverage.path.at(-1)
  // The state at the fork is the parent's.
  const firstLsn = own === undefined || coverage.path.length === 1 ? 0 : own.fromLsn
  const runs = reachableRuns(coverage)
    .filter(({ throughLsn }) => throughLsn >= firstLsn)
    .map(({ fromLsn, throughLsn }) => ({ fromLsn: Math.max(fromLsn, firstLsn), throughLsn }))
  const ranges = runs.map((run) => rangeOf(timeline, run, coverage))
  return { ranges, holes: holesOf({ timeline, coverage, firstLsn }, runs) }
}

function rangeOf(timeline: number, run: StateRun, coverage: Coverage): RestorableRange {
  const fromCommittedAtUs = firstTimeAt(coverage, run.fromLsn)
  const throughCommittedAtUs = lastTimeAt(coverage, run.throughLsn)
  return {
    timeline,
    ...run,
    ...(fromCommittedAtUs === undefined ? {} : { fromCommittedAtUs }),
    // v8 ignore next -- a range ends with a span or a base of its own timeline, and both have times
    ...(throughCommittedAtUs === undefined ? {} : { throughCommittedAtUs }),
  }
}

interface OwnPart {
  readonly timeline: number
  readonly coverage: Coverage
  readonly firstLsn: Lsn
}

function holesOf(part: OwnPart, runs: readonly StateRun[]): readonly RestorabilityHole[] {
  const { coverage, firstLsn } = part
  const firstRead = coverage.runs.find(({ throughLsn }) => throughLsn >= firstLsn)
  // What lies before all that is there was let go, or never archived: nothing is known of it.
  const knownFrom = Math.max(firstLsn, firstRead?.fromLsn ?? coverage.knownThroughLsn)
  const holes: RestorabilityHole[] = []
  let next = Math.min(knownFrom, runs[0]?.fromLsn ?? Infinity)
  for (const run of runs) {
    if (run.fromLsn > next) holes.push(holeOf(part, next, run.fromLsn - 1))
    next = run.throughLsn + 1
  }
  if (next <= coverage.knownThroughLsn) holes.push(holeOf(part, next, coverage.knownThroughLsn))
  return holes
}

function holeOf({ timeline, coverage }: OwnPart, fromLsn: Lsn, throughLsn: Lsn): RestorabilityHole {
  const base = coverage.bases.findLast(({ lsn }) => lsn < fromLsn)
  if (base === undefined) return { timeline, fromLsn, throughLsn, reason: 'no-backup' }
  // Replay stops before the hole; the log may go on inside it, without a backup to start from.
  const stop = reachFrom(coverage, base.lsn)
  if (loadAfter(coverage, base.lsn)?.lsn === stop + 1) {
    return { timeline, fromLsn, throughLsn, reason: 'bulk-load' }
  }
  const later = coverage.runs.find((run) => run.fromLsn > stop + 1)
  const missing = { fromLsn: stop + 1, throughLsn: (later?.fromLsn ?? coverage.knownThroughLsn + 1) - 1 }
  return { timeline, fromLsn, throughLsn, reason: 'log-missing', missing }
}

function firstTimeAt(coverage: Coverage, lsn: Lsn): number | undefined {
  const base = coverage.bases.find((candidate) => candidate.lsn === lsn)
  if (base !== undefined) return base.committedAtUs
  const span = spanAt(coverage, lsn)?.span
  // v8 ignore next -- the own log of a timeline begins with the first of its records
  return span?.firstLsn === lsn ? span.firstCommittedAtUs : undefined
}

function lastTimeAt(coverage: Coverage, lsn: Lsn): number | undefined {
  const span = spanAt(coverage, lsn)?.span
  if (span?.lastLsn === lsn) return span.lastCommittedAtUs
  return coverage.bases.find((candidate) => candidate.lsn === lsn)?.committedAtUs
}
