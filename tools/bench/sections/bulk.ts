/** Bulk load against logged batches of several lengths, each awaited. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { BulkResult } from '../workloads/bulk-workload.ts'

const RECORD_BYTES = 116
const BATCHES = [1, 100, 1000]

export async function benchBulk(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const { measured, of, machine } = await run.interleave<BulkResult>('bulk', [
    { title: 'bulkLoad', measure: () => run.child('bulk', { records }) },
    ...BATCHES.map((batch) => ({
      title: batches(batch),
      // One by one takes a flush for each: fewer of them say as much.
      measure: () => run.child<BulkResult>('bulk', { batch, records: batch === 1 ? records / 20 : records }),
    })),
  ])
  const rates = (samples: readonly BulkResult[]): number[] => samples.map((sample) => sample.recordsPerSecond)
  const ours = rates(of('bulkLoad'))
  const written = machine.map(({ writeMbPerS }) => (writeMbPerS * 1e6) / RECORD_BYTES)
  for (const against of BATCHES.map(batches)) {
    const theirs = rates(of(against))
    run.judge({
      what: 'bulk load, entries/s',
      against,
      ratios: ratios(ours, theirs),
      atLeast: 3,
      limit: limit('files written at the speed of the disk', ratios(written, theirs)),
    })
  }
  run.print(
    `${String(records)} entries of 16 + 100 bytes in scattered order into an empty home, durable at the end`,
    ['', 'entries/s', 'bulkLoad / this'],
    measured.map(({ title, samples }) => [
      title,
      median(rates(samples)).toFixed(0),
      medianRatio(ours, rates(samples)).toFixed(2),
    ]),
  )
}

function batches(entries: number): string {
  return `logged batches of ${String(entries)}`
}
