/** Each workload runs in a process of its own and prints one JSON line: no peer warms the heap or the pool of another. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { directoryStore, createArchive, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { BENCH_ARCHIVE, keyOf, openPeer, valueOf, type OpenPeer, type Peer } from './peers.ts'
import { quantile } from './statistics.ts'

export interface CommitWork {
  readonly peer: Peer
  readonly writers: number
  readonly seconds: number
  /** Ships the log into a directory archive at the same time, as fast as it grows. */
  readonly shipping?: boolean
}

export interface CommitResult {
  readonly commitsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
}

export async function measureCommits(work: CommitWork): Promise<CommitResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'db')
    const db = await openPeer(work.peer, home)
    const stop =
      work.shipping === true ? await startShipping(home, join(folder, 'archive')) : async () => undefined
    // Long enough that a new home's first checkpoint and the compiler are done: the steady state is what is measured.
    await writeFor(db, work.writers, 1)
    const result = await writeFor(db, work.writers, work.seconds)
    await stop()
    await db.close()
    return result
  })
}

export async function writeFor(db: OpenPeer, writers: number, seconds: number): Promise<CommitResult> {
  const waits: number[] = []
  const begin = performance.now()
  const end = begin + seconds * 1000
  let next = 0
  const writer = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      const number = next++
      await db.put(keyOf(number), valueOf(number))
      const after = performance.now()
      waits.push(after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: writers }, writer))
  return {
    commitsPerSecond: waits.length / ((performance.now() - begin) / 1000),
    p50Ms: quantile(waits, 0.5),
    p99Ms: quantile(waits, 0.99),
    longestMs: quantile(waits, 1),
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

/** Random reads of a database of `records` records; reads per second. */
export async function measureGets(work: { peer: Peer; records: number; seconds: number }): Promise<number> {
  return withFolder(async (folder) => {
    const filled = await openPeer(work.peer, join(folder, 'db'))
    await fill(filled, work.records)
    // Opened again, so that both read tables: how much still lies in memory after a load is a matter of checkpoints.
    await filled.close()
    const db = await openPeer(work.peer, join(folder, 'db'))
    await readFor(db, work.records, 0.3)
    const rate = await readFor(db, work.records, work.seconds)
    await db.close()
    return rate
  })
}

async function readFor(db: OpenPeer, records: number, seconds: number): Promise<number> {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let count = 0
  const reader = async (): Promise<void> => {
    while (performance.now() < end) {
      await db.get(keyOf(Math.floor(Math.random() * records)))
      count++
    }
  }
  await Promise.all(Array.from({ length: 16 }, reader))
  return count / ((performance.now() - begin) / 1000)
}

export async function fill(db: OpenPeer, records: number): Promise<void> {
  for (const batch of batchesOf(records)) await db.batch(batch)
}

/** Batches of 1,000 records each; made before the clock starts where only the database is to be timed. */
export function batchesOf(records: number): readonly (readonly [Buffer, Buffer])[][] {
  const numbers = Array.from({ length: records }, (_, number) => number)
  return Array.from({ length: Math.ceil(records / 1000) }, (_, at) =>
    numbers.slice(at * 1000, (at + 1) * 1000).map((number) => [keyOf(number), valueOf(number)] as const),
  )
}

export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  // A folder on the disk of the checkout: the temporary folder may be memory, where a flush costs nothing.
  const folder = await mkdtemp(join(process.cwd(), '.bench-'))
  try {
    return await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
