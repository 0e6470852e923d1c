/**
 * From a catastrophe to an open database: base and log out of an archive, against copying files and against the recoveries of
 * others.
 */
import { limit } from '../goals.ts'
import { type CPeer, litestreamPath } from '../peers.ts'
import type { BenchRun, Column } from '../run.ts'
import { comparedRow, ratios } from '../statistics.ts'
import type { RecoveryResult, RecoveryWork, RestoreTimes } from '../workloads/recovery-workload.ts'

export async function benchRecovery(run: BenchRun): Promise<void> {
  const records = 500_000
  const transactions = run.quick ? 200_000 : 500_000
  const { measured } = await run.interleave<RecoveryResult>(
    'recovery',
    columns(run, { records, transactions }),
  )
  const ours = measured[0]?.samples ?? []
  const catastrophe = (samples: readonly RecoveryResult[]): number[] => samples.map((s) => s.recoverMs)
  const unproved = ours.map(({ recoverMs, digestMs = 0 }) => recoverMs - digestMs)
  const row = (title: string, these: readonly number[]): readonly string[] =>
    comparedRow(title, these, ratios(these, catastrophe(ours)))
  run.print(
    `Base of ${String(records)} records and ${String(transactions)} transactions of one record, to an open database`,
    ['', 'ms', 'this / timberline'],
    [
      ...measured.map(({ title, samples }) => row(title, catastrophe(samples))),
      row('timberline, without the digests that prove it', unproved),
    ],
  )
  const copies = ours.flatMap(({ restore }) => (restore === undefined ? [] : [restore.copyMs]))
  for (const { title, samples } of measured.slice(1)) {
    if (title.startsWith('PostgreSQL 15, base')) continue
    const theirs = catastrophe(samples)
    const cp = limit('cp of what it leads to, and open', ratios(theirs, copies))
    const judge = (what: string, these: readonly number[]): void =>
      run.judge({ what, against: title, ratios: ratios(theirs, these), atLeast: 2, limit: cp })
    judge('recovery, proved by digests, times as fast', catastrophe(ours))
    judge('recovery, times as fast', unproved)
  }
  printBase(run, records, ours)
}

/** Ours and others, each from its base and the log behind it to its first read. */
export function columns(run: BenchRun, work: RecoveryWork): readonly Column<RecoveryResult>[] {
  const words = [String(work.records), String(work.transactions)]
  const script = (title: string, name: string, program: string): Column<RecoveryResult> => ({
    title,
    isPeer: true,
    measure: run.scriptPeer<RecoveryResult>(name, program, (folder) => [folder, ...words]),
  })
  return [
    { title: 'timberline', measure: () => run.child('recovery', work) },
    inC(run, { title: 'Berkeley DB (C), db5.3_recover -c', name: 'bdb', work }),
    script(
      'PostgreSQL 15, base copied and WAL replayed',
      'postgresql',
      '/usr/lib/postgresql/15/bin/postgres',
    ),
    script('PostgreSQL 15, by pgBackRest', 'pgbackrest', '/usr/bin/pgbackrest'),
    script('Litestream (SQLite)', 'litestream', litestreamPath),
  ]
}

export function inC(
  run: BenchRun,
  { title, name, work }: { readonly title: string; readonly name: CPeer; readonly work: RecoveryWork },
): Column<RecoveryResult> {
  const words = [String(work.records), String(work.transactions)]
  return {
    title,
    isPeer: true,
    measure: run.cPeer(name, (folder) => ['recovery', `${folder}/db`, `${folder}/copy`, ...words]),
  }
}

function printBase(run: BenchRun, records: number, ours: readonly RecoveryResult[]): void {
  const quiet = ours.flatMap(({ restore }) => restore ?? [])
  const row = (title: string, pick: (times: RestoreTimes) => number): readonly string[] => {
    const these = quiet.map(pick)
    return comparedRow(
      title,
      these,
      ratios(
        these,
        quiet.map(({ copyMs }) => copyMs),
      ),
    )
  }
  run.print(
    `Base of ${String(records)} records alone, to an open database`,
    ['', 'ms', 'this / cp'],
    [
      row('restored from the archive, with its digest', ({ withDigestMs }) => withDigestMs),
      row('without the digest', ({ withoutDigestMs }) => withoutDigestMs),
      row('cp -a, fsync, and open', ({ copyMs }) => copyMs),
    ],
  )
}
