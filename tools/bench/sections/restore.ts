/** A backup of a gigabyte to an open database, against copying the files of the closed one. */
import type { BenchRun } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { RestoreResult } from '../workloads/restore-workload.ts'

const RECORD_BYTES = 116

export async function benchRestore(run: BenchRun): Promise<void> {
  const records = run.quick ? 1_000_000 : 8_600_000
  const [measured] = await run.interleave<RestoreResult>('restore', [
    { title: 'timberline', measure: () => run.child('restore', { records }) },
  ])
  const samples = measured?.samples ?? []
  const copies = samples.map(({ copyMs }) => copyMs)
  const row = (title: string, these: readonly number[]): readonly string[] => [
    title,
    median(these).toFixed(0),
    medianRatio(these, copies).toFixed(2),
  ]
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
