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

/**
 * Where the slowest hundredth is judged, and how many tables of 2 and 4 MiB LevelDB wrote in a second for ours on the machine that was aimed at
 * (by its log): seven bytes for each that was committed.
 */
const TABLES_PER_SECOND: Readonly<Record<number, number>> = { 16: 55, 64: 90 }
/** Commits/s that classic-level can still make on the machine that was aimed at; flat out it makes few, and so gives LevelDB little to sort. */
const COMMON_RATE = 8000
/**
 * LevelDB merges once in eight seconds at that rate, and once in five for classic-level flat out: a shorter time has the merge of one of the
 * two in it and not the other’s.
 */
const PACED_SECONDS = 20
const FLAT_OUT_SECONDS = 10
/** Of a frame, for each commit in it. */
const FRAME_BYTES = 256

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
  if (TABLES_PER_SECOND[writers] === undefined) return
  const waitGoal = (
    title: string,
    of: (peer: string) => string,
    bound: readonly [string, number[]],
  ): void => {
    const [why, alone] = bound
    run.judge({
      what: `p99 of a commit, ${String(writers)} writers${title}`,
      against: of('classic sync'),
      ratios: ratios(waits(of('timberline')), waits(of('classic sync'))),
      atMost: 0.3,
      limit: limit(why, ratios(alone, waits(of('classic sync')))),
    })
  }
  const flushP99Ms = machine.map((sample) => sample.flushP99Ms)
  waitGoal('', flatOut, ['p99 of a flush beside as many tables', waits(BESIDE_TABLES)])
  waitGoal(`, ${String(COMMON_RATE)}/s by both`, paced, ['p99 of a flush alone', flushP99Ms])
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
    ...waitColumns(run, writers, level),
  ]
}

const BESIDE_TABLES = 'a flush beside tables'

/** Over a time in which LevelDB has merged, whoever it is. */
function waitColumns(
  run: BenchRun,
  writers: number,
  level: (title: string, peer: Peer, more: Partial<CommitWork>) => Column<CommitResult>,
): readonly Column<CommitResult>[] {
  const tablesPerSecond = TABLES_PER_SECOND[writers]
  if (tablesPerSecond === undefined) return []
  const flat = { seconds: run.quick ? run.seconds : FLAT_OUT_SECONDS }
  const slow = { seconds: run.quick ? run.seconds : PACED_SECONDS, rate: COMMON_RATE }
  const tables = { seconds: run.seconds, recordBytes: writers * FRAME_BYTES, tablesPerSecond }
  return [
    level(flatOut('timberline'), 'timberline', flat),
    level(flatOut('classic sync'), 'classic-sync', flat),
    level(paced('timberline'), 'timberline', slow),
    level(paced('classic sync'), 'classic-sync', slow),
    { title: BESIDE_TABLES, isPeer: true, measure: () => run.child('beside-tables', tables) },
  ]
}

function flatOut(title: string): string {
  return `${title}, ${String(FLAT_OUT_SECONDS)} s`
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
