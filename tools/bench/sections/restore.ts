/** A backup of a gigabyte to an open database, against copying the files of the closed one. */
import { RECORD_BYTES } from '../records.ts'
import type { BenchRun } from '../run.ts'
import { comparedRow, ratios } from '../statistics.ts'
import { SAME_BYTES } from './bounds.ts'
import type { RestoreResult } from '../workloads/restore-workload.ts'

export async function benchRestore(run: BenchRun): Promise<void> {
  const records = run.quick ? 1_000_000 : 8_600_000
  const { samples } = await run.alone<RestoreResult>('restore', { records })
  const copies = samples.map(({ copyMs }) => copyMs)
  const row = (title: string, these: readonly number[]): readonly string[] =>
    comparedRow(title, these, ratios(these, copies))
  for (const [what, pick] of [
    ['from a folder', ({ folderMs }: RestoreResult) => folderMs],
    ['out of an archive', ({ archiveMs }: RestoreResult) => archiveMs],
  ] as const)
    run.judge({
      what: `restore to open, ${((records * RECORD_BYTES) / 1e9).toFixed(1)} GB, ${what}, ms`,
      against: 'cp, fsync, open',
      ratios: ratios(samples.map(pick), copies),
      atMost: 1.5,
      limit: SAME_BYTES,
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
