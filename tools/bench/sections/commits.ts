/** Durable commits of single records: rate and waits, by the number of writers. */
import { type CPeer, lmdbPath, type Peer } from '../peers.ts'
import type { BenchRun, Column } from '../run.ts'
import { median, medianRatio } from '../statistics.ts'
import type { CommitResult, CommitWork } from '../workloads/commit-workload.ts'

export async function benchCommits(run: BenchRun): Promise<void> {
  const rows: string[][] = []
  for (const writers of run.writerCounts) {
    const measured = await run.interleave(`commits, ${String(writers)} writers`, columns(run, writers))
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
    'Single-record commits (16 + 100 bytes), durable when they resolve unless said otherwise',
    head,
    rows,
  )
}

function columns(run: BenchRun, writers: number): readonly Column<CommitResult>[] {
  const ours = (title: string, peer: Peer, more: Partial<CommitWork> = {}): Column<CommitResult> => ({
    title,
    measure: () => run.child('commits', { peer, writers, seconds: run.seconds, ...more }),
  })
  const pool64 = { UV_THREADPOOL_SIZE: '64' }
  return [
    ours('timberline', 'timberline'),
    ours('timberline, shipping', 'timberline', { shipping: true }),
    ours('timberline, archived', 'timberline-archived', { shipping: true }),
    ours('classic sync', 'classic-sync'),
    {
      title: 'classic sync, pool 64',
      measure: () => run.child('commits', { peer: 'classic-sync', writers, seconds: run.seconds }, pool64),
    },
    ours('classic no sync', 'classic-nosync'),
    run.has('lmdb', lmdbPath) ? ours('lmdb, flushed', 'lmdb') : { title: 'lmdb', measure: undefined },
    ...(['bdb', 'rocksdb', 'sqlite'] as const).map((name) => inC(run, name, writers)),
  ]
}

function inC(run: BenchRun, name: CPeer, writers: number): Column<CommitResult> {
  const measure = run.cPeer<{ commits: CommitResult }>(name, (folder) => [
    'commits',
    `${folder}/db`,
    String(writers),
    String(run.seconds),
  ])
  return {
    title: `${name} (C)`,
    measure: measure === undefined ? undefined : async () => (await measure()).commits,
  }
}
