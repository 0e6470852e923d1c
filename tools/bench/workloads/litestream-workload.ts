/** SQLite at work and Litestream beside it: how long a commit takes to be in the replica, by the times of the replica's own files. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { withFolder } from '../folder.ts'
import { cPeerPath, litestreamPath } from '../peers.ts'
import { keyOf } from '../records.ts'
import { quantile } from '../statistics.ts'
import { shareAtRest } from './rest.ts'

export interface LitestreamWork {
  /** Of Litestream's two clocks: how often it looks at the database, and how often it writes to the replica. */
  readonly intervalMs: number
  readonly commitsPerSecond: number
  readonly seconds: number
}

/** Commits younger than this would be lost with the machine. */
export interface RecoveryPoint {
  readonly commitsPerSecond: number
  /** From the beginning of a commit until it is durable in the archive. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Shares of one core: of the process that ships, during these commits and after them. */
  readonly cpu: number
  readonly idleCpu: number
}

const run = promisify(execFile)
const largest = { maxBuffer: 1024 * 1024 * 1024 }
const WARM_MS = 1000
/** What `getconf CLK_TCK` says on every Linux. */
const TICK_MS = 10

export async function measureLitestream(work: LitestreamWork): Promise<RecoveryPoint> {
  return withFolder(async (folder) => {
    await commitFor(folder, work.commitsPerSecond, 0)
    const litestream = await startLitestream(folder, work.intervalMs)
    const lengthMs = work.seconds * 1000
    const writing = commitFor(folder, work.commitsPerSecond, WARM_MS + lengthMs)
    await pause(WARM_MS)
    const warm = await cpuMs(litestream)
    await pause(lengthMs)
    const end = await cpuMs(litestream)
    const begun = await writing
    // At its default it may still have a piece of a second to write.
    const idleCpu = await shareAtRest(() => cpuMs(litestream), { settleMs: 2000 + work.intervalMs })
    const ended = once(litestream, 'exit')
    litestream.kill()
    await ended
    const shipped = await shippedAt(folder)
    const measured = begun.flatMap((at, number) =>
      at < (begun[0] ?? 0) + WARM_MS ? [] : [(shipped[number] ?? Number.POSITIVE_INFINITY) - at],
    )
    return {
      commitsPerSecond: measured.length / work.seconds,
      p50Ms: quantile(measured, 0.5),
      p99Ms: quantile(measured, 0.99),
      cpu: (end - warm) / lengthMs,
      idleCpu,
    }
  })
}

/** When each commit began. */
async function commitFor(folder: string, rate: number, ms: number): Promise<readonly number[]> {
  const words = ['paced', join(folder, 'db'), String(rate), String(ms / 1000)]
  const env = { ...process.env, BESIDE_LITESTREAM: 'yes' }
  const { stdout } = await run(cPeerPath('sqlite'), words, { ...largest, env })
  return (JSON.parse(stdout) as { begunAtMs: readonly number[] }).begunAtMs
}

async function startLitestream(folder: string, intervalMs: number): Promise<ChildProcess> {
  const config = join(folder, 'litestream.yml')
  const interval = `${String(intervalMs)}ms`
  const replica = { type: 'file', path: join(folder, 'replica'), 'sync-interval': interval }
  const db = { path: join(folder, 'db.sqlite'), 'monitor-interval': interval, replicas: [replica] }
  // YAML is a superset of JSON.
  await writeFile(config, JSON.stringify({ dbs: [db] }))
  const litestream = spawn(litestreamPath, ['replicate', '-config', config], { stdio: 'ignore' })
  while ((await segments(folder)).length === 0) await pause(20)
  return litestream
}

/** WAL as it lies in the replica: each file is written under another name, flushed, and renamed. In the order of the log. */
async function segments(folder: string): Promise<readonly string[]> {
  const names = await readdir(join(folder, 'replica'), { recursive: true }).catch(() => [])
  return names
    .filter((name) => name.endsWith('.wal.lz4'))
    .toSorted()
    .map((name) => join(folder, 'replica', name))
}

/**
 * When each commit was in the replica, by its number. One writer made them in order, so a segment holds all up to the largest key in
 * it. The time is that of the renaming, to a tick of the kernel's clock: it may be a few milliseconds early.
 */
async function shippedAt(folder: string): Promise<readonly number[]> {
  const shipped: number[] = []
  for (const segment of await segments(folder)) {
    const { ctimeMs } = await stat(segment)
    const { stdout } = await run('lz4', ['-dc', segment], { ...largest, encoding: 'buffer' })
    const last = largestNumber(stdout)
    while (shipped.length <= last) shipped.push(ctimeMs)
  }
  return shipped
}

function largestNumber(pages: Buffer): number {
  let largestYet = -1
  for (let at = pages.indexOf('0000'); at !== -1; at = pages.indexOf('0000', at + 1)) {
    const number = Number(pages.toString('latin1', at, at + 12))
    if (number > largestYet && pages.subarray(at - 4, at + 12).equals(keyOf(number))) largestYet = number
  }
  return largestYet
}

async function cpuMs(child: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${String(child.pid)}/stat`, 'latin1')).split(' ')
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS
}
