// Whether a full backup is due by how long a recovery would take: the longer the log behind the newest backup, the longer its
// replay, and only a full backup makes it short again.
import type { Archive } from '@timberline/archive'
import { type HomeIdentity, readBackupDue } from '@timberline/engine'
import { ledgerOf } from '@timberline/recovery'
import { cliError } from '../errors.ts'
import { formatMs } from '../quantity.ts'

/** A verdict with its reason in words. */
export interface DueVerdict {
  readonly isDue: boolean
  readonly reason: string
  /** Absent where there is nothing to predict from. */
  readonly predictedMs?: number
}

/**
 * Judges by what the archive can give back now, at the pace that the newest drill measured.
 *
 * @throws CLI_RECOVERY_UNMEASURED when no drill has measured any pace
 */
export async function dueByRecoveryTime(
  archive: Archive,
  home: { readonly path: string; readonly identity: HomeIdentity },
  limitUs: number,
): Promise<DueVerdict> {
  const marked = await readBackupDue(home.path)
  if (marked !== undefined)
    return { isDue: true, reason: `the home asks for one, because of ${marked.reason}` }
  const { timeline, predicted } = ledgerOf(await archive.catalogue(), Date.now() * 1000)
  const own = home.identity.timeline
  if (predicted === undefined || timeline !== own)
    return { isDue: true, reason: `nothing of timeline ${String(own)} can be recovered yet` }
  const { ms } = predicted
  if (ms === undefined) {
    throw cliError('CLI_RECOVERY_UNMEASURED', 'no drill has measured how long a recovery takes', {
      details: { archive: archive.store.url },
    })
  }
  const isDue = ms * 1000 > limitUs
  const limit = `${isDue ? 'more' : 'not more'} than ${formatMs(limitUs / 1000)}`
  return { isDue, reason: `a recovery would take about ${formatMs(ms)}, ${limit}`, predictedMs: ms }
}
