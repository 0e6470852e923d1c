/** A standby that follows an archive, until it has caught up, and while nothing happens. */
import { join } from 'node:path'
import { openStandby } from '@timberline/recovery'
import { withFolder } from '../folder.ts'
import { shipWhile } from './archives.ts'
import { backedUpHome } from './recovery-workload.ts'
import { ownCpuMs, shareAtRest } from './rest.ts'
import { writeEach } from './writers.ts'

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

/** The compiler has to do what the replay gave it to do. */
const REST = { settleMs: 3000, restMs: 5000 }

export async function measureStandby({ records, transactions }: StandbyWork): Promise<StandbyResult> {
  return withFolder(async (folder) => {
    const { home, db, archive } = await backedUpHome(folder, records)
    await shipWhile(archive, home, () => writeEach(db, { from: records, records: transactions, writers: 64 }))
    await db.close()
    const begin = performance.now()
    const standby = await openStandby({ archive, home: join(folder, 'standby') })
    await standby.caughtUp()
    const caughtUpMs = performance.now() - begin
    const idleCpu = await shareAtRest(ownCpuMs, REST)
    await standby.close()
    const rssMb = process.resourceUsage().maxRSS / 1024
    return { caughtUpMs, idleCpu, rssMb }
  })
}
