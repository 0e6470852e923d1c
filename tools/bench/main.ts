/**
 * Medians and ratios against classic-level, interleaved in one run: every round measures all peers one after another, each in
 * a process of its own, and ratios are taken within a round, so that a machine that slows down slows all of them.
 *
 * `pnpm bench [--quick] [--writers=1,16] [commits] [gets] [backup] [replay] [deltas]`
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { BackupResult } from './backup-workload.ts'
import type { DeltaResult } from './delta-workload.ts'
import type { Peer } from './peers.ts'
import type { ReplayResult } from './replay-workload.ts'
import { median, medianRatio, table } from './statistics.ts'
import type { CommitResult, CommitWork } from './workloads.ts'

const args = process.argv.slice(2)
const quick = args.includes('--quick')
const rounds = quick ? 3 : 5
const seconds = quick ? 1 : 3
const writerCounts = (args.find((argument) => argument.startsWith('--writers=')) ?? '--writers=1,16,64,256')
  .slice('--writers='.length)
  .split(',')
  .map(Number)
const chosen = args.filter((argument) => !argument.startsWith('--'))
const wants = (section: string): boolean => chosen.length === 0 || chosen.includes(section)

console.log(`node ${process.version}, ${String(rounds)} rounds, medians; ratios are taken within a round`)
if (wants('commits')) await benchCommits()
if (wants('gets')) await benchGets()
if (wants('backup')) await benchBackup()
if (wants('replay')) await benchReplay()
if (wants('deltas')) await benchDeltas()

interface CommitColumn {
  readonly title: string
  readonly peer: Peer
  readonly shipping?: boolean
  readonly poolSize?: number
}

async function benchCommits(): Promise<void> {
  const columns: readonly CommitColumn[] = [
    { title: 'timberline', peer: 'timberline' },
    { title: 'timberline, shipping', peer: 'timberline', shipping: true },
    { title: 'timberline, archived', peer: 'timberline-archived', shipping: true },
    { title: 'classic sync', peer: 'classic-sync' },
    { title: 'classic sync, pool 64', peer: 'classic-sync', poolSize: 64 },
    { title: 'classic no sync', peer: 'classic-nosync' },
  ]
  const rows: string[][] = []
  for (const writers of writerCounts) {
    const results = columns.map((): CommitResult[] => [])
    for (let round = 0; round < rounds; round++) {
      for (const [index, { peer, shipping = false, poolSize }] of columns.entries()) {
        const work: CommitWork = { peer, writers, seconds, shipping }
        results[index]?.push(await inChild<CommitResult>('commits', work, poolSize))
      }
    }
    const rates = results.map((samples) => samples.map((sample) => sample.commitsPerSecond))
    const [ours = []] = rates
    for (const [index, { title }] of columns.entries()) {
      const samples = results[index] ?? []
      rows.push([
        `${String(writers)} writers, ${title}`,
        median(rates[index] ?? []).toFixed(0),
        median(samples.map((sample) => sample.p50Ms)).toFixed(3),
        median(samples.map((sample) => sample.p99Ms)).toFixed(3),
        medianRatio(ours, rates[index] ?? []).toFixed(2),
      ])
    }
  }
  console.log('\nSingle-record commits (16 + 100 bytes)')
  console.log(table(['', 'commits/s', 'p50 ms', 'p99 ms', 'timberline / this'], rows))
}

async function benchGets(): Promise<void> {
  const rates: Record<'timberline' | 'classic-nosync', number[]> = { timberline: [], 'classic-nosync': [] }
  for (let round = 0; round < rounds; round++) {
    for (const peer of ['timberline', 'classic-nosync'] as const) {
      rates[peer].push(await inChild<number>('gets', { peer, records: 100_000, seconds }))
    }
  }
  console.log('\nRandom gets of 100,000 records, 16 readers')
  console.log(
    table(
      ['', 'gets/s', 'timberline / this'],
      (['timberline', 'classic-nosync'] as const).map((peer) => [
        peer,
        median(rates[peer]).toFixed(0),
        medianRatio(rates.timberline, rates[peer]).toFixed(2),
      ]),
    ),
  )
}

async function benchBackup(): Promise<void> {
  const samples: BackupResult[] = []
  for (let round = 0; round < rounds; round++) {
    samples.push(await inChild<BackupResult>('backup', { records: quick ? 300_000 : 1_000_000, seconds: 3 }))
  }
  const of = (pick: (sample: BackupResult) => number): number[] => samples.map(pick)
  const copies = of((sample) => sample.copyMbPerS)
  console.log('\nHot backup of a live home, against cp -r + fsync of its LevelDB folder')
  console.log(
    table(
      ['', 'MB/s', 'against cp -r + fsync'],
      [
        [
          'hot backup, checksums',
          median(of((s) => s.backupMbPerS)).toFixed(0),
          medianRatio(
            of((s) => s.backupMbPerS),
            copies,
          ).toFixed(2),
        ],
        [
          'hot backup, checksums and state digest',
          median(of((s) => s.backupWithDigestMbPerS)).toFixed(0),
          medianRatio(
            of((s) => s.backupWithDigestMbPerS),
            copies,
          ).toFixed(2),
        ],
        ['cp -r + fsync', median(copies).toFixed(0), '1.00'],
      ],
    ),
  )
  const without = median(of((s) => s.longestMsWithout))
  const during = median(of((s) => s.longestMsWith))
  console.log(
    `longest commit: ${without.toFixed(1)} ms without, ${during.toFixed(1)} ms during backups (medians of the rounds)`,
  )
}

async function benchReplay(): Promise<void> {
  const samples: ReplayResult[] = []
  for (let round = 0; round < rounds; round++) {
    samples.push(await inChild<ReplayResult>('replay', { records: quick ? 200_000 : 500_000 }))
  }
  const ours = samples.map((sample) => sample.replayPerSecond)
  const plain = samples.map((sample) => sample.batchesPerSecond)
  console.log('\nReplay of single-record transactions, against plain batches of 1,000 through classic-level')
  console.log(
    table(
      ['', 'records/s', 'replay / this'],
      [
        ['replay', median(ours).toFixed(0), '1.00'],
        ['plain batches', median(plain).toFixed(0), medianRatio(ours, plain).toFixed(2)],
      ],
    ),
  )
}

async function benchDeltas(): Promise<void> {
  const samples: DeltaResult[] = []
  const work = { records: quick ? 500_000 : 1_000_000, keys: 1000 }
  for (let round = 0; round < rounds; round++) samples.push(await inChild<DeltaResult>('deltas', work))
  const plain = samples.map((sample) => sample.plainMs)
  const over = samples.map((sample) => sample.deltaMs)
  const segments = median(samples.map((sample) => sample.segments))
  console.log(
    `\nRecovery of ${String(work.records)} updates over ${String(work.keys)} keys, in ${String(segments)} segments, after the backup is restored`,
  )
  console.log(
    table(
      ['', 'ms', 'plain / this'],
      [
        ['record by record', median(plain).toFixed(0), '1.00'],
        ['over deltas', median(over).toFixed(0), medianRatio(plain, over).toFixed(2)],
        ['(making the deltas)', median(samples.map((sample) => sample.compactMs)).toFixed(0), ''],
      ],
    ),
  )
}

async function inChild<T>(workload: string, work: object, poolSize?: number): Promise<T> {
  const script = fileURLToPath(new URL('./child.ts', import.meta.url))
  const environment =
    poolSize === undefined ? process.env : { ...process.env, UV_THREADPOOL_SIZE: String(poolSize) }
  const child = spawn(process.execPath, ['--import', 'tsx', script, workload, JSON.stringify(work)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: environment,
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`workload ${workload} ended with ${String(code)}`)
  return JSON.parse(output) as T
}
