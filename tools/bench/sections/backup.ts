/** Hot backups of a live database: speed, and what they cost its writer. */
import { limit } from '../goals.ts'
import type { BenchRun, Column, Measured } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import type { BackupResult, Limited, QuietCopies } from '../workloads/backup-workload.ts'

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
  const { measured } = await run.interleave<BackupResult>('backup', [
    { title: 'timberline', measure: () => run.child('backup', { records, seconds }) },
    ...inC,
  ])
  const ours = measured[0]?.samples ?? []
  const rows = [...measured, atLimit(ours)].map(({ title, samples }) => {
    const of = (pick: (sample: Limited) => number): number[] => samples.map(pick)
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
  judgeBeside(run, measured)
  printQuiet(
    run,
    ours.flatMap(({ quiet }) => quiet ?? []),
  )
}

function judgeBeside(run: BenchRun, measured: readonly Measured<BackupResult>[]): void {
  const [ours, ...peers] = measured
  if (ours === undefined) return
  const quiet = ours.samples.flatMap((sample) => sample.quiet ?? [])
  const copies = quiet.map((sample) => sample.copyMbPerS)
  const rates = ours.samples.map((sample) => sample.mbPerS)
  for (const peer of peers) {
    const theirs = peer.samples.map((sample) => sample.mbPerS)
    // They leave the writer little more than a half; a disk gives the copy what it does not give the commits.
    const left = limit(
      'cp, a fifth of the time',
      ratios(
        copies.map((copy) => copy / 5),
        theirs,
      ),
    )
    run.judge({
      what: 'backup at full speed beside a writer, MB/s',
      against: peer.title,
      ratios: ratios(rates, theirs),
      atLeast: 1,
      limit: left,
    })
  }
  const beside = (
    what: string,
    samples: readonly Pick<BackupResult, 'without' | 'during'>[],
    atLeast: number,
  ): void => {
    const { kept, p99, longest } = costs(samples)
    const nothing = limit('nothing lost', [1])
    run.judge({
      what: `${what}: rate kept`,
      against: 'the seconds before',
      ratios: kept,
      atLeast,
      limit: nothing,
    })
    run.judge({
      what: `${what}: p99`,
      against: 'the seconds before',
      ratios: p99,
      atMost: 1.2,
      limit: nothing,
    })
    run.judge({
      what: `${what}: longest commit, ms more`,
      against: 'the seconds before',
      ratios: longest,
      atMost: 10,
      limit: limit('none', [0]),
    })
  }
  beside('backup at full speed', ours.samples, 0.8)
  beside('backup as it comes, 10 MB/s', atLimit(ours.samples).samples, 0.95)
  run.judge({
    what: 'backup, nobody writing, MB/s',
    against: 'cp -a, fsync',
    ratios: ratios(
      quiet.map((sample) => sample.backupMbPerS),
      copies,
    ),
    atLeast: 0.9,
    limit: limit('cp copies the same bytes', [1]),
  })
}

function costs(
  samples: readonly Pick<BackupResult, 'without' | 'during'>[],
): Record<'kept' | 'p99' | 'longest', number[]> {
  return {
    kept: samples.map(({ without, during }) => during.commitsPerSecond / without.commitsPerSecond),
    p99: samples.map(({ without, during }) => during.p99Ms / without.p99Ms),
    longest: samples.map(({ without, during }) => during.longestMs - without.longestMs),
  }
}

/** Ours as the command does it by itself, at its limit beside writers. */
function atLimit(ours: readonly BackupResult[]): Measured<Limited> {
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
