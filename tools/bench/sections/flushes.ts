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
import type { CommitResult } from '../workloads/writers.ts'

interface FlushResult {
  readonly flushes: number
  readonly commits: number
}

const slowFlush = fileURLToPath(new URL('../peers/build/slow-flush.so', import.meta.url))
const IMAGE_BYTES = 2 ** 31
const SLOW_FLUSH_GOALS: Readonly<Record<number, number>> = { 16: 10, 256: 50 }

/**
 * By the number of writers, flushes for as many commits as there are writers. What the log's own files cost beside commits is a hundredth or
 * two of a flush; of many writers some begin while a flush is under way, and are of the next group.
 */
const FLUSH_GOALS = [
  [1, 1.05],
  [16, 2],
  [64, 2],
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
            measure: async () => {
              const before = flushesOf(device)
              const work = { peer, writers, seconds: run.seconds }
              const { total } = await run.child<CommitResult>('commits', work, {
                BENCH_FOLDER: join(folder, 'disk'),
              })
              return { flushes: flushesOf(device) - before, commits: total }
            },
          })),
        ),
      )
      const rows = measured.map(({ title, samples }) => [
        title,
        median(samples.map(({ flushes, commits }) => flushes / commits)).toFixed(3),
      ])
      for (const [writers, atMost] of FLUSH_GOALS)
        run.judge({
          what: writers === 1 ? 'device flushes of a commit, 1 writer' : groupTitle(writers),
          against: 'counted',
          ratios: of(titleOf(writers, 'timberline')).map(
            ({ flushes, commits }) => (flushes * writers) / commits,
          ),
          atMost,
          limit: limit('a group is durable after one', [1]),
        })
      run.print('Flushes that a block device was asked for (ext4 on a loop device)', ['', 'a commit'], rows)
    } finally {
      unmountLoop(folder, device)
    }
  })
}

function titleOf(writers: number, peer: Peer): string {
  return `${String(writers)} writers, ${peer}`
}

function groupTitle(writers: number): string {
  return `device flushes of ${String(writers)} commits, ${String(writers)} writers`
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
