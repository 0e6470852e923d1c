/** Hot backups of lmdb by its own call, and what they leave of the rate of one writer; as the peers in C have it. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { withFolder } from '../folder.ts'
import { openLmdb } from '../peers.ts'
import { RECORD_BYTES } from '../records.ts'
import type { Limited } from './backup-workload.ts'
import { fill, writeFor, writeUntil } from './writers.ts'

const WARM_SECONDS = 1

export async function measureLmdbBackup(work: { records: number; seconds: number }): Promise<Limited> {
  return withFolder(async (folder) => {
    const db = openLmdb(join(folder, 'db'))
    await fill(db, work.records)
    await writeFor(db, { writers: 1, seconds: WARM_SECONDS })
    const without = await writeFor(db, { writers: 1, seconds: work.seconds })
    let copies = 0
    let spentMs = 0
    const endMs = performance.now() + work.seconds * 1000
    const backUp = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const target = join(folder, `copy-${String(copies++)}`)
        await mkdir(target)
        const begin = performance.now()
        await db.backup(target)
        spentMs += performance.now() - begin
        await rm(target, { recursive: true })
      }
    }
    const during = await writeUntil(db, backUp())
    await db.close()
    return { mbPerS: (copies * work.records * RECORD_BYTES) / 1000 / spentMs, without, during }
  })
}
