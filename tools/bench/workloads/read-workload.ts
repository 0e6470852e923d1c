/**
 * Reads of a database that was opened again after it was filled and settled, so that all peers read the same tables. As they were filled they
 * are not the same: a new home's first checkpoint makes one small table more, which an iterator has to merge until LevelDB has sorted it in.
 */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { keyOf, openPeer, type Peer } from '../peers.ts'
import { withFolder } from '../run.ts'
import { fill } from './commit-workload.ts'

export interface ReadWork {
  readonly peer: Peer
  readonly records: number
  /** Of each kind of read. */
  readonly seconds: number
}

/** Records a second. */
export interface ReadResult {
  readonly get: number
  readonly getMany: number
  readonly iterator: number
}

const MANY = 100

export async function measureReads({ peer, records, seconds }: ReadWork): Promise<ReadResult> {
  return withFolder(async (folder) => {
    const filled = await openPeer(peer, join(folder, 'db'))
    await fill(filled, records)
    await filled.settle()
    await filled.close()
    const db = await openPeer(peer, join(folder, 'db'))
    const anyKey = (): Buffer => keyOf(Math.floor(Math.random() * records))
    const get = async (): Promise<number> => {
      await db.get(anyKey())
      return 1
    }
    const getMany = async (): Promise<number> =>
      (await db.getMany(Array.from({ length: MANY }, anyKey))).length
    await rateOf(get, 16, 0.3)
    const result = {
      get: await rateOf(get, 16, seconds),
      getMany: await rateOf(getMany, 4, seconds),
      iterator: await rateOf(() => db.readAll(), 1, seconds),
    }
    await db.close()
    return result
  })
}

async function rateOf(read: () => Promise<number>, readers: number, seconds: number): Promise<number> {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let count = 0
  const reader = async (): Promise<void> => {
    while (performance.now() < end) {
      // Not `count += await`, which adds to what was counted before the wait and forgets what other readers read meanwhile.
      const records = await read()
      count += records
    }
  }
  await Promise.all(Array.from({ length: readers }, reader))
  return count / ((performance.now() - begin) / 1000)
}
