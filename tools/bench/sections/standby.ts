/** What a standby takes while it has nothing to do. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median } from '../statistics.ts'
import type { StandbyResult } from '../workloads/standby-workload.ts'

export async function benchStandby(run: BenchRun): Promise<void> {
  const work = { records: 200_000, transactions: 50_000 }
  const { samples } = await run.alone<StandbyResult>('standby', work)
  run.judge({
    what: 'standby at rest',
    against: 'of a core',
    ratios: samples.map(({ idleCpu }) => idleCpu),
    atMost: 0.01,
    limit: limit(''),
  })
  const row = (title: string, pick: (sample: StandbyResult) => number, digits: number): readonly string[] => [
    title,
    median(samples.map(pick)).toFixed(digits),
  ]
  run.print(
    `A standby of ${String(work.records)} records, ${String(work.transactions)} transactions behind its base`,
    ['', ''],
    [
      row('ms until it had caught up', ({ caughtUpMs }) => caughtUpMs, 0),
      row('at rest, % of a core', ({ idleCpu }) => idleCpu * 100, 2),
      row('largest resident set, MB, with the home that it was made from', ({ rssMb }) => rssMb, 0),
    ],
  )
}
