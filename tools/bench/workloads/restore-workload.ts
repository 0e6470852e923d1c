/** A backup as a database again, from a folder and out of an archive, beside the copying of the same files. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover, type RecoveryFrom } from '@timberline/recovery'
import { ClassicLevel } from 'classic-level'
import { withFolder } from '../folder.ts'
import { BUFFERS } from '../peers.ts'
import { valueOf } from '../records.ts'
import { newArchive } from './archives.ts'
import { copyTree } from './closed-copy.ts'
import { timed } from './timing.ts'

export interface RestoreWork {
  readonly records: number
}

/** Each to an open database. */
export interface RestoreResult {
  readonly folderMs: number
  readonly archiveMs: number
  /** Of a restore out of the archive whose digest is compared with the backup's. */
  readonly provedMs: number
  /** `cp -a` of the closed LevelDB folder, an fsync of each file, and its opening. */
  readonly copyMs: number
}

export async function measureRestore({ records }: RestoreWork): Promise<RestoreResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = new TimberLevel<Buffer, Buffer>(home, BUFFERS)
    await db.bulkLoad(ascending(records))
    await db.close()
    const archive = await newArchive(home, join(folder, 'archive'))
    const backup = join(folder, 'backup')
    await hotbackup({ home, target: backup })
    await hotbackup({ home, target: { archive } })
    const place = join(folder, 'restored')
    const restore = async (from: RecoveryFrom, digest: boolean): Promise<number> => {
      const ms = await timed(async () => {
        await recover({ from, home: place, digest, scratch: true })
        await openAndClose(new TimberLevel(place, BUFFERS))
      })
      // Away before the next one: all write into memory that the system had in use.
      await rm(place, { recursive: true })
      return ms
    }
    const copyMs = await timed(async () => {
      await copyTree(join(home, 'data'), place)
      await openAndClose(new ClassicLevel(place, BUFFERS))
    })
    await rm(place, { recursive: true })
    const folderMs = await restore({ backup }, false)
    const archiveMs = await restore({ archive }, false)
    return { copyMs, folderMs, archiveMs, provedMs: await restore({ archive }, true) }
  })
}

/** In the order of their keys, so that a gigabyte is loaded within half a minute; tables are the same whatever the order. */
function* ascending(records: number): Generator<[Buffer, Buffer]> {
  for (let number = 0; number < records; number++) yield [keyAt(number), valueOf(number)]
}

function keyAt(number: number): Buffer {
  return Buffer.from(String(number).padStart(16, '0'))
}

async function openAndClose(db: ClassicLevel<Buffer, Buffer> | TimberLevel<Buffer, Buffer>): Promise<void> {
  await db.open()
  if ((await db.get(keyAt(0))) === undefined) throw new Error('the restored database is empty')
  await db.close()
}
