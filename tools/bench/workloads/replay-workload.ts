/** Replay of a log into an empty LevelDB, and the same records written by hand. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { homeLayout, openState, openStateAtRest, readHomeIdentity, replayInto } from '@timberline/engine'
import type { ReplayResult as Replayed, ReplayTarget } from '@timberline/engine'
import { placeHold, readLog } from '@timberline/wal'
import { ClassicLevel } from 'classic-level'
import { withFolder } from '../folder.ts'
import { BUFFERS, openPeer } from '../peers.ts'
import { batchesOf } from '../records.ts'
import { writeEach } from './writers.ts'

export interface ReplayWork {
  /** `replay` is a recovery's, whose state nobody has open; `open` that of an open home or a standby, through LevelDB. */
  readonly way: 'replay' | 'open' | 'ingestion' | 'batches'
  readonly records: number
}

export interface ReplayResult {
  readonly recordsPerSecond: number
}

export async function measureReplay({ way, records }: ReplayWork): Promise<ReplayResult> {
  return withFolder(async (folder) => {
    const ms = await WAYS[way](folder, records)
    return { recordsPerSecond: records / (ms / 1000) }
  })
}

const WAYS = { replay: replayAtRest, open: replayIntoOpen, ingestion: chainedBatches, batches: plainBatches }

/** Up to tables that are durable and in a checkpoint, as a recovery leaves them. */
async function replayAtRest(folder: string, records: number): Promise<number> {
  const layout = homeLayout(join(folder, 'replayed'))
  await mkdir(layout.home)
  const empty = await openState(layout.dataDirectory, { createIfMissing: true })
  await empty.close()
  return replayOfLog(folder, records, async (replay) => {
    const state = await openStateAtRest(layout.dataDirectory)
    const replayed = await replay(state)
    const identity = await readHomeIdentity(join(folder, 'home'))
    await state.checkpoint({ layout, identity, segmentAfter: () => Promise.resolve(1) })
    await state.close()
    return replayed
  })
}

async function replayIntoOpen(folder: string, records: number): Promise<number> {
  return replayOfLog(folder, records, async (replay) => {
    const state = await openState(join(folder, 'replayed'), { createIfMissing: true })
    const replayed = await replay(state.level)
    await state.close()
    return replayed
  })
}

/** The milliseconds that `run` takes with a log of single-record transactions. */
async function replayOfLog(
  folder: string,
  records: number,
  run: (replay: (target: ReplayTarget) => Promise<Replayed>) => Promise<Replayed>,
): Promise<number> {
  const home = join(folder, 'home')
  const db = await openPeer('timberline', home)
  // Checkpoints would remove the beginning of the log while it is made.
  const { logDirectory } = homeLayout(home)
  const hold = await placeHold(logDirectory, { purpose: 'bench' })
  // Single-record transactions, many at once: the shape that makes replay hardest.
  await writeEach(db, { records, writers: 256 })
  await db.close()
  const begin = performance.now()
  const replayed = await run((target) => replayInto(target, readLog({ directory: logDirectory, fromLsn: 1 })))
  const ms = performance.now() - begin
  await hold.release()
  if (replayed.records < records) throw new Error(`only ${String(replayed.records)} records were replayed`)
  return ms
}

async function chainedBatches(folder: string, records: number): Promise<number> {
  const batches = batchesOf(records)
  const begin = performance.now()
  const db = new ClassicLevel<Buffer, Buffer>(join(folder, 'ingested'), BUFFERS)
  await db.open()
  for (const entries of batches) {
    const batch = db.batch()
    for (const [key, value] of entries) batch.put(key, value)
    await batch.write()
  }
  await db.close()
  return performance.now() - begin
}

async function plainBatches(folder: string, records: number): Promise<number> {
  const batches = batchesOf(records)
  const begin = performance.now()
  const db = await openPeer('classic-nosync', join(folder, 'plain'))
  for (const batch of batches) await db.batch(batch)
  await db.close()
  return performance.now() - begin
}
