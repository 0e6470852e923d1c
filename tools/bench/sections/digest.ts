/** The digest of a state against merely reading all of it. */
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { DigestResult } from '../workloads/digest-workload.ts'

export async function benchDigest(run: BenchRun): Promise<void> {
  const records = run.quick ? 500_000 : 2_000_000
  const [measured] = await run.interleave<DigestResult>('digest', [
    { title: 'timberline', measure: () => run.child('digest', { records }) },
  ])
  const samples = measured?.samples ?? []
  const reading = samples.map(({ nextvMs }) => nextvMs)
  const row = (title: string, these: readonly number[]): readonly string[] => [
    title,
    median(these).toFixed(0),
    medianRatio(reading, these).toFixed(2),
  ]
  run.print(
    `Digests of ${String(records)} records`,
    ['', 'ms', 'speed / nextv'],
    [
      row('classic-level, all entries by nextv', reading),
      row(
        'digest of a database at work',
        samples.map(({ liveMs }) => liveMs),
      ),
      row(
        'digest of a state at rest: recovery, backup, checkpoint',
        samples.map(({ tablesMs }) => tablesMs),
      ),
    ],
  )
}
