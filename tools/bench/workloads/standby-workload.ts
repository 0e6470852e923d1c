/** A standby that follows an archive, until it has caught up, and while nothing happens. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { openStandby } from '@timberline/recovery'
import { withFolder } from '../run.ts'
import { backedUpHome, commit, shipWhile } from './recovery-workload.ts'

export interface StandbyWork {
  readonly records: number
  readonly transactions: number
}

export interface StandbyResult {
  /** From its opening until it had all that the archive held. */
  readonly caughtUpMs: number
  /** Share of a core while the archive does not change. */
  readonly idleCpu: number
  readonly rssMb: number
}

/** Until the compiler has done what the replay gave it to do. */
const SETTLE_MS = 3000
const IDLE_MS = 5000

export async function measureStandby({ records, transactions }: StandbyWork): Promise<StandbyResult> {
  return withFolder(async (folder) => {
    const { home, db, archive } = await backedUpHome(folder, records)
    await shipWhile(archive, home, () => commit(db, records, transactions))
    await db.close()
    const begin = performance.now()
    const standby = await openStandby({ archive, home: join(folder, 'standby') })
    await standby.caughtUp()
    const caughtUpMs = performance.now() - begin
    await pause(SETTLE_MS)
    const before = process.cpuUsage()
    await pause(IDLE_MS)
    const { user, system } = process.cpuUsage(before)
    await standby.close()
    const rssMb = process.resourceUsage().maxRSS / 1024
    return { caughtUpMs, idleCpu: (user + system) / 1000 / IDLE_MS, rssMb }
  })
}
