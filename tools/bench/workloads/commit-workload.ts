/** Commits of single records by a number of writers. */
import { join } from 'node:path'
import { homeLayout } from '@timberline/engine'
import { placeHold, readLog } from '@timberline/wal'
import { withFolder } from '../folder.ts'
import { openPeer, type Peer } from '../peers.ts'
import { newArchive, startShipper } from './archives.ts'
import { type CommitResult, writeFor } from './writers.ts'

/**
 * Until a new home's first checkpoint and most of V8's compiling are over, which takes processors that commits would wait for: after one
 * second the slowest hundredth of 8,000 commits/s took twice as long as after four.
 */
const WARM_SECONDS = 3

/** Of a value whose commit is what is measured. */
export const COMMIT_VALUE_BYTES = 200

export interface CommitWork {
  readonly peer: Peer
  readonly writers: number
  readonly seconds: number
  /** Ships the log into a directory archive at the same time, as fast as it grows. */
  readonly shipping?: boolean
  /** Commits a second of all writers together; none: each writer begins when its last commit has ended. */
  readonly rate?: number
  /** Counts how many groups the log has in the end; of ours alone. */
  readonly counted?: boolean
}

export interface CountedCommits extends CommitResult {
  /** Since the database was opened, as `total`. */
  readonly groups?: number
}

export async function measureCommits(work: CommitWork): Promise<CountedCommits> {
  return withFolder(async (folder) => {
    const home = join(folder, 'db')
    const db = await openPeer(work.peer, home)
    const shipper =
      work.shipping === true
        ? await startShipper(home, await newArchive(home, join(folder, 'archive')))
        : undefined
    const groups = work.counted === true ? await groupsOf(home) : undefined
    const writing = { ...work, valueBytes: COMMIT_VALUE_BYTES }
    const warm = await writeFor(db, { ...writing, seconds: WARM_SECONDS })
    const result = await writeFor(db, writing)
    await shipper?.stop()
    await db.close()
    const counts = {
      total: warm.total + result.total,
      ...(groups === undefined ? {} : { groups: await groups() }),
    }
    return { ...result, ...counts }
  })
}

/** Keeps all of a new home's log from now on; the call lets it go, and tells how many groups it has: each is one frame. */
async function groupsOf(home: string): Promise<() => Promise<number>> {
  const { logDirectory: directory } = homeLayout(home)
  const hold = await placeHold(directory, { purpose: 'bench' })
  return async () => {
    let groups = 0
    // oxlint-disable-next-line typescript/no-unused-vars -- the frames are counted, not their records
    for await (const _ of readLog({ directory, fromLsn: 1 })) groups += 1
    await hold.release()
    return groups
  }
}
