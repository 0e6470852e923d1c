/** An application and a shipper in two processes, as with `timberline archive run`. */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { OpenPeer } from '../peers.ts'
import type { RecoveryPoint } from './litestream-workload.ts'
import { measurePoint } from './recovery-point.ts'
import type { ShipperFigures } from './ship-loop.ts'
import { alone, figures, shipped, shipperAtRest } from './shipper-process.ts'
import { type CommitResult, writeAt, writeFor } from './writers.ts'

export interface ShippingResult {
  readonly off: CommitResult
  readonly on: CommitResult
  /** At half the rate of `off`. */
  readonly halfOff: CommitResult
  readonly halfOn: CommitResult
  /** Commits that do not wait for the archive, 2,000 a second. */
  readonly asItComes: RecoveryPoint
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
/** Until a new home's first checkpoint and most of V8's compiling are over. */
const PACED_WARM_SECONDS = 3
/** Several segments of the log, which are full every third second at these rates, and several merges of LevelDB: commits wait most for either. */
const PACED_SECONDS_MIN = 10
const FLOOD_WRITERS = 256
/** A shipper that does not keep pace is behind by more than its interval after so long. */
const FLOOD_SECONDS = 6
/** No flood is caught up with so late. */
const CATCH_UP_MS_MAX = 60_000
/** Commits a second. */
export const EAGER_RATE = 2000
/** Several intervals of a shipper that nobody waits for. */
const POINT_SECONDS = 5
/** A shipper runs for months: V8 still compiles a part of it in the fifth second of such little work. */
const EAGER_WARM_SECONDS = 6
/** Second by second its share differs by a third. */
const EAGER_SECONDS_MIN = 4

export async function measureShipping({ seconds }: { seconds: number }): Promise<ShippingResult> {
  const off = await alone('timberline', (db) => flatOut(db, seconds))
  const half = off.commitsPerSecond / 2
  return {
    off,
    halfOff: await alone('timberline', (db) => paced(db, half, seconds)),
    on: await shipped('timberline', (db) => flatOut(db, seconds)),
    halfOn: await shipped('timberline', (db) => paced(db, half, seconds)),
    asItComes: await shipped('timberline', (db, shipper) =>
      measurePoint(db, shipper, { commitsPerSecond: EAGER_RATE, warmSeconds: 2, seconds: POINT_SECONDS }),
    ),
    ...(await shipped('timberline-archived', (db, shipper) => eager(db, shipper, seconds))),
    flooded: await shipped('timberline', flood),
  }
}

async function flatOut(db: OpenPeer, seconds: number): Promise<CommitResult> {
  await writeFor(db, { writers: WRITERS, seconds: 1 })
  return writeFor(db, { writers: WRITERS, seconds })
}

async function paced(db: OpenPeer, rate: number, seconds: number): Promise<CommitResult> {
  await writeAt(db, rate, PACED_WARM_SECONDS)
  return writeAt(db, rate, Math.max(seconds, PACED_SECONDS_MIN))
}

type Eager = Pick<ShippingResult, 'eager' | 'eagerCpu' | 'idleCpu' | 'shipperRssMb' | 'eagerGzip'>

async function eager(db: OpenPeer, shipper: ChildProcess, seconds: number): Promise<Eager> {
  await writeAt(db, EAGER_RATE, EAGER_WARM_SECONDS)
  const before = await figures(shipper)
  const begunAtMs = performance.now()
  const result = await writeAt(db, EAGER_RATE, Math.max(seconds, EAGER_SECONDS_MIN))
  const spentMs = performance.now() - begunAtMs
  const during = await figures(shipper)
  const idleCpu = await shipperAtRest(shipper)
  const end = await figures(shipper)
  return {
    eager: result,
    eagerCpu: (during.cpuMs - before.cpuMs) / spentMs,
    idleCpu,
    shipperRssMb: end.rssMb,
    eagerGzip: gzipOf(end),
  }
}

async function flood(db: OpenPeer, shipper: ChildProcess): Promise<FloodResult> {
  const warm = await writeFor(db, { writers: FLOOD_WRITERS, seconds: 1 })
  await figures(shipper, 'stalls')
  const behind: number[] = []
  let total = warm.total
  let commitsPerSecond = 0
  for (let second = 0; second < FLOOD_SECONDS; second++) {
    const one = await writeFor(db, { writers: FLOOD_WRITERS, seconds: 1 })
    total += one.total
    commitsPerSecond += one.commitsPerSecond / FLOOD_SECONDS
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
