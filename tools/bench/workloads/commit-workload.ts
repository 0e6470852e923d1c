/** Commits of single records by a number of writers; what the other workloads write with is here too. */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { directoryStore, createArchive, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { BENCH_ARCHIVE, keyOf, openPeer, valueOf, type OpenPeer, type Peer } from '../peers.ts'
import { withFolder } from '../run.ts'
import { quantile } from '../statistics.ts'

/**
 * Until a new home's first checkpoint and most of V8's compiling are over, which takes processors that commits would wait for: after one
 * second the slowest hundredth of 8,000 commits/s took twice as long as after four.
 */
const WARM_SECONDS = 3

/** Of a value whose commit is what is measured. */
export const COMMIT_VALUE_BYTES = 200

export interface CommitWork {
  readonly peer: Peer
  readonly writers: number
  readonly seconds: number
  /** Ships the log into a directory archive at the same time, as fast as it grows. */
  readonly shipping?: boolean
  /** Commits a second of all writers together; none: each writer begins when its last commit has ended. */
  readonly rate?: number
}

export interface CommitResult {
  readonly commitsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
  /** Commits since the database was opened, warming included. */
  readonly total: number
}

export async function measureCommits(work: CommitWork): Promise<CommitResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'db')
    const db = await openPeer(work.peer, home)
    const stop =
      work.shipping === true ? await startShipping(home, join(folder, 'archive')) : async () => undefined
    const writing = { ...work, valueBytes: COMMIT_VALUE_BYTES }
    const warm = await writeFor(db, { ...writing, seconds: WARM_SECONDS })
    const result = await writeFor(db, writing)
    await stop()
    await db.close()
    return { ...result, total: warm.total + result.total }
  })
}

/** What these workloads write to. */
export type Writable = Pick<OpenPeer, 'put' | 'batch'>

type Writing = Pick<CommitWork, 'writers' | 'seconds' | 'rate'> & { readonly valueBytes?: number }

export async function writeFor(
  db: Writable,
  { writers, seconds, rate = Infinity, valueBytes }: Writing,
): Promise<CommitResult> {
  const waits: number[] = []
  const begin = performance.now()
  const end = begin + seconds * 1000
  let next = 0
  const writer = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      const number = next++
      const dueMs = begin + (number * 1000) / rate
      if (dueMs > now) {
        await pause(dueMs - now)
        now = performance.now()
      }
      await db.put(keyOf(number), valueOf(number, valueBytes))
      const after = performance.now()
      waits.push(after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: writers }, writer))
  return resultOf(waits, performance.now() - begin)
}

/** One writer for as long as something else takes. */
export async function writeUntil(db: Writable, other: Promise<void>): Promise<CommitResult> {
  const waits: number[] = []
  let isOver = false
  const over = other.finally(() => (isOver = true))
  const begin = performance.now()
  for (let number = 0, now = begin; !isOver; number++) {
    await db.put(keyOf(number), valueOf(number))
    waits.push(performance.now() - now)
    now = performance.now()
  }
  await over
  return resultOf(waits, performance.now() - begin)
}

/** Commits that come at a given rate, whether or not the ones before have ended. */
export async function writeAt(db: Writable, rate: number, seconds: number): Promise<CommitResult> {
  const waits: number[] = []
  const running = new Set<Promise<void>>()
  const begin = performance.now()
  let next = 0
  const commit = async (number: number): Promise<void> => {
    const before = performance.now()
    await db.put(keyOf(number), valueOf(number))
    waits.push(performance.now() - before)
  }
  for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = performance.now() - begin) {
    for (; next < (rate * elapsedMs) / 1000; next++) {
      const one = commit(next)
      running.add(one)
      void one.finally(() => running.delete(one))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(running)
  return resultOf(waits, performance.now() - begin)
}

function resultOf(waits: readonly number[], elapsedMs: number): CommitResult {
  return {
    commitsPerSecond: waits.length / (elapsedMs / 1000),
    p50Ms: quantile(waits, 0.5),
    p99Ms: quantile(waits, 0.99),
    longestMs: quantile(waits, 1),
    total: waits.length,
  }
}

async function startShipping(home: string, archivePath: string): Promise<() => Promise<void>> {
  const identity = await readHomeIdentity(home)
  const archive = await createArchive(directoryStore(archivePath), { environmentId: identity.environmentId })
  const abort = new AbortController()
  const shipper = runShipper({
    logDirectory: homeLayout(home).logDirectory,
    archive,
    name: BENCH_ARCHIVE,
    identity,
    intervalMs: 1000,
    signal: abort.signal,
  })
  return async () => {
    abort.abort()
    await shipper.done.catch(() => undefined)
  }
}

export async function fill(db: Writable, records: number): Promise<void> {
  for (const batch of batchesOf(records)) await db.batch(batch)
}

/** Batches of 1,000 records each; made before the clock starts where only the database is to be timed. */
export function batchesOf(records: number): readonly (readonly [Buffer, Buffer])[][] {
  const numbers = Array.from({ length: records }, (_, number) => number)
  return Array.from({ length: Math.ceil(records / 1000) }, (_, at) =>
    numbers.slice(at * 1000, (at + 1) * 1000).map((number) => [keyOf(number), valueOf(number)] as const),
  )
}
