/** Bulk load against logged batches of several lengths, each awaited. */
import type { BenchRun } from '../run.ts'
import { comparedRow, ratios } from '../statistics.ts'
import { speedOfDisk } from './bounds.ts'
import type { BulkResult } from '../workloads/bulk-workload.ts'

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
  for (const against of BATCHES.map(batches)) {
    const theirs = rates(of(against))
    run.judge({
      what: 'bulk load, entries/s',
      against,
      ratios: ratios(ours, theirs),
      atLeast: 3,
      limit: speedOfDisk(machine, theirs),
    })
  }
  run.print(
    `${String(records)} entries of 16 + 100 bytes in scattered order into an empty home, durable at the end`,
    ['', 'entries/s', 'bulkLoad / this'],
    measured.map(({ title, samples }) => comparedRow(title, rates(samples), ratios(ours, rates(samples)))),
  )
}

function batches(entries: number): string {
  return `logged batches of ${String(entries)}`
}
