/** A home that is lost, and its recovery from an archive up to an open database. */
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { ClassicLevel } from 'classic-level'
import { withFolder } from '../folder.ts'
import { BUFFERS, openPeer, type OpenPeer } from '../peers.ts'
import { keyOf } from '../records.ts'
import { newArchive, shipWhile } from './archives.ts'
import { copyTree } from './closed-copy.ts'
import { timed } from './timing.ts'
import { fill, writeEach } from './writers.ts'

export interface RecoveryWork {
  readonly records: number
  readonly transactions: number
}

export interface RecoveryResult {
  /** Base and log, to an open database, the digests included. */
  readonly recoverMs: number
  /** Of that for the digests that prove it: where the backup ends, and at the end. Absent for peers, which prove nothing. */
  readonly digestMs?: number
  /** Absent for peers. */
  readonly restore?: RestoreTimes
}

/** The base alone, to an open database. */
export interface RestoreTimes {
  readonly withDigestMs: number
  readonly withoutDigestMs: number
  /** `cp -a` of the closed LevelDB folder, an fsync of each file, and its opening. */
  readonly copyMs: number
}

type OpenLevel = ClassicLevel<Buffer, Buffer> | TimberLevel<Buffer, Buffer>

export async function measureRecovery({ records, transactions }: RecoveryWork): Promise<RecoveryResult> {
  return withFolder(async (folder) => {
    const { home, db, archive } = await backedUpHome(folder, records)
    const base = await restoreAndOpen(archive, join(folder, 'base'))
    await shipWhile(archive, home, () => writeEach(db, { from: records, records: transactions, writers: 64 }))
    await db.close()
    let copy: OpenLevel | undefined
    const copyMs = await timed(async () => {
      await copyTree(join(home, 'data'), join(folder, 'copy'))
      copy = await openAndRead(new ClassicLevel(join(folder, 'copy'), BUFFERS))
    })
    await copy?.close()
    const { totalMs, digestMs } = await restoreAndOpen(archive, join(folder, 'recovered'))
    return {
      recoverMs: totalMs,
      digestMs,
      restore: { withDigestMs: base.totalMs, withoutDigestMs: base.totalMs - base.digestMs, copyMs },
    }
  })
}

/** An open home and an archive with a backup of its records. */
export async function backedUpHome(
  folder: string,
  records: number,
): Promise<{ home: string; db: OpenPeer; archive: Archive }> {
  const home = join(folder, 'home')
  const db = await openPeer('timberline', home)
  await fill(db, records)
  const archive = await newArchive(home, join(folder, 'archive'))
  await hotbackup({ home, target: { archive }, checkpoint: true })
  return { home, db, archive }
}

async function restoreAndOpen(
  archive: Archive,
  home: string,
): Promise<{ totalMs: number; digestMs: number }> {
  let digestMs = 0
  let db: OpenLevel | undefined
  const totalMs = await timed(async () => {
    const report = await recover({ from: { archive }, home })
    digestMs = report.durationsMs.digest
    db = await openAndRead(new TimberLevel(home, BUFFERS))
  })
  await db?.close()
  return { totalMs, digestMs }
}

/** Closing is not timed: it flushes and takes a checkpoint, for which it may wait until LevelDB has sorted; nobody's peer is closed. */
async function openAndRead(db: OpenLevel): Promise<OpenLevel> {
  await db.open()
  await db.get(keyOf(0))
  return db
}
