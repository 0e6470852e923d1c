/** Reads must cost what they cost in classic-level, which serves them. */
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { ReadResult } from '../workloads/read-workload.ts'

const KINDS = ['get', 'getMany', 'iterator'] as const

export async function benchReads(run: BenchRun): Promise<void> {
  const measured = await run.interleave<ReadResult>(
    'reads',
    (['timberline', 'classic-nosync'] as const).map((peer) => ({
      title: peer,
      measure: () => run.child('reads', { peer, records: 100_000, seconds: run.seconds }),
    })),
  )
  const ours = measured[0]?.samples ?? []
  const rows = measured.flatMap(({ title, samples }) =>
    KINDS.map((kind) => [
      `${kind}, ${title}`,
      median(samples.map((sample) => sample[kind])).toFixed(0),
      medianRatio(
        ours.map((sample) => sample[kind]),
        samples.map((sample) => sample[kind]),
      ).toFixed(2),
    ]),
  )
  run.print(
    'Reads of 100,000 records, records/s: 16 readers, getMany of 100, one iterator by 1,000',
    ['', 'records/s', 'timberline / this'],
    rows,
  )
}
