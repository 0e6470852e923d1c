/** Reading every entry, and the digests that prove a state, over one database. */
import { join } from 'node:path'
import { openState, stateDigest } from '@timberline/engine'
import { ClassicLevel } from 'classic-level'
import { withFolder } from '../folder.ts'
import { openPeer } from '../peers.ts'
import { timed } from './timing.ts'
import { fill } from './writers.ts'

export interface DigestWork {
  readonly records: number
}

/** Milliseconds, each the best of three in turn: the first reading warms compiler and page cache. */
export interface DigestResult {
  /** All entries by `nextv` of 1,000. */
  readonly nextvMs: number
  /** Of a database at work, through its iterator. */
  readonly liveMs: number
  /** Of a state at rest, as recoveries, backups and checkpoints have it: out of its tables. */
  readonly tablesMs: number
}

const TURNS = 3

export async function measureDigest({ records }: DigestWork): Promise<DigestResult> {
  return withFolder(async (folder) => {
    const directory = join(folder, 'data')
    const filled = await openPeer('classic-nosync', directory)
    await fill(filled, records)
    await filled.close()
    // A state is opened at its last flush: what its own log holds would be lost.
    const settled = new ClassicLevel(directory)
    await settled.open()
    await settled.compactRange('', '\uffff')
    await settled.close()
    const turns = { nextv: [] as number[], live: [] as number[], tables: [] as number[] }
    for (let turn = 0; turn < TURNS; turn++) {
      const peer = await openPeer('classic-nosync', directory)
      turns.nextv.push(await timed(() => peer.readAll()))
      await peer.close()
      await using state = await openState(directory, { createIfMissing: false })
      turns.live.push(await timed(() => stateDigest(state.level, 0)))
      turns.tables.push(await timed(() => state.digest()))
    }
    return {
      nextvMs: Math.min(...turns.nextv),
      liveMs: Math.min(...turns.live),
      tablesMs: Math.min(...turns.tables),
    }
  })
}
