/** Durable commits of single records: rate and waits, by the number of writers. */
import { limit } from '../goals.ts'
import { type CPeer, lmdbPath, type Peer } from '../peers.ts'
import type { BenchRun, Column, Interleaved } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import { oneFlushForAll } from './bounds.ts'
import { COMMIT_VALUE_BYTES, type CommitWork } from '../workloads/commit-workload.ts'
import type { CommitResult } from '../workloads/writers.ts'

export async function benchCommits(run: BenchRun): Promise<void> {
  const rows: string[][] = []
  for (const writers of run.writerCounts) {
    const interleaved = await run.interleave(`commits, ${String(writers)} writers`, columns(run, writers))
    const { measured } = interleaved
    judge(run, writers, interleaved)
    const ours = measured[0]?.samples ?? []
    for (const { title, samples } of measured) {
      const of = (pick: (sample: CommitResult) => number): number[] => samples.map(pick)
      rows.push([
        `${String(writers)} writers, ${title}`,
        median(of((sample) => sample.commitsPerSecond)).toFixed(0),
        median(of((sample) => sample.p50Ms)).toFixed(3),
        median(of((sample) => sample.p99Ms)).toFixed(3),
        medianRatio(
          ours.map((sample) => sample.commitsPerSecond),
          of((sample) => sample.commitsPerSecond),
        ).toFixed(2),
        medianRatio(
          ours.map((sample) => sample.p99Ms),
          of((sample) => sample.p99Ms),
        ).toFixed(2),
      ])
    }
  }
  const head = ['', 'commits/s', 'p50 ms', 'p99 ms', 'timberline / this', 'p99: timberline / this']
  run.print(
    `Single-record commits (16 + ${String(COMMIT_VALUE_BYTES)} bytes), durable when they resolve unless said otherwise`,
    head,
    rows,
  )
}

const WAITS_AT: ReadonlySet<number> = new Set([16, 64])
/** Commits/s that classic-level can still make on the machine that was aimed at; flat out it makes few, and so gives LevelDB little to sort. */
const COMMON_RATE = 8000

/** By the number of writers, ours over theirs. */
const RATES: readonly Wanted[] = [
  { against: 'classic sync', atLeast: { 1: 1.25, 16: 3.5, 64: 7, 256: 7 } },
  { against: 'classic sync, pool 64', atLeast: { 1: 1.25, 16: 2.5, 64: 3, 256: 3 } },
  { against: 'lmdb, flushed', atLeast: { 1: 1, 16: 2, 64: 2.5, 256: 2.5 } },
  { against: 'rocksdb (C)', atLeast: { 64: 1.5, 256: 1.5 } },
  { against: 'bdb (C)', atLeast: { 64: 1.5, 256: 1.5 } },
]

interface Wanted {
  readonly against: string
  readonly atLeast: Readonly<Record<number, number>>
}

function judge(run: BenchRun, writers: number, { of, machine }: Interleaved<CommitResult>): void {
  const rates = (title: string): number[] => of(title).map((sample) => sample.commitsPerSecond)
  const waits = (title: string): number[] => of(title).map((sample) => sample.p99Ms)
  const what = `commits/s, ${String(writers)} writers`
  for (const { against, atLeast } of RATES) {
    const wanted = atLeast[writers]
    if (wanted === undefined) continue
    run.judge({
      what,
      against,
      ratios: ratios(rates('timberline'), rates(against)),
      atLeast: wanted,
      limit: oneFlushForAll(machine, writers, rates(against)),
    })
  }
  run.judge({
    what: `${what}, shipping`,
    against: 'classic sync, without a backup',
    ratios: ratios(rates('timberline, shipping'), rates('classic sync')),
    atLeast: 1,
    limit: oneFlushForAll(machine, writers, rates('classic sync')),
  })
  const flushP99Ms = machine.map((sample) => sample.flushP99Ms)
  const waitGoal = (title: string, ours: string, theirs: string): void => {
    run.judge({
      what: `p99 of a commit, ${String(writers)} writers${title}`,
      against: theirs,
      ratios: ratios(waits(ours), waits(theirs)),
      atMost: 0.3,
      limit: limit('p99 of a flush alone', ratios(flushP99Ms, waits(theirs))),
    })
  }
  if (!WAITS_AT.has(writers)) return
  waitGoal('', 'timberline', 'classic sync')
  waitGoal(`, ${String(COMMON_RATE)}/s by both`, paced('timberline'), paced('classic sync'))
}

function columns(run: BenchRun, writers: number): readonly Column<CommitResult>[] {
  const level = (title: string, peer: Peer, more: Partial<CommitWork> = {}): Column<CommitResult> => ({
    title,
    isPeer: !peer.startsWith('timberline'),
    measure: () => run.child('commits', { peer, writers, seconds: run.seconds, ...more }),
  })
  const pool64 = { UV_THREADPOOL_SIZE: '64' }
  return [
    level('timberline', 'timberline'),
    level('timberline, shipping', 'timberline', { shipping: true }),
    ...(run.quick ? [] : [level('timberline, archived', 'timberline-archived', { shipping: true })]),
    level('classic sync', 'classic-sync'),
    {
      title: 'classic sync, pool 64',
      isPeer: true,
      measure: () => run.child('commits', { peer: 'classic-sync', writers, seconds: run.seconds }, pool64),
    },
    ...(run.quick ? [] : [level('classic no sync', 'classic-nosync')]),
    run.has('lmdb', lmdbPath) ? level('lmdb, flushed', 'lmdb') : { title: 'lmdb', measure: undefined },
    ...(['bdb', 'rocksdb', 'sqlite'] as const).map((name) => inC(run, name, writers)),
    ...(WAITS_AT.has(writers)
      ? [
          level(paced('timberline'), 'timberline', { rate: COMMON_RATE }),
          level(paced('classic sync'), 'classic-sync', { rate: COMMON_RATE }),
        ]
      : []),
  ]
}

function paced(title: string): string {
  return `${title}, ${String(COMMON_RATE)}/s`
}

function inC(run: BenchRun, name: CPeer, writers: number): Column<CommitResult> {
  const measure = run.cPeer<{ commits: CommitResult }>(name, (folder) => [
    'commits',
    `${folder}/db`,
    String(writers),
    String(run.seconds),
    String(COMMIT_VALUE_BYTES),
  ])
  return {
    title: `${name} (C)`,
    isPeer: true,
    measure: measure === undefined ? undefined : async () => (await measure()).commits,
  }
}
