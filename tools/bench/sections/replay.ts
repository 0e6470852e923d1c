/** Replay of the log against what LevelDB takes at most, and against the replays of others. */
import type { BenchRun } from '../run.ts'
import { comparedRow, ratios } from '../statistics.ts'
import { speedOfDisk } from './bounds.ts'
import type { RecoveryResult } from '../workloads/recovery-workload.ts'
import type { ReplayResult } from '../workloads/replay-workload.ts'
import { columns, inC } from './recovery.ts'

export async function benchReplay(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const { measured, of, machine } = await run.interleave<ReplayResult>(
    'replay',
    (['replay', 'open', 'ingestion', 'batches'] as const).map((way) => ({
      title: TITLES[way],
      isPeer: way === 'ingestion' || way === 'batches',
      measure: () => run.child('replay', { way, records }),
    })),
  )
  const ours = measured[0]?.samples.map((sample) => sample.recordsPerSecond) ?? []
  const rows = measured.map(({ title, samples }) => {
    const rates = samples.map((sample) => sample.recordsPerSecond)
    return comparedRow(title, rates, ratios(ours, rates))
  })
  const taken = of(TITLES.ingestion).map((sample) => sample.recordsPerSecond)
  run.judge({
    what: 'replay of inserts, records/s',
    against: 'classic-level, chained batches',
    ratios: ratios(ours, taken),
    atLeast: 0.85,
    limit: speedOfDisk(machine, taken),
  })
  run.print('Replay of single-record transactions', ['', 'records/s', 'replay / this'], rows)
  await benchPeers(run, records)
}

/** Hardly anything but a log, by everybody's own means, up to the first read. */
async function benchPeers(run: BenchRun, transactions: number): Promise<void> {
  const work = { records: BASE_RECORDS, transactions }
  const { measured, machine } = await run.interleave<RecoveryResult>('replay by others', [
    ...columns(run, work),
    inC(run, { title: 'RocksDB (C), the log of a crash', name: 'rocksdb', work }),
  ])
  const rates = (samples: readonly RecoveryResult[]): number[] =>
    samples.map(({ recoverMs, digestMs = 0 }) => (transactions * 1000) / (recoverMs - digestMs))
  const ours = rates(measured[0]?.samples ?? [])
  for (const { title, samples } of measured.slice(1))
    run.judge({
      what: 'replay of a log with hardly a base, records/s',
      against: title,
      ratios: ratios(ours, rates(samples)),
      atLeast: 2,
      limit: speedOfDisk(machine, rates(samples)),
    })
  run.print(
    `A base of ${String(BASE_RECORDS)} records and a log of ${String(transactions)}, to an open database, nothing proved`,
    ['', 'records/s', 'timberline / this'],
    measured.map(({ title, samples }) => comparedRow(title, rates(samples), ratios(ours, rates(samples)))),
  )
}

const BASE_RECORDS = 1000

const TITLES = {
  replay: 'replay of the log in a recovery, to a checkpoint',
  open: 'replay of the log into an open LevelDB',
  ingestion: 'classic-level, chained batches of 1,000, the records in memory',
  batches: 'classic-level, batch([...]) of 1,000, the records in memory',
}
