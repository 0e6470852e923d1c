/** What a process takes of a core while it has nothing to do. */
import { setTimeout as pause } from 'node:timers/promises'

export interface Rest {
  /** Until then it may still work on what it was given before. */
  readonly settleMs?: number
  readonly restMs?: number
}

/** By the processor time that it has had so far. */
export async function shareAtRest(
  cpuMs: () => number | Promise<number>,
  { settleMs = 2000, restMs = 3000 }: Rest = {},
): Promise<number> {
  await pause(settleMs)
  const before = await cpuMs()
  await pause(restMs)
  return ((await cpuMs()) - before) / restMs
}

/** Of all threads of this process. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
