/** What a process takes of a core while it has nothing to do. */
import { setTimeout as pause } from 'node:timers/promises'

/** Between two looks at the processor time, and the share of a core that is no work any more. */
const LOOK_MS = 500
const AT_REST_SHARE = 0.02

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

/** LevelDB goes on sorting what was written before; what is measured next shall not pay for it. */
export async function untilAtRest(): Promise<void> {
  for (let before = ownCpuMs(), share = 1; share > AT_REST_SHARE;) {
    await pause(LOOK_MS)
    const now = ownCpuMs()
    share = (now - before) / LOOK_MS
    before = now
  }
}

/** Of all threads of this process. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
