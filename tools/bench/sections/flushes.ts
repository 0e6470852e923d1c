/** What a commit costs a disk: flushes counted by a block device of our own, and rates when a flush takes long. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withFolder } from '../folder.ts'
import { limit } from '../goals.ts'
import type { Peer } from '../peers.ts'
import type { BenchRun } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import { oneFlushForAll } from './bounds.ts'
import type { CountedCommits } from '../workloads/commit-workload.ts'
import type { CommitResult } from '../workloads/writers.ts'

interface FlushResult {
  readonly flushes: number
  readonly commits: number
  /** Writes of the log, each of which is to be durable after one flush; absent for peers. */
  readonly groups?: number
}

const slowFlush = fileURLToPath(new URL('../peers/build/slow-flush.so', import.meta.url))
const IMAGE_BYTES = 2 ** 31
const SLOW_FLUSH_GOALS: Readonly<Record<number, number>> = { 16: 10, 256: 50 }

/**
 * By the number of writers, flushes of a group at most. What the log's own files and checkpoints cost beside commits is a hundredth or two of a
 * flush; the zeros ahead of the frames take two or more for each 256 KiB, or for 64 groups where those are large.
 */
const FLUSH_GOALS = [
  [1, 1.05],
  [16, 1.1],
  [64, 1.15],
] as const

export async function benchFlushes(run: BenchRun): Promise<void> {
  if (process.getuid?.() !== 0) {
    console.log('\nflushes: not counted, because that needs a loop device, and so root')
    return
  }
  await withFolder(async (folder) => {
    const device = mountLoop(folder)
    try {
      const { measured, of } = await run.interleave<FlushResult>(
        'flushes',
        FLUSH_GOALS.flatMap(([writers]) =>
          (['timberline', 'classic-sync'] as const).map((peer) => ({
            title: titleOf(writers, peer),
            isPeer: peer !== 'timberline',
            measure: async () => {
              const before = flushesOf(device)
              const work = { peer, writers, seconds: run.seconds, counted: peer === 'timberline' }
              const { total, groups } = await run.child<CountedCommits>('commits', work, {
                BENCH_FOLDER: join(folder, 'disk'),
              })
              const flushes = flushesOf(device) - before
              return { flushes, commits: total, ...(groups === undefined ? {} : { groups }) }
            },
          })),
        ),
      )
      for (const [writers, atMost] of FLUSH_GOALS)
        run.judge({
          what: writers === 1 ? 'device flushes of a commit, 1 writer' : groupTitle(writers),
          against: 'counted',
          ratios: of(titleOf(writers, 'timberline')).map(({ flushes, commits, groups }) =>
            writers === 1 ? flushes / commits : flushes / (groups ?? Number.NaN),
          ),
          atMost,
          limit: limit('a group is durable after one', [1]),
        })
      run.print(
        'Flushes that a block device was asked for (ext4 on a loop device)',
        ['', 'a commit', 'a group', 'commits of a group'],
        measured.map(({ title, samples }) => flushRow(title, samples)),
      )
    } finally {
      unmountLoop(folder, device)
    }
  })
}

function titleOf(writers: number, peer: Peer): string {
  return `${String(writers)} writers, ${peer}`
}

function groupTitle(writers: number): string {
  return `device flushes of a group, ${String(writers)} writers`
}

function flushRow(title: string, samples: readonly FlushResult[]): readonly string[] {
  const middle = (ratio: (sample: FlushResult) => number): string => {
    const figures = samples.map(ratio)
    return figures.some(Number.isNaN) ? '' : median(figures).toFixed(3)
  }
  return [
    title,
    middle(({ flushes, commits }) => flushes / commits),
    middle(({ flushes, groups = Number.NaN }) => flushes / groups),
    middle(({ commits, groups = Number.NaN }) => commits / groups),
  ]
}

/** A flush that takes half a millisecond more, by a sleep for each flush that a sync asks of the device: see peers/slow-flush.c. */
export async function benchSlowFlush(run: BenchRun): Promise<void> {
  if (!run.has('slow-flush', slowFlush)) return
  const environment = { LD_PRELOAD: slowFlush, BENCH_FLUSH_US: '500' }
  const rows: string[][] = []
  for (const writers of [1, 16, 64, 256]) {
    const { of, machine } = await run.interleave<CommitResult>(
      `slow flush, ${String(writers)} writers`,
      (['timberline', 'classic-sync'] as const).map((peer) => ({
        title: peer,
        isPeer: peer !== 'timberline',
        measure: () => run.child('commits', { peer, writers, seconds: run.seconds }, environment),
      })),
      environment,
    )
    const rates = (title: string): number[] => of(title).map((sample) => sample.commitsPerSecond)
    const [ours, theirs] = [rates('timberline'), rates('classic-sync')]
    const atLeast = SLOW_FLUSH_GOALS[writers]
    if (atLeast !== undefined)
      run.judge({
        what: `commits/s, ${String(writers)} writers, a flush of 0.5 ms more`,
        against: 'classic sync',
        ratios: ratios(ours, theirs),
        atLeast,
        limit: oneFlushForAll(machine, writers, theirs),
      })
    rows.push([
      `${String(writers)} writers`,
      median(ours).toFixed(0),
      median(theirs).toFixed(0),
      medianRatio(ours, theirs).toFixed(1),
    ])
  }
  run.print(
    'Commits/s when a flush takes 500 microseconds more',
    ['', 'timberline', 'classic sync', 'ratio'],
    rows,
  )
}

function mountLoop(folder: string): string {
  const image = join(folder, 'image')
  execFileSync('truncate', ['-s', String(IMAGE_BYTES), image])
  execFileSync('mkfs.ext4', ['-q', '-F', image])
  const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim()
  mkdirSync(join(folder, 'disk'))
  execFileSync('mount', [device, join(folder, 'disk')])
  return device
}

function unmountLoop(folder: string, device: string): void {
  execFileSync('umount', [join(folder, 'disk')])
  execFileSync('losetup', ['--detach', device])
  rmdirSync(join(folder, 'disk'))
  rmSync(join(folder, 'image'))
}

/** The 16th figure of a block device’s `stat` is the count of its flush requests that ended (Linux 5.5 and later). */
function flushesOf(device: string): number {
  const figures = readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
    .trim()
    .split(/\s+/)
  return Number(figures[15])
}
