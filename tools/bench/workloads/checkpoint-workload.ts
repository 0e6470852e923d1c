/** One writer before and during checkpoints that follow each other without a pause. */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { TimberLevel } from '@timberline/engine'
import { withFolder } from '../folder.ts'
import { BUFFERS, writableOf } from '../peers.ts'
import { type Beside, fill, writeFor } from './writers.ts'

export interface CheckpointResult extends Beside {
  readonly checkpoints: number
  /** From the call to its end, the mean. */
  readonly checkpointMs: number
}

export async function measureCheckpoint(work: {
  records: number
  seconds: number
}): Promise<CheckpointResult> {
  return withFolder(async (folder) => {
    const level = new TimberLevel<Buffer, Buffer>(join(folder, 'home'), BUFFERS)
    await level.open()
    const db = writableOf(level)
    await fill(db, work.records)
    await level.checkpoint()
    await writeFor(db, { writers: 1, seconds: 1 })
    const without = await writeFor(db, { writers: 1, seconds: work.seconds })
    let checkpoints = 0
    let spentMs = 0
    const end = performance.now() + work.seconds * 1000
    const checkpointing = async (): Promise<void> => {
      for (let before = performance.now(); before < end; before = performance.now()) {
        await level.checkpoint()
        spentMs += performance.now() - before
        checkpoints++
      }
    }
    const [during] = await Promise.all([writeFor(db, { writers: 1, seconds: work.seconds }), checkpointing()])
    await level.close()
    return { checkpoints, checkpointMs: spentMs / checkpoints, without, during }
  })
}
