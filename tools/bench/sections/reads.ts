/** Reads must cost what they cost in classic-level, which serves them. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import { READ_KINDS, type ReadResult, type ReadTurn } from '../workloads/read-workload.ts'

/** With fewer turns the medians of two classic-levels differ by a tenth. */
const SECONDS_MIN = 2

export async function benchReads(run: BenchRun): Promise<void> {
  const { samples } = await run.alone<ReadResult>('reads', {
    records: 100_000,
    seconds: Math.max(run.seconds, SECONDS_MIN),
  })
  const rows = READ_KINDS.map((kind) => {
    const ours = samples.flatMap((sample) => sample[kind].timberline)
    const theirs = samples.flatMap((sample) => sample[kind]['classic-nosync'])
    run.judge({
      what: `reads, ${kind}`,
      against: 'classic-level',
      ratios: samples.map((sample) =>
        medianRatio(rates(sample[kind].timberline), rates(sample[kind]['classic-nosync'])),
      ),
      atLeast: 0.95,
      limit: limit('the same calls', [1]),
    })
    return [
      kind,
      ...cells(ours, theirs, { name: 'recordsPerSecond', digits: 0 }),
      ...cells(ours, theirs, { name: 'recordUs', digits: 2 }),
    ]
  })
  run.print(
    'Reads of 100,000 records in turns of a quarter of a second: 16 readers, getMany of 100, one iterator by 1,000',
    ['', 'records/s', 'classic-level', 'ratio', 'processor µs', 'classic-level', 'ratio'],
    rows,
  )
}

function rates(turns: readonly ReadTurn[]): readonly number[] {
  return turns.map((turn) => turn.recordsPerSecond)
}

function cells(
  ours: readonly ReadTurn[],
  theirs: readonly ReadTurn[],
  by: { readonly name: keyof ReadTurn; readonly digits: number },
): readonly string[] {
  const a = ours.map((turn) => turn[by.name])
  const b = theirs.map((turn) => turn[by.name])
  return [median(a).toFixed(by.digits), median(b).toFixed(by.digits), medianRatio(a, b).toFixed(2)]
}
