/** What bounds the figures of more than one section, as it is told beside them. */
import { limit, type Limit } from '../goals.ts'
import { RECORD_BYTES } from '../records.ts'
import { ratios } from '../statistics.ts'
import type { MachineResult } from '../workloads/machine-workload.ts'

export const NOTHING_LOST: Limit = limit('nothing lost', [1])
export const SAME_BYTES: Limit = limit('cp copies the same bytes', [1])
/** Of milliseconds that something takes more. */
export const NO_MORE: Limit = limit('none', [0])
export const NO_GROWTH: Limit = limit('no growth', [1])

/** Of commits/s, where nothing but the disk would take time and each flush were for all writers. */
export function oneFlushForAll(
  machine: readonly MachineResult[],
  writers: number,
  theirs: readonly number[],
): Limit {
  const shared = machine.map(({ flushesPerSecond }) => flushesPerSecond * writers)
  return limit('one flush for all writers', ratios(shared, theirs))
}

/** Of records/s whose bytes are written once, as fast as the disk takes them. */
export function speedOfDisk(machine: readonly MachineResult[], theirs: readonly number[]): Limit {
  const written = machine.map(({ writeMbPerS }) => (writeMbPerS * 1e6) / RECORD_BYTES)
  return limit('files written at the speed of the disk', ratios(written, theirs))
}
