/** What a backup costs after one key in a hundred changed, beside a full one of the same home. */
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { withFolder } from '../folder.ts'
import { BUFFERS } from '../peers.ts'
import { keyOf, valueOf } from '../records.ts'
import { type BackupCost, type BackupProcess, backupProcess, type BackupRequest } from './backup-process.ts'

export interface IncrementalWork {
  readonly records: number
  /** Each so many-th key is written anew before the backup. */
  readonly changedEvery: number
}

/** Each without the digest of its state, which reads every record, and with it. */
export interface IncrementalResult {
  readonly full: WithAndWithout
  /** Tables that changed, by `incremental`. */
  readonly byFiles: WithAndWithout
  /** The log since, by `update`. */
  readonly byLog: WithAndWithout
}

export interface WithAndWithout {
  readonly plain: BackupCost
  readonly proved: BackupCost
}

export async function measureIncremental({
  records,
  changedEvery,
}: IncrementalWork): Promise<IncrementalResult> {
  return withFolder(async (folder) => {
    const backups = backupProcess()
    await warmUpdate(backups, join(folder, 'small'), records / changedEvery)
    const home = join(folder, 'home')
    const db = new TimberLevel<Buffer, Buffer>(home, BUFFERS)
    await db.open()
    // Sorted for good: what LevelDB has still to sort would count as changed, whatever is written.
    await db.bulkLoad(sortedEntries(records))
    await db.compactRange(Buffer.alloc(1), Buffer.alloc(15, 0xff))
    // Without a commit there is no newer checkpoint: the base would be of the tables before they were sorted, a quarter of which are gone.
    await db.put(keyOf(0), valueOf(0))
    const back = (name: string, options: Partial<BackupRequest>): Promise<BackupCost> =>
      backups.backUp({ home, target: join(folder, name), ...options })
    // The first warms the compiler; the hold keeps the log that an update needs.
    await back('warm', { checkpoint: true })
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'bench' })
    for (const name of ['base', 'updated', 'updated-proved']) await back(name, { digest: false })
    for (let number = 0; number < records; number += changedEvery)
      await db.put(keyOf(number), valueOf(number + 1))
    const byLog = {
      plain: await back('updated', { update: true, digest: false }),
      proved: await back('updated-proved', { update: true }),
    }
    await hold.release()
    // All that follow copy one checkpoint.
    await back('settled', { checkpoint: true, digest: false })
    const base = join(folder, 'base')
    const byFiles = {
      plain: await back('few', { base, digest: false }),
      proved: await back('few-proved', { base }),
    }
    const full = { plain: await back('whole', { digest: false }), proved: await back('whole-proved', {}) }
    await backups.end()
    await db.close()
    return { full, byFiles, byLog }
  })
}

/** An update of as much log as the one that is measured, of a home of its own: the full backup that it stands beside is not its process's first either. */
async function warmUpdate(backups: BackupProcess, folder: string, commits: number): Promise<void> {
  const home = join(folder, 'home')
  const target = join(folder, 'backup')
  const db = new TimberLevel<Buffer, Buffer>(home, BUFFERS)
  await db.open()
  await backups.backUp({ home, target, digest: false })
  for (let number = 0; number < commits; number++) await db.put(keyOf(number), valueOf(number))
  await backups.backUp({ home, target, digest: false, update: true })
  await db.close()
}

/** In the order of their keys, so that nothing is sorted twice; one after the other, because all of them would fill the memory. */
function* sortedEntries(records: number): Generator<readonly [Buffer, Buffer]> {
  const places = Float64Array.from({ length: records }, (_, number) => keyOf(number).readUInt32BE())
  const order = Uint32Array.from({ length: records }, (_, number) => number)
  order.sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0))
  for (const number of order) yield [keyOf(number), valueOf(number)]
}
