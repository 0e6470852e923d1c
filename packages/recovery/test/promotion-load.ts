/** A promotion while the old primary writes and ships as fast as it can. */
import { isDeepStrictEqual } from 'node:util'
import { homeLayout } from '@timberline/engine'
import { readConfirmations } from '@timberline/wal'
import { promote } from '../src/index.ts'
import { contentOf } from './environment.ts'
import { elsewhere, followed, shipperOf } from './standby-scene.ts'

/** What such a promotion came to. */
interface PromotedUnderLoad {
  /** Records that were told to be archived and are not in the new home. */
  readonly lost: number
  /** Whether the new home is exactly the old one at its last record. */
  readonly isEqual: boolean
  /** How the old primary's shipper ended. */
  readonly stopped: unknown
}

/** Each round begins after another count of records, and rolls the log at other places. */
export async function promoteUnderLoad(round: number): Promise<PromotedUnderLoad> {
  const made = await followed()
  const { env, archive, home } = made
  const shipper = shipperOf(env, archive)
  // What the shipper tells the home: commits with durability `archived` resolve by it, and log is removed by it.
  const { logDirectory } = homeLayout(env.home)
  const told = async (): Promise<number> => (await readConfirmations(logDirectory))[0]?.lsn ?? 0
  let isOver = false
  const load = (async () => {
    while (!isOver) {
      await env.writeMany(1)
      if (env.lsn % 11 === round % 11) await env.log.roll()
    }
  })()
  try {
    while ((await told()) < 12 + (round % 10)) await shipper.flush()
    const { parent } = await promote({ archive: await elsewhere(made), home })
    const stopped = await shipper.done.catch((error: unknown) => error)
    const isEqual = isDeepStrictEqual(await contentOf(home), env.content(parent.forkLsn))
    return { lost: Math.max(0, (await told()) - parent.forkLsn), isEqual, stopped }
  } finally {
    isOver = true
    await load
  }
}
