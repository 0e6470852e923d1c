/** What comes after a base costs what has changed: the same database with few or many of its keys written again, backed up and recovered. */
import { join } from 'node:path'
import { homeLayout } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { placeHold } from '@timberline/wal'
import { withFolder } from '../folder.ts'
import { shipWhile } from './archives.ts'
import { backedUpHome } from './recovery-workload.ts'
import { timed } from './timing.ts'
import { writeEach } from './writers.ts'

export interface ChangesWork {
  readonly records: number
  /** Keys of them that are written again behind the base. */
  readonly changed: number
}

export interface ChangesResult {
  /** A backup by log, from the base on. */
  readonly byLogMs: number
  readonly byLogMegabytes: number
  /** A whole recovery. */
  readonly recoverMs: number
  /** Of that from the restored base to the state at the end, without the digest, which reads the state as ever. */
  readonly replayMs: number
}

export async function measureChanges({ records, changed }: ChangesWork): Promise<ChangesResult> {
  return withFolder(async (folder) => {
    const { home, db, archive } = await backedUpHome(folder, records)
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'bench' })
    for (const name of ['warm', 'base']) await hotbackup({ home, target: join(folder, name), digest: false })
    await shipWhile(archive, home, () => writeEach(db, { records: changed, writers: 64 }))
    const byLog = async (name: string): Promise<Pick<ChangesResult, 'byLogMs' | 'byLogMegabytes'>> => {
      let megabytes = 0
      const ms = await timed(async () => {
        const target = join(folder, name)
        megabytes = (await hotbackup({ home, target, update: true, digest: false })).copiedBytes / 1e6
      })
      return { byLogMs: ms, byLogMegabytes: megabytes }
    }
    const recovered = async (name: string): Promise<Pick<ChangesResult, 'recoverMs' | 'replayMs'>> => {
      let replayMs = 0
      const recoverMs = await timed(async () => {
        const report = await recover({ from: { archive }, home: join(folder, name) })
        replayMs = report.durationsMs.replay
      })
      return { recoverMs, replayMs }
    }
    // The first of each warms the compiler: of few changes its share would be larger.
    await byLog('warm')
    const updated = await byLog('base')
    await hold.release()
    await db.close()
    await recovered('warm-recovered')
    return { ...updated, ...(await recovered('recovered')) }
  })
}
