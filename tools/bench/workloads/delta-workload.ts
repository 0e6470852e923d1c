/** Recovery of many updates over few keys, record by record and over deltas, from one archive. */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { type Archive, createArchive, directoryStore, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { compactLog, recover } from '@timberline/recovery'
import { keyOf, valueOf } from '../peers.ts'
import { withFolder } from '../run.ts'

export interface DeltaWork {
  readonly records: number
  readonly keys: number
}

export interface DeltaResult {
  /** Milliseconds from the restored backup to the state at the end, without the digest, which reads the state as ever. */
  readonly plainMs: number
  readonly deltaMs: number
  /** Objects of log and deltas that each way names. */
  readonly segments: number
  readonly compactMs: number
}

export async function measureDelta({ records, keys }: DeltaWork): Promise<DeltaResult> {
  return withFolder(async (folder) => {
    const { archive, segments } = await archived(folder, { records, keys })
    const replayMs = async (
      name: string,
      deltas: boolean,
    ): Promise<{ ms: number; hex: string | undefined }> => {
      const report = await recover({ from: { archive }, home: join(folder, name), deltas, scratch: true })
      return { ms: report.durationsMs.replay, hex: report.digest?.hex }
    }
    const begin = performance.now()
    await compactLog({ archive, scratch: join(folder, 'scratch') })
    const compactMs = performance.now() - begin
    // The first recovery warms the compiler for both.
    await replayMs('warm', true)
    const plain = await replayMs('plain', false)
    const over = await replayMs('over', true)
    if (plain.hex !== over.hex) throw new Error('the two ways ended in different states')
    return { plainMs: plain.ms, deltaMs: over.ms, segments, compactMs }
  })
}

/** A backup before the updates, and all of them in segments of 1 MiB. */
async function archived(folder: string, work: DeltaWork): Promise<{ archive: Archive; segments: number }> {
  const home = join(folder, 'home')
  const db = new TimberLevel<Buffer, Buffer>(home, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    log: { segmentBytesMax: 1024 * 1024 },
  })
  await db.open()
  const identity = await readHomeIdentity(home)
  const { environmentId } = identity
  const archive = await createArchive(directoryStore(join(folder, 'archive')), { environmentId })
  await hotbackup({ home, target: { archive }, checkpoint: true })
  const abort = new AbortController()
  const { logDirectory } = homeLayout(home)
  const { signal } = abort
  const shipper = runShipper({ logDirectory, archive, name: 'bench', identity, intervalMs: 1000, signal })
  let next = 0
  const writer = async (): Promise<void> => {
    for (let number = next++; number < work.records; number = next++)
      await db.put(keyOf(number % work.keys), valueOf(number))
  }
  await Promise.all(Array.from({ length: 256 }, writer))
  await shipper.flushWhole()
  abort.abort()
  await shipper.done.catch(() => undefined)
  await db.close()
  return { archive, segments: (await archive.catalogue()).segments.length }
}
