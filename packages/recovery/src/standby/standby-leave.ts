// The folder of a standby, out of the hands of the process that follows with it.
import { controlCall } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { openStandbyFolder, type StandbyFolder, type StandbyPlaceOptions } from './standby-place.ts'

/** How long a standby may take to end its step and flush. */
const LEAVE_MS_MAX = 60_000

/** A standby that runs is asked to let go: what it has applied is durable then, and the promotion applies the rest. */
export async function takeFolder(home: string, options: StandbyPlaceOptions): Promise<StandbyFolder> {
  try {
    return await openStandbyFolder(home, options)
  } catch (error) {
    if (!isLocked(error) || !(await isLeft(home))) throw error
  }
  return openStandbyFolder(home, { ...options, busyTimeoutMs: LEAVE_MS_MAX })
}

/** Whether somebody has the home open. */
export function isLocked(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'ENGINE_HOME_LOCKED'
}

/** Nobody listens where another promotion runs, or where the standby has no socket. */
function isLeft(home: string): Promise<boolean> {
  return controlCall(home, { type: 'leave' }, { timeoutMs: LEAVE_MS_MAX }).then(
    () => true,
    () => false,
  )
}
