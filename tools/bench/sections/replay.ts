/** Replay of the log against what LevelDB takes at most, and against Berkeley DB's own replay. */
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { ReplayResult } from '../workloads/replay-workload.ts'

export async function benchReplay(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const measured = await run.interleave<ReplayResult>(
    'replay',
    (['replay', 'ingestion', 'batches'] as const).map((way) => ({
      title: TITLES[way],
      measure: () => run.child('replay', { way, records }),
    })),
  )
  const ours = measured[0]?.samples.map((sample) => sample.recordsPerSecond) ?? []
  const rows = measured.map(({ title, samples }) => {
    const rates = samples.map((sample) => sample.recordsPerSecond)
    return [title, median(rates).toFixed(0), medianRatio(ours, rates).toFixed(2)]
  })
  run.print('Replay of single-record transactions', ['', 'records/s', 'replay / this'], rows)
}

const TITLES = {
  replay: 'replay of the log',
  ingestion: 'classic-level, chained batches of 1,000, the records in memory',
  batches: 'classic-level, batch([...]) of 1,000, the records in memory',
}
