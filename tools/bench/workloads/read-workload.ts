/**
 * Reads of two databases that were opened again after they were filled and settled, so that both read the same tables. As they were filled they
 * are not the same: a new home's first checkpoint makes one small table more, which an iterator has to merge until LevelDB has sorted it in.
 *
 * Both are read in one process, in short turns: one is classic-level and the other reads through it, and what two processes differ by, one after
 * the other, is ten times as much as what is looked for.
 */
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { withFolder } from '../folder.ts'
import { openPeer, type OpenPeer } from '../peers.ts'
import { keyOf } from '../records.ts'
import { fill } from './writers.ts'

export const READ_KINDS = ['get', 'getMany', 'iterator'] as const

export interface ReadWork {
  readonly records: number
  /** Of each kind of read, by each of the two. */
  readonly seconds: number
}

export interface ReadTurn {
  readonly recordsPerSecond: number
  /** Processor time of a record, all threads together, in microseconds. */
  readonly recordUs: number
}

type ReadKind = (typeof READ_KINDS)[number]
type ReadPeer = 'timberline' | 'classic-nosync'

/** Turns of each kind by each of the two; those of one number came one after the other. */
export type ReadResult = Readonly<Record<ReadKind, Readonly<Record<ReadPeer, readonly ReadTurn[]>>>>

const MANY = 100
const TURN_SECONDS = 0.25

export async function measureReads({ records, seconds }: ReadWork): Promise<ReadResult> {
  return withFolder(async (folder) => {
    const ours = await openSettled('timberline', join(folder, 'ours'), records)
    const theirs = await openSettled('classic-nosync', join(folder, 'theirs'), records)
    const anyKey = (): Buffer => keyOf(Math.floor(Math.random() * records))
    const reads: Readonly<Record<ReadKind, Read>> = {
      get: { readers: 16, once: async (db) => ((await db.get(anyKey())) === undefined ? 0 : 1) },
      getMany: {
        readers: 4,
        once: async (db) => (await db.getMany(Array.from({ length: MANY }, anyKey))).length,
      },
      iterator: { readers: 1, once: (db) => db.readAll() },
    }
    const turnsOf = async (read: Read): Promise<Record<ReadPeer, ReadTurn[]>> => {
      const turns: Record<ReadPeer, ReadTurn[]> = { timberline: [], 'classic-nosync': [] }
      await turn(ours, read)
      await turn(theirs, read)
      for (let count = 0; count < seconds / TURN_SECONDS; count++) {
        // Who begins changes, so that neither always comes after the other.
        if (count % 2 === 1) turns['classic-nosync'].push(await turn(theirs, read))
        turns.timberline.push(await turn(ours, read))
        if (count % 2 === 0) turns['classic-nosync'].push(await turn(theirs, read))
      }
      return turns
    }
    const result = {
      get: await turnsOf(reads.get),
      getMany: await turnsOf(reads.getMany),
      iterator: await turnsOf(reads.iterator),
    }
    await ours.close()
    await theirs.close()
    return result
  })
}

async function openSettled(peer: ReadPeer, directory: string, records: number): Promise<OpenPeer> {
  const filled = await openPeer(peer, directory)
  await fill(filled, records)
  await filled.settle()
  await filled.close()
  return openPeer(peer, directory)
}

interface Read {
  readonly readers: number
  /** Resolves with the number of records that it read. */
  readonly once: (db: OpenPeer) => Promise<number>
}

async function turn(db: OpenPeer, { readers, once }: Read): Promise<ReadTurn> {
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const end = begin + TURN_SECONDS * 1000
  let count = 0
  const reader = async (): Promise<void> => {
    while (performance.now() < end) {
      // Not `count += await`, which adds to what was counted before the wait and forgets what other readers read meanwhile.
      const records = await once(db)
      count += records
    }
  }
  await Promise.all(Array.from({ length: readers }, reader))
  const { user, system } = process.cpuUsage(cpu)
  return {
    recordsPerSecond: count / ((performance.now() - begin) / 1000),
    recordUs: (user + system) / count,
  }
}
