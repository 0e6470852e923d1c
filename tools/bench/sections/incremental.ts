/** A backup after one key in a hundred changed, by files and by log, beside a full one of the same home. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { BackupCost } from '../workloads/backup-process.ts'
import type { IncrementalResult } from '../workloads/incremental-workload.ts'

export async function benchIncremental(run: BenchRun): Promise<void> {
  const records = run.quick ? 500_000 : 4_000_000
  const work = { records, changedEvery: 100 }
  const { samples } = await run.alone<IncrementalResult>('incremental', work)
  const row = (
    title: string,
    of: (sample: IncrementalResult) => BackupCost,
    against: (sample: IncrementalResult) => BackupCost,
  ): readonly string[] => {
    const ratio = (what: 'ms' | 'bytes'): string =>
      medianRatio(
        samples.map((sample) => of(sample)[what]),
        samples.map((sample) => against(sample)[what]),
      ).toFixed(3)
    const ms = median(samples.map((sample) => of(sample).ms))
    const megabytes = median(samples.map((sample) => of(sample).bytes)) / 1e6
    return [title, ms.toFixed(0), megabytes.toFixed(1), ratio('ms'), ratio('bytes')]
  }
  judge(run, samples)
  for (const [kind, what] of [
    ['plain', 'without a digest'],
    ['proved', 'with the digest of the state'],
  ] as const) {
    run.print(
      `Backups of ${String(records)} records to a folder, 1 % of them written since the last one, ${what}`,
      ['', 'ms', 'MB read', 'ms / full', 'bytes / full'],
      [
        row(
          'full',
          ({ full }) => full[kind],
          ({ full }) => full[kind],
        ),
        row(
          'incremental, by files',
          ({ byFiles }) => byFiles[kind],
          ({ full }) => full[kind],
        ),
        row(
          'update, by log',
          ({ byLog }) => byLog[kind],
          ({ full }) => full[kind],
        ),
      ],
    )
  }
}

/** Without a digest, which reads all of a state however little of it has changed. */
function judge(run: BenchRun, samples: readonly IncrementalResult[]): void {
  const full = samples.map((sample) => sample.full.plain)
  for (const [what, costs, atMost] of [
    ['by log', samples.map((sample) => sample.byLog.plain), 0.05],
    ['by files', samples.map((sample) => sample.byFiles.plain), 0.1],
  ] as const) {
    const of = (kind: keyof BackupCost): number[] =>
      ratios(
        costs.map((cost) => cost[kind]),
        full.map((cost) => cost[kind]),
      )
    const against = 'a full backup'
    const bound = limit('the bytes that it copies', of('bytes'))
    run.judge({ what: `backup ${what} after 1 %, time`, against, ratios: of('ms'), atMost, limit: bound })
    run.judge({
      what: `backup ${what} after 1 %, bytes`,
      against,
      ratios: of('bytes'),
      atMost,
      limit: limit(''),
    })
  }
}
