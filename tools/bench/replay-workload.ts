/** Replay of a log into an empty LevelDB against plain batched writes of the same records through classic-level. */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { homeLayout, openState, replayInto } from '@timberline/engine'
import { placeHold, readLog } from '@timberline/wal'
import { keyOf, openPeer, valueOf } from './peers.ts'
import { batchesOf, withFolder } from './workloads.ts'

export interface ReplayResult {
  readonly replayPerSecond: number
  readonly batchesPerSecond: number
}

export async function measureReplay(work: { records: number }): Promise<ReplayResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = await openPeer('timberline', home)
    // Checkpoints would remove the beginning of the log while it is made.
    const { logDirectory } = homeLayout(home)
    const hold = await placeHold(logDirectory, { purpose: 'bench' })
    // Single-record transactions, many at once: the shape that makes replay hardest.
    let next = 0
    const writer = async (): Promise<void> => {
      for (let number = next++; number < work.records; number = next++)
        await db.put(keyOf(number), valueOf(number))
    }
    await Promise.all(Array.from({ length: 256 }, writer))
    const begin = performance.now()
    const state = await openState(join(folder, 'replayed'), { createIfMissing: true })
    const groups = readLog({ directory: logDirectory, fromLsn: 1 })
    const replayed = await replayInto(state.level, groups, {})
    await state.close()
    const replayMs = performance.now() - begin
    await hold.release()
    await db.close()
    const batchesPerSecond = await measurePlainBatches(work)
    return { replayPerSecond: replayed.records / (replayMs / 1000), batchesPerSecond }
  })
}

async function measurePlainBatches(work: { records: number }): Promise<number> {
  return withFolder(async (folder) => {
    const batches = batchesOf(work.records)
    const begin = performance.now()
    const db = await openPeer('classic-nosync', join(folder, 'plain'))
    for (const batch of batches) await db.batch(batch)
    await db.close()
    return work.records / ((performance.now() - begin) / 1000)
  })
}
