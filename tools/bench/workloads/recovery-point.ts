/** How old a commit is when the archive has it, where nobody waits for that: each commit's beginning beside the shipper's own events. */
import type { ChildProcess } from 'node:child_process'
import type { Writable } from '../peers.ts'
import { quantile } from '../statistics.ts'
import type { RecoveryPoint } from './litestream-workload.ts'
import type { Arrival } from './ship-loop.ts'
import { figures, shipperAtRest } from './shipper-process.ts'
import { writeAt } from './writers.ts'

export interface PointWork {
  readonly commitsPerSecond: number
  readonly warmSeconds: number
  readonly seconds: number
}

/** Of commits that come at a rate and do not wait for the archive. */
export async function measurePoint(
  db: Writable,
  shipper: ChildProcess,
  { commitsPerSecond, warmSeconds, seconds }: PointWork,
): Promise<RecoveryPoint> {
  const begunAtMs: number[] = []
  const watched: Writable = {
    put: (key, value) => {
      begunAtMs.push(performance.timeOrigin + performance.now())
      return db.put(key, value)
    },
    batch: (entries) => db.batch(entries),
  }
  await writeAt(watched, commitsPerSecond, warmSeconds)
  const warm = begunAtMs.length
  const before = await figures(shipper, 'arrivals')
  const { commitsPerSecond: reached } = await writeAt(watched, commitsPerSecond, seconds)
  const during = await figures(shipper)
  const idleCpu = await shipperAtRest(shipper)
  const end = await figures(shipper)
  // Each commit is a record, in the order in which they began, and the archive holds all of them by now.
  const firstLsn = end.shippedLsn - begunAtMs.length + 1
  const waits = begunAtMs
    .map((beganMs, number) => arrivalMs(end.arrivals, firstLsn + number) - beganMs)
    .slice(warm)
  return {
    commitsPerSecond: reached,
    p50Ms: quantile(waits, 0.5),
    p99Ms: quantile(waits, 0.99),
    cpu: (during.cpuMs - before.cpuMs) / (seconds * 1000),
    idleCpu,
  }
}

function arrivalMs(arrivals: readonly Arrival[], lsn: number): number {
  return arrivals.find((arrival) => arrival.lsn >= lsn)?.atMs ?? Number.POSITIVE_INFINITY
}
