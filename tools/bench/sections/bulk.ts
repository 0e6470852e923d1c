/** Bulk load against logged batches of several lengths, each awaited. */
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { BulkResult } from '../workloads/bulk-workload.ts'

const BATCHES = [1, 100, 1000]

export async function benchBulk(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const measured = await run.interleave<BulkResult>('bulk', [
    { title: 'bulkLoad', measure: () => run.child('bulk', { records }) },
    ...BATCHES.map((batch) => ({
      title: `logged batches of ${String(batch)}`,
      // One by one takes a flush for each: fewer of them say as much.
      measure: () => run.child<BulkResult>('bulk', { batch, records: batch === 1 ? records / 20 : records }),
    })),
  ])
  const rates = measured.map(({ samples }) => samples.map((sample) => sample.recordsPerSecond))
  const [ours = []] = rates
  run.print(
    `${String(records)} entries of 16 + 100 bytes in scattered order into an empty home, durable at the end`,
    ['', 'entries/s', 'bulkLoad / this'],
    measured.map(({ title }, index) => [
      title,
      median(rates[index] ?? []).toFixed(0),
      medianRatio(ours, rates[index] ?? []).toFixed(2),
    ]),
  )
}
