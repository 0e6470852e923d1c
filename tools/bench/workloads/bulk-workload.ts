/** Entries put in beside the log, and the same entries as logged batches, each awaited: what an import does. */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { TimberLevel } from '@timberline/engine'
import { withFolder } from '../folder.ts'
import { BUFFERS } from '../peers.ts'
import { keyOf, valueOf } from '../records.ts'

export interface BulkWork {
  /** Entries of a logged batch; absent: the bulk load. */
  readonly batch?: number
  readonly records: number
}

export interface BulkResult {
  readonly recordsPerSecond: number
}

export async function measureBulk({ batch, records }: BulkWork): Promise<BulkResult> {
  const entries = Array.from({ length: records }, (_, number) => [keyOf(number), valueOf(number)] as const)
  return withFolder(async (folder) => {
    const db = new TimberLevel<Buffer, Buffer>(join(folder, 'home'), BUFFERS)
    await db.open()
    const begin = performance.now()
    // Both are durable at the end, and both leave checkpoints for later.
    if (batch === undefined) await db.bulkLoad(entries)
    else {
      for (let at = 0; at < records; at += batch) {
        const part = entries.slice(at, at + batch)
        await db.batch(part.map(([key, value]) => ({ type: 'put', key, value })))
      }
    }
    const ms = performance.now() - begin
    await db.close()
    return { recordsPerSecond: records / (ms / 1000) }
  })
}
