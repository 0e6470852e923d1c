/**
 * Ships a home into an archive as `timberline archive run` does, until its parent says so: `ship-loop.ts <home> <archive>`. To each message it answers with its
 * processor time and its largest resident set.
 */
import { directoryStore, openArchive, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { promptFileSystem } from '@timberline/wal'
import { BENCH_ARCHIVE } from '../peers.ts'

export interface ShipperFigures {
  /** Milliseconds of processor time since it began. */
  readonly cpuMs: number
  readonly rssMb: number
}

const [home = '', archivePath = ''] = process.argv.slice(2)
const abort = new AbortController()
const shipper = runShipper({
  logDirectory: homeLayout(home).logDirectory,
  archive: await openArchive(directoryStore(archivePath, promptFileSystem)),
  name: BENCH_ARCHIVE,
  identity: await readHomeIdentity(home),
  intervalMs: 1000,
  fileSystem: promptFileSystem,
  signal: abort.signal,
})
process.on('message', (message) => {
  if (message === 'stop') abort.abort()
  const { user, system } = process.cpuUsage()
  const figures: ShipperFigures = {
    cpuMs: (user + system) / 1000,
    rssMb: process.resourceUsage().maxRSS / 1024,
  }
  process.send?.(figures)
})
process.send?.('ready')
await shipper.done
process.disconnect()
