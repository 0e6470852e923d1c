/** An application and a shipper in two processes, as with `timberline archive run`. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createArchive, directoryStore } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import { openPeer, type Peer } from '../peers.ts'
import { withFolder } from '../run.ts'
import { type CommitResult, writeAt, writeFor } from './commit-workload.ts'
import type { ShipperFigures } from './ship-loop.ts'

export interface ShippingResult {
  readonly off: CommitResult
  readonly on: CommitResult
  /** At half the rate of `off`. */
  readonly halfOff: CommitResult
  readonly halfOn: CommitResult
  /** Commits that wait for the archive, 2,000 a second. */
  readonly eager: CommitResult
  /** Shares of one core. */
  readonly eagerCpu: number
  readonly idleCpu: number
  readonly shipperRssMb: number
  /** Single calls of gzip on the shipper's event loop, meanwhile. */
  readonly eagerGzip: GzipCalls
  readonly flooded: FloodResult
}

/** How long compression kept an event loop at a time. */
export type GzipCalls = Pick<ShipperFigures, 'gzipP99Ms' | 'gzipMaxMs' | 'gzipCalls'>

/** What 256 writers without a pause are to a shipper. */
export interface FloodResult {
  readonly commitsPerSecond: number
  /** Commits that the archive did not hold yet, asked once a second. */
  readonly behind: readonly number[]
  /** From the last commit until the archive held all of them. */
  readonly caughtUpMs: number
  /** How late the shipper's event loop was: its own work, and what it waited for a processor. */
  readonly stallP99Ms: number
  readonly stallMaxMs: number
  readonly gzip: GzipCalls
}

const WRITERS = 64
const FLOOD_WRITERS = 256
/** No flood is caught up with so late. */
const CATCH_UP_MS_MAX = 60_000
/** Commits a second. */
export const EAGER_RATE = 2000
/** A shipper runs for months: V8 still compiles a part of it in the fifth second of such little work. */
const EAGER_WARM_SECONDS = 6
/** Second by second its share differs by a third. */
const EAGER_SECONDS_MIN = 4

const script = fileURLToPath(new URL('./ship-loop.ts', import.meta.url))

export async function measureShipping({ seconds }: { seconds: number }): Promise<ShippingResult> {
  const off = await withHome('timberline', false, async (db) => {
    await writeFor(db, { writers: WRITERS, seconds: 1 })
    return writeFor(db, { writers: WRITERS, seconds })
  })
  const half = off.commitsPerSecond / 2
  const halfOff = await withHome('timberline', false, async (db) => {
    await writeAt(db, half, 1)
    return writeAt(db, half, seconds)
  })
  const flatOut = await withHome('timberline', true, async (db) => {
    await writeFor(db, { writers: WRITERS, seconds: 1 })
    return writeFor(db, { writers: WRITERS, seconds })
  })
  const halfOn = await withHome('timberline', true, async (db) => {
    await writeAt(db, half, 1)
    return writeAt(db, half, seconds)
  })
  const eager = await withHome('timberline-archived', true, async (db, shipper) => {
    await writeAt(db, EAGER_RATE, EAGER_WARM_SECONDS)
    const before = await figures(shipper)
    const begunAtMs = performance.now()
    const result = await writeAt(db, EAGER_RATE, Math.max(seconds, EAGER_SECONDS_MIN))
    const spentMs = performance.now() - begunAtMs
    const during = await figures(shipper)
    // What it still has to do after the last commit is not rest.
    await pause(2000)
    const rest = await figures(shipper)
    await pause(3000)
    const end = await figures(shipper)
    return {
      result,
      cpu: (during.cpuMs - before.cpuMs) / spentMs,
      idle: (end.cpuMs - rest.cpuMs) / 3000,
      rssMb: end.rssMb,
      gzip: gzipOf(end),
    }
  })
  return {
    off,
    on: flatOut,
    halfOff,
    halfOn,
    eager: eager.result,
    eagerCpu: eager.cpu,
    idleCpu: eager.idle,
    shipperRssMb: eager.rssMb,
    eagerGzip: eager.gzip,
    flooded: await withHome('timberline', true, (db, shipper) => flood(db, seconds, shipper)),
  }
}

async function flood(
  db: OpenDatabase,
  seconds: number,
  shipper: ChildProcess | undefined,
): Promise<FloodResult> {
  const warm = await writeFor(db, { writers: FLOOD_WRITERS, seconds: 1 })
  await figures(shipper, 'watch')
  const behind: number[] = []
  let total = warm.total
  let commitsPerSecond = 0
  for (let second = 0; second < seconds; second++) {
    const one = await writeFor(db, { writers: FLOOD_WRITERS, seconds: 1 })
    total += one.total
    commitsPerSecond += one.commitsPerSecond / seconds
    const { shippedLsn } = await figures(shipper)
    behind.push(total - shippedLsn)
  }
  const begin = performance.now()
  let now = await figures(shipper)
  while (now.shippedLsn < total && performance.now() - begin < CATCH_UP_MS_MAX) {
    await pause(10)
    now = await figures(shipper)
  }
  const { stallP99Ms, stallMaxMs } = now
  const caughtUpMs = performance.now() - begin
  return { commitsPerSecond, behind, caughtUpMs, stallP99Ms, stallMaxMs, gzip: gzipOf(now) }
}

function gzipOf({ gzipP99Ms, gzipMaxMs, gzipCalls }: ShipperFigures): GzipCalls {
  return { gzipP99Ms, gzipMaxMs, gzipCalls }
}

type OpenDatabase = Awaited<ReturnType<typeof openPeer>>

async function withHome<T>(
  peer: Peer,
  shipping: boolean,
  work: (db: OpenDatabase, shipper: ChildProcess | undefined) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = await openPeer(peer, home)
    const shipper = shipping ? await startShipper(home, join(folder, 'archive')) : undefined
    const result = await work(db, shipper)
    if (shipper !== undefined) {
      const ended = once(shipper, 'exit')
      shipper.send('stop')
      await ended
    }
    await db.close()
    return result
  })
}

async function startShipper(home: string, archivePath: string): Promise<ChildProcess> {
  const { environmentId } = await readHomeIdentity(home)
  await createArchive(directoryStore(archivePath), { environmentId })
  const shipper = fork(script, [home, archivePath], { execArgv: ['--import', 'tsx'] })
  await once(shipper, 'message')
  return shipper
}

async function figures(shipper: ChildProcess | undefined, message = 'figures'): Promise<ShipperFigures> {
  if (shipper === undefined) throw new Error('nothing ships')
  const answer = once(shipper, 'message')
  shipper.send(message)
  const [reply] = (await answer) as [ShipperFigures]
  return reply
}
