import { setTimeout as wait } from 'node:timers/promises'
import { hotbackupError } from '../errors.ts'
import type { StepBackupOptions } from './step-options.ts'

const TIMEOUT_MS = 5000
const PAUSE_MS = 25
/** Said by classic-level and by a home whose database another process has open. */
const BUSY_CODES: ReadonlySet<unknown> = new Set(['LEVEL_LOCKED', 'ENGINE_HOME_LOCKED'])
const CAUSES_MAX = 8

/** Opens something that another process may have open, waiting as the options say. @throws HOTBACKUP_STEP_BUSY */
export async function openPatiently(
  open: () => Promise<void>,
  { busyTimeoutMs = TIMEOUT_MS, onBusy }: Pick<StepBackupOptions, 'busyTimeoutMs' | 'onBusy'>,
): Promise<void> {
  const begunMs = performance.now()
  for (let tries = 1; ; tries++) {
    try {
      await open()
      return
    } catch (cause) {
      if (!isBusy(cause)) throw cause
      const waitedMs = performance.now() - begunMs
      const goesOn = onBusy === undefined ? waitedMs < busyTimeoutMs : await onBusy({ tries, waitedMs })
      if (!goesOn) {
        throw hotbackupError('HOTBACKUP_STEP_BUSY', 'another process has the database open', {
          details: { tries, waitedMs: Math.round(waitedMs) },
          cause,
        })
      }
      await wait(PAUSE_MS)
    }
  }
}

function isBusy(error: unknown): boolean {
  let at = error
  for (let depth = 0; depth < CAUSES_MAX && at instanceof Error; depth++) {
    if (BUSY_CODES.has(Reflect.get(at, 'code'))) return true
    at = at.cause
  }
  return false
}
