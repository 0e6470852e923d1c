/** Bulk load against logged batches of several lengths, each awaited. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { BulkResult } from '../workloads/bulk-workload.ts'

const RECORD_BYTES = 116
const BATCHES = [1, 100, 1000]

export async function benchBulk(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const { measured, machine } = await run.interleave<BulkResult>('bulk', [
    { title: 'bulkLoad', measure: () => run.child('bulk', { records }) },
    ...BATCHES.map((batch) => ({
      title: `logged batches of ${String(batch)}`,
      // One by one takes a flush for each: fewer of them say as much.
      measure: () => run.child<BulkResult>('bulk', { batch, records: batch === 1 ? records / 20 : records }),
    })),
  ])
  const rates = measured.map(({ samples }) => samples.map((sample) => sample.recordsPerSecond))
  const [ours = []] = rates
  const written = machine.map(({ writeMbPerS }) => (writeMbPerS * 1e6) / RECORD_BYTES)
  for (const [index, batch] of BATCHES.entries()) {
    const theirs = rates[index + 1] ?? []
    run.judge({
      what: 'bulk load, entries/s',
      against: `logged batches of ${String(batch)}`,
      ratios: ratios(ours, theirs),
      atLeast: 3,
      limit: limit('files written at the speed of the disk', ratios(written, theirs)),
    })
  }
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
