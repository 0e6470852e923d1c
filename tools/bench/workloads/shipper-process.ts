/** A database and a shipper beside it, each in a process of its own, as with `timberline archive run`. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withFolder } from '../folder.ts'
import { openPeer, type OpenPeer, type Peer } from '../peers.ts'
import { newArchive } from './archives.ts'
import { shareAtRest } from './rest.ts'
import type { ShipperFigures } from './ship-loop.ts'

const script = fileURLToPath(new URL('./ship-loop.ts', import.meta.url))

/** A new home, with nothing that ships it. */
export async function alone<T>(peer: Peer, work: (db: OpenPeer) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    const db = await openPeer(peer, join(folder, 'home'))
    const result = await work(db)
    await db.close()
    return result
  })
}

/** A new home that is shipped into a new archive, a piece a second or sooner where commits wait for it. */
export async function shipped<T>(
  peer: Peer,
  work: (db: OpenPeer, shipper: ChildProcess) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = await openPeer(peer, home)
    const shipper = await forkShipper(home, join(folder, 'archive'))
    const result = await work(db, shipper)
    const ended = once(shipper, 'exit')
    shipper.send('stop')
    await ended
    await db.close()
    return result
  })
}

async function forkShipper(home: string, archivePath: string): Promise<ChildProcess> {
  await newArchive(home, archivePath)
  const shipper = fork(script, [home, archivePath], { execArgv: ['--import', 'tsx'] })
  await once(shipper, 'message')
  return shipper
}

/** From `stalls` on, the shipper also tells how late its event loop was, from `arrivals` on when it had shipped what. */
export async function figures(
  shipper: ChildProcess,
  message: 'figures' | 'stalls' | 'arrivals' = 'figures',
): Promise<ShipperFigures> {
  const answer = once(shipper, 'message')
  shipper.send(message)
  const [reply] = (await answer) as [ShipperFigures]
  return reply
}

/** What it takes of a core once it has done what the last commits gave it to do. */
export async function shipperAtRest(shipper: ChildProcess): Promise<number> {
  return shareAtRest(async () => (await figures(shipper)).cpuMs)
}
