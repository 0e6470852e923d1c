/** Hot backups of a live database: speed, and what they cost its writer. */
import type { BenchRun, Column, Measured } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { BackupResult, QuietCopies } from '../workloads/backup-workload.ts'

export async function benchBackup(run: BenchRun): Promise<void> {
  const records = run.quick ? 300_000 : 1_000_000
  const seconds = run.quick ? 2 : 4
  const inC: readonly Column<BackupResult>[] = (['bdb', 'rocksdb', 'sqlite'] as const).map((name) => ({
    title: `${name} (C)`,
    measure: run.cPeer<BackupResult>(name, (folder) => [
      'backup',
      `${folder}/db`,
      `${folder}/copy`,
      String(records),
      String(seconds),
    ]),
  }))
  const measured = await run.interleave<BackupResult>('backup', [
    { title: 'timberline', measure: () => run.child('backup', { records, seconds }) },
    ...inC,
  ])
  const ours = measured[0]?.samples ?? []
  const rows = [...measured, atLimit(ours)].map(({ title, samples }) => {
    const of = (pick: (sample: BackupResult) => number): number[] => samples.map(pick)
    return [
      title,
      median(of((sample) => sample.mbPerS)).toFixed(0),
      medianRatio(
        ours.map((sample) => sample.mbPerS),
        of((sample) => sample.mbPerS),
      ).toFixed(2),
      median(of((sample) => sample.during.commitsPerSecond / sample.without.commitsPerSecond)).toFixed(2),
      ...(['p99Ms', 'longestMs'] as const).map(
        (wait) =>
          `${median(of((sample) => sample.without[wait])).toFixed(2)} / ${median(of((sample) => sample.during[wait])).toFixed(2)}`,
      ),
    ]
  })
  run.print(
    `Hot backups without a pause of ${String(records)} records beside one writer; MB are keys and values`,
    ['', 'MB/s', 'timberline / this', 'rate kept', 'p99 ms without / during', 'longest ms'],
    rows,
  )
  printQuiet(
    run,
    ours.flatMap(({ quiet }) => quiet ?? []),
  )
}

/** Ours as the command does it by itself, at its limit beside writers. */
function atLimit(ours: readonly BackupResult[]): Measured<BackupResult> {
  const samples = ours.flatMap(({ limited }) => limited ?? [])
  return { title: 'timberline, at its limit beside writers; MB of files', samples }
}

/** With no writer: every file hashed and fsynced, against copying a closed LevelDB folder. */
function printQuiet(run: BenchRun, quiet: readonly QuietCopies[]): void {
  const copies = quiet.map((sample) => sample.copyMbPerS)
  const row = (title: string, rates: readonly number[]): string[] => [
    title,
    median(rates).toFixed(0),
    medianRatio(rates, copies).toFixed(2),
  ]
  run.print(
    'With no writer, against cp -a and an fsync of each file; MB are bytes of files',
    ['', 'MB/s', 'this / cp'],
    [
      row(
        'hot backup, checksums',
        quiet.map((sample) => sample.backupMbPerS),
      ),
      row(
        'hot backup, checksums and state digest',
        quiet.map((sample) => sample.backupWithDigestMbPerS),
      ),
      row('cp -a, fsync', copies),
    ],
  )
}
