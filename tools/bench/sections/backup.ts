/** Hot backups of a live database: speed, and what they cost its writer. */
import { limit } from '../goals.ts'
import { lmdbPath } from '../peers.ts'
import type { BenchRun, Column, Measured } from '../run.ts'
import { comparedRow, median, medianRatio, ratios } from '../statistics.ts'
import { keptOf, longestMore, waits } from './beside.ts'
import { NO_MORE, NOTHING_LOST, SAME_BYTES } from './bounds.ts'
import type { Beside } from '../workloads/writers.ts'
import type { BackupResult, Limited, QuietCopies } from '../workloads/backup-workload.ts'

const LMDB = 'lmdb, backup call'

export async function benchBackup(run: BenchRun): Promise<void> {
  const records = run.quick ? 300_000 : 1_000_000
  const seconds = run.quick ? 2 : 4
  const inC: readonly Column<BackupResult>[] = (['bdb', 'rocksdb', 'sqlite'] as const).map((name) => ({
    title: `${name} (C)`,
    isPeer: true,
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
    {
      title: LMDB,
      isPeer: true,
      measure: run.has('lmdb', lmdbPath) ? () => run.child('lmdb-backup', { records, seconds }) : undefined,
    },
    ...inC,
  ])
  const ours = measured[0]?.samples ?? []
  const rows = [...measured, unsparing(ours), atLimit(ours)].map(({ title, samples }) => {
    const of = (pick: (sample: Limited) => number): number[] => samples.map(pick)
    return [
      title,
      median(of((sample) => sample.mbPerS)).toFixed(0),
      medianRatio(
        ours.map((sample) => sample.mbPerS),
        of((sample) => sample.mbPerS),
      ).toFixed(2),
      median(keptOf(samples)).toFixed(2),
      waits(samples, 'p99Ms'),
      waits(samples, 'longestMs'),
    ]
  })
  run.print(
    `Hot backups without a pause of ${String(records)} records beside one writer; MB are keys and values`,
    ['', 'MB/s', 'timberline / this', 'rate kept', 'p99 ms without / during', 'longest ms'],
    rows,
  )
  judge(run, measured)
  printQuiet(
    run,
    ours.flatMap(({ quiet }) => quiet ?? []),
  )
}

function judge(run: BenchRun, measured: readonly Measured<BackupResult>[]): void {
  const [ours, ...peers] = measured
  if (ours === undefined) return
  const quiet = ours.samples.flatMap((sample) => sample.quiet ?? [])
  // lmdb's writer stands still for the copy: what it copies is a closed store, as cp has it.
  judgeSpeed(
    run,
    ours.samples,
    peers.filter(({ title }) => title !== LMDB),
  )
  for (const { title, samples } of peers)
    run.judge({
      what: 'backup without a limit: rate kept',
      against: title,
      ratios: ratios(keptOf(ours.samples), keptOf(samples)),
      atLeast: 1,
      limit: limit(
        'nothing lost',
        keptOf(samples).map((kept) => 1 / kept),
      ),
    })
  judgeCost(run, 'backup without a limit', { samples: ours.samples, kept: 0.8 })
  judgeCost(run, 'backup as it comes, 10 MB/s', { samples: atLimit(ours.samples).samples, kept: 0.95 })
  run.judge({
    what: 'backup, nobody writing, MB/s',
    against: 'cp -a, fsync',
    ratios: ratios(
      quiet.map((sample) => sample.backupMbPerS),
      quiet.map((sample) => sample.copyMbPerS),
    ),
    atLeast: 0.9,
    limit: SAME_BYTES,
  })
}

/** Of backups that spare the writer no more than the others do, which leave it little more than a half. */
function judgeSpeed(
  run: BenchRun,
  ours: readonly BackupResult[],
  peers: readonly Measured<BackupResult>[],
): void {
  const what = 'backup that spares nobody beside a writer, MB/s'
  const why = 'cp with nobody writing'
  const quiet = ours.flatMap((sample) => sample.quiet ?? [])
  const copies = quiet.map((sample) => sample.copyMbPerS)
  const rates = unsparing(ours).samples.map((sample) => sample.mbPerS)
  for (const { title, samples } of peers) {
    const theirs = samples.map((sample) => sample.mbPerS)
    const left = limit(why, ratios(copies, theirs))
    run.judge({ what, against: title, ratios: ratios(rates, theirs), atLeast: 1, limit: left })
  }
  run.judge({
    what,
    against: 'cp -a, fsync, nobody writing',
    ratios: ratios(
      quiet.map((sample) => sample.besideMbPerS),
      copies,
    ),
    atLeast: 0.9,
    limit: limit(why, [1]),
  })
}

interface Cost {
  readonly samples: readonly Beside[]
  /** Of the rate, at least. */
  readonly kept: number
}

/** What a backup takes away from the writer beside it. */
function judgeCost(run: BenchRun, what: string, { samples, kept }: Cost): void {
  const against = 'the seconds before'
  const p99 = samples.map(({ without, during }) => during.p99Ms / without.p99Ms)
  run.judge({
    what: `${what}: rate kept`,
    against,
    ratios: keptOf(samples),
    atLeast: kept,
    limit: NOTHING_LOST,
  })
  run.judge({ what: `${what}: p99`, against, ratios: p99, atMost: 1.2, limit: NOTHING_LOST })
  run.judge({
    what: `${what}: longest commit, ms more`,
    against,
    ratios: longestMore(samples),
    atMost: 10,
    limit: NO_MORE,
  })
}

/** Ours with `--max-mb-per-s full`. */
function unsparing(ours: readonly BackupResult[]): Measured<Limited> {
  return { title: 'timberline, sparing nobody', samples: ours.flatMap((sample) => sample.unsparing ?? []) }
}

/** Ours as the command does it by itself, at its limit beside writers. */
function atLimit(ours: readonly BackupResult[]): Measured<Limited> {
  const samples = ours.flatMap(({ limited }) => limited ?? [])
  return { title: 'timberline, at its limit beside writers; MB of files', samples }
}

/** With no writer: every file hashed and fsynced, against copying a closed LevelDB folder. */
function printQuiet(run: BenchRun, quiet: readonly QuietCopies[]): void {
  const copies = quiet.map((sample) => sample.copyMbPerS)
  const row = (title: string, rates: readonly number[]): readonly string[] =>
    comparedRow(title, rates, ratios(rates, copies))
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
