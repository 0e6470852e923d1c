/** A home that is lost, and its recovery from an archive up to an open database. */
import { join } from 'node:path'
import { createArchive, directoryStore, runShipper, type Archive } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { ClassicLevel } from 'classic-level'
import { BENCH_ARCHIVE, keyOf, openPeer, valueOf, type OpenPeer } from '../peers.ts'
import { withFolder } from '../run.ts'
import { copyTree, timed } from './backup-workload.ts'
import { fill } from './commit-workload.ts'

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

const buffers = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

export async function measureRecovery({ records, transactions }: RecoveryWork): Promise<RecoveryResult> {
  return withFolder(async (folder) => {
    const { home, db, archive } = await backedUpHome(folder, records)
    const base = await restoreAndOpen(archive, join(folder, 'base'))
    await shipWhile(archive, home, () => commit(db, records, transactions))
    await db.close()
    let copy: OpenLevel | undefined
    const copyMs = await timed(async () => {
      await copyTree(join(home, 'data'), join(folder, 'copy'))
      copy = await openAndRead(new ClassicLevel(join(folder, 'copy'), buffers))
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
  const { environmentId } = await readHomeIdentity(home)
  const archive = await createArchive(directoryStore(join(folder, 'archive')), { environmentId })
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
    db = await openAndRead(new TimberLevel(home, buffers))
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

export async function commit(db: OpenPeer, from: number, transactions: number): Promise<void> {
  let next = from
  const writer = async (): Promise<void> => {
    for (let number = next++; number < from + transactions; number = next++)
      await db.put(keyOf(number), valueOf(number))
  }
  await Promise.all(Array.from({ length: 64 }, writer))
}

export async function shipWhile(archive: Archive, home: string, work: () => Promise<void>): Promise<void> {
  const abort = new AbortController()
  const { logDirectory } = homeLayout(home)
  const identity = await readHomeIdentity(home)
  const { signal } = abort
  const shipper = runShipper({
    logDirectory,
    archive,
    name: BENCH_ARCHIVE,
    identity,
    intervalMs: 1000,
    signal,
  })
  await work()
  await shipper.flushWhole()
  abort.abort()
  await shipper.done.catch(() => undefined)
}
