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

/** What a flush takes more, and who writes beside it; a consumer's disk without a battery takes some two milliseconds. */
const SLOW_FLUSHES = [
  { moreUs: 500, writers: [1, 16, 64, 256] },
  { moreUs: 2000, writers: [16] },
] as const
const SLOW_FLUSH_GOALS: Readonly<Record<number, number>> = { 16: 10, 256: 50 }

/**
 * By the number of writers, flushes of a group at most, whoever asked for them. What is above one are LevelDB's tables and the zeros ahead of
 * frames: two or more for each 256 KiB, or for 64 groups where those are large.
 */
const FLUSH_GOALS = [
  [1, 1.05],
  [16, 1.1],
  [64, 1.15],
] as const
/** The same without LevelDB's tables. */
const LOG_FLUSHES_MAX = 1.05
const COUNTED_PEERS = ['timberline', 'classic-sync', 'classic-nosync'] as const

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
          COUNTED_PEERS.map((peer) => ({
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
      for (const [writers, atMost] of FLUSH_GOALS) {
        const [ours, unsynced] = [of(titleOf(writers, 'timberline')), of(titleOf(writers, 'classic-nosync'))]
        const what = `device flushes of a group, ${String(writers)} writers`
        const bound = limit('a group is durable after one', [1])
        const all = ours.map(({ flushes, groups = Number.NaN }) => flushes / groups)
        run.judge({ what, against: 'counted', ratios: all, atMost, limit: bound })
        run.judge({
          what: `${what}, less those of LevelDB’s tables`,
          against: 'counted',
          ratios: logFlushes(ours, unsynced),
          atMost: LOG_FLUSHES_MAX,
          limit: bound,
        })
      }
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

/**
 * Flushes of a group without those that LevelDB asks for to make its tables durable, which are what a commit costs without `sync`. In each
 * round, as far as both were counted.
 */
function logFlushes(ours: readonly FlushResult[], unsynced: readonly FlushResult[]): readonly number[] {
  return ours.flatMap(({ flushes, commits, groups = Number.NaN }, round) => {
    const tables = unsynced[round]
    return tables === undefined ? [] : [(flushes - (tables.flushes / tables.commits) * commits) / groups]
  })
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

/** A flush that takes longer, by a sleep for each flush that a sync asks of the device: see peers/slow-flush.c. */
export async function benchSlowFlush(run: BenchRun): Promise<void> {
  if (!run.has('slow-flush', slowFlush)) return
  const rows: string[][] = []
  for (const { moreUs, writers } of SLOW_FLUSHES)
    for (const count of writers) rows.push(await slowFlushRow(run, count, moreUs))
  run.print('Commits/s when a flush takes longer', ['', 'timberline', 'classic sync', 'ratio'], rows)
}

async function slowFlushRow(run: BenchRun, writers: number, moreUs: number): Promise<string[]> {
  const environment = { LD_PRELOAD: slowFlush, BENCH_FLUSH_US: String(moreUs) }
  const what = `${String(writers)} writers, a flush of ${String(moreUs / 1000)} ms more`
  const { of, machine } = await run.interleave<CommitResult>(
    what,
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
      what: `commits/s, ${what}`,
      against: 'classic sync',
      ratios: ratios(ours, theirs),
      atLeast,
      limit: oneFlushForAll(machine, writers, theirs),
    })
  return [what, median(ours).toFixed(0), median(theirs).toFixed(0), medianRatio(ours, theirs).toFixed(1)]
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
