/** No commit may wait for a checkpoint, however large the database is. */
import type { BenchRun } from '../run.ts'
import { median } from '../statistics.ts'
import { longestMore, waits } from './beside.ts'
import { NO_MORE } from './bounds.ts'
import type { CheckpointResult } from '../workloads/checkpoint-workload.ts'

export async function benchCheckpoint(run: BenchRun): Promise<void> {
  const sizes = [100_000, 1_000_000]
  const { measured } = await run.interleave<CheckpointResult>(
    'checkpoint',
    sizes.map((records) => ({
      title: `${String(records)} records`,
      measure: () => run.child('checkpoint', { records, seconds: run.seconds }),
    })),
  )
  const rows = measured.map(({ title, samples }) => [
    title,
    median(samples.map((sample) => sample.checkpoints)).toFixed(0),
    median(samples.map((sample) => sample.checkpointMs)).toFixed(1),
    waits(samples, 'p99Ms'),
    waits(samples, 'longestMs'),
  ])
  for (const { title, samples } of measured)
    run.judge({
      what: `longest commit beside checkpoints, ms more, ${title}`,
      against: 'the seconds before',
      ratios: longestMore(samples),
      atMost: 5,
      limit: NO_MORE,
    })
  run.print(
    'Checkpoints without a pause beside one writer',
    ['', 'checkpoints', 'ms each', 'p99 ms without / during', 'longest ms'],
    rows,
  )
}
