/** Archives in a folder, and a shipper of this process into them. */
import { type Archive, createArchive, directoryStore, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { BENCH_ARCHIVE } from '../peers.ts'

export async function newArchive(home: string, path: string): Promise<Archive> {
  const { environmentId } = await readHomeIdentity(home)
  return createArchive(directoryStore(path), { environmentId })
}

export interface BesideShipper {
  /** Resolves when the archive has all of the log, in whole segments. */
  readonly flushWhole: () => Promise<unknown>
  readonly stop: () => Promise<void>
}

/** A piece a second, as the command does by itself. */
export async function startShipper(home: string, archive: Archive): Promise<BesideShipper> {
  const identity = await readHomeIdentity(home)
  const abort = new AbortController()
  const shipper = runShipper({
    logDirectory: homeLayout(home).logDirectory,
    archive,
    name: BENCH_ARCHIVE,
    identity,
    intervalMs: 1000,
    signal: abort.signal,
  })
  return {
    flushWhole: () => shipper.flushWhole(),
    stop: async () => {
      abort.abort()
      await shipper.done.catch(() => undefined)
    },
  }
}

/** Afterwards the archive has all that was written meanwhile. */
export async function shipWhile(archive: Archive, home: string, work: () => Promise<void>): Promise<void> {
  const shipper = await startShipper(home, archive)
  await work()
  await shipper.flushWhole()
  await shipper.stop()
}
