/** Recovery of many updates over few keys: record by record, and over deltas. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { DeltaResult } from '../workloads/delta-workload.ts'

export async function benchDeltas(run: BenchRun): Promise<void> {
  const work = { records: 500_000, keys: 1000 }
  const { samples } = await run.alone<DeltaResult>('deltas', work)
  const plain = samples.map((sample) => sample.plainMs)
  const over = samples.map((sample) => sample.deltaMs)
  const segments = median(samples.map((sample) => sample.segments))
  run.judge({
    what: 'replay of updates over few keys, times as fast',
    against: 'record by record',
    ratios: ratios(plain, over),
    atLeast: 3,
    limit: limit('nothing to replay'),
  })
  run.print(
    `Recovery of ${String(work.records)} updates over ${String(work.keys)} keys, in ${String(segments)} segments, after the backup is restored`,
    ['', 'ms', 'record by record / this'],
    [
      ['record by record', median(plain).toFixed(0), '1.00'],
      ['over deltas', median(over).toFixed(0), medianRatio(plain, over).toFixed(2)],
      ['(making the deltas)', median(samples.map((sample) => sample.compactMs)).toFixed(0), ''],
    ],
  )
}
