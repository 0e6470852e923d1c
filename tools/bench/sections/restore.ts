/** A backup of a gigabyte to an open database, against copying the files of the closed one. */
import { limit } from '../goals.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { RestoreResult } from '../workloads/restore-workload.ts'

const RECORD_BYTES = 116

export async function benchRestore(run: BenchRun): Promise<void> {
  const records = run.quick ? 1_000_000 : 8_600_000
  const { measured } = await run.interleave<RestoreResult>('restore', [
    { title: 'timberline', measure: () => run.child('restore', { records }) },
  ])
  const samples = measured.flatMap((column) => column.samples)
  const copies = samples.map(({ copyMs }) => copyMs)
  const row = (title: string, these: readonly number[]): readonly string[] => [
    title,
    median(these).toFixed(0),
    medianRatio(these, copies).toFixed(2),
  ]
  for (const [what, pick] of [
    ['from a folder', ({ folderMs }: RestoreResult) => folderMs],
    ['out of an archive', ({ archiveMs }: RestoreResult) => archiveMs],
  ] as const)
    run.judge({
      what: `restore to open, ${((records * RECORD_BYTES) / 1e9).toFixed(1)} GB, ${what}, ms`,
      against: 'cp, fsync, open',
      ratios: ratios(samples.map(pick), copies),
      atMost: 1.5,
      limit: limit('cp copies the same bytes', [1]),
    })
  run.print(
    `A backup of ${String(records)} records (keys and values ${((records * RECORD_BYTES) / 1e6).toFixed(0)} MB), to an open database`,
    ['', 'ms', 'this / cp'],
    [
      row('cp -a, fsync, and open', copies),
      row(
        'restored from a folder',
        samples.map(({ folderMs }) => folderMs),
      ),
      row(
        'restored out of an archive',
        samples.map(({ archiveMs }) => archiveMs),
      ),
      row(
        'the same, with its digest',
        samples.map(({ provedMs }) => provedMs),
      ),
    ],
  )
}
