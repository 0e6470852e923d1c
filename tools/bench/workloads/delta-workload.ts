/** Recovery of many updates over few keys, record by record and over deltas, from one archive. */
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { compactLog, recover } from '@timberline/recovery'
import { withFolder } from '../folder.ts'
import { BUFFERS } from '../peers.ts'
import { newArchive, shipWhile } from './archives.ts'
import { timed } from './timing.ts'
import { writeEach } from './writers.ts'

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
    const compactMs = await timed(() => compactLog({ archive, scratch: join(folder, 'scratch') }))
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
    ...BUFFERS,
    log: { segmentBytesMax: 1024 * 1024 },
  })
  await db.open()
  const archive = await newArchive(home, join(folder, 'archive'))
  await hotbackup({ home, target: { archive }, checkpoint: true })
  await shipWhile(archive, home, () => writeEach(db, { ...work, writers: 256 }))
  await db.close()
  return { archive, segments: (await archive.catalogue()).segments.length }
}
