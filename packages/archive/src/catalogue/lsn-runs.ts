/** Consecutive LSNs, both ends included; empty when it ends before it begins. */
export interface LsnRun {
  readonly fromLsn: number
  readonly throughLsn: number
}

/** Maximal disjoint runs, ascending, of any ranges. */
export function uniteRuns(ranges: readonly LsnRun[]): readonly LsnRun[] {
  const runs: LsnRun[] = []
  const filled = ranges.filter((range) => range.throughLsn >= range.fromLsn)
  for (const range of filled.toSorted((a, b) => a.fromLsn - b.fromLsn)) {
    const last = runs.at(-1)
    if (last === undefined || range.fromLsn > last.throughLsn + 1) runs.push(range)
    else runs[runs.length - 1] = { ...last, throughLsn: Math.max(last.throughLsn, range.throughLsn) }
  }
  return runs
}

/** What lies between runs. */
export function holesBetween(runs: readonly LsnRun[]): readonly LsnRun[] {
  return runs.slice(1).map((run, index) => ({
    fromLsn: (runs[index]?.throughLsn ?? 0) + 1,
    throughLsn: run.fromLsn - 1,
  }))
}

/** The parts of a range that no run covers; the runs ascend. */
export function uncovered(range: LsnRun, runs: readonly LsnRun[]): readonly LsnRun[] {
  const inside = runs.filter((run) => run.throughLsn >= range.fromLsn && run.fromLsn <= range.throughLsn)
  const edges = [
    { fromLsn: 0, throughLsn: range.fromLsn - 1 },
    ...inside,
    { fromLsn: range.throughLsn + 1, throughLsn: Infinity },
  ]
  return holesBetween(edges).filter((hole) => hole.throughLsn >= hole.fromLsn)
}
