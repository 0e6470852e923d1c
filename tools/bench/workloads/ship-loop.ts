/**
 * Ships a home into an archive as `timberline archive run` does, until its parent says so: `ship-loop.ts <home> <archive>`. To
 * each message it answers with its processor time, its largest resident set, and how far it is behind.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { directoryStore, openArchive, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { promptFileSystem } from '@timberline/wal'
import { BENCH_ARCHIVE } from '../peers.ts'
import { ownCpuMs } from './rest.ts'

export interface ShipperFigures {
  /** Milliseconds of processor time since it began. */
  readonly cpuMs: number
  readonly rssMb: number
  /** Up to here the archive holds every record. */
  readonly shippedLsn: number
  /** How late its event loop was since `stalls`; 0 before. */
  readonly stallP99Ms: number
  readonly stallMaxMs: number
  /** How long single calls of gzip kept its event loop, and how many there were; larger content goes to a thread of its own. */
  readonly gzipP99Ms: number
  readonly gzipMaxMs: number
  readonly gzipCalls: number
  /** When more of the log had become durable in the archive, since `arrivals`. */
  readonly arrivals: readonly Arrival[]
}

export interface Arrival {
  /** Of the system's clock, in milliseconds. */
  readonly atMs: number
  /** The archive holds all records up to here. */
  readonly lsn: number
}

const STALL_RESOLUTION_MS = 1
const NS_PER_MS = 1e6

const gzips = createHistogram()
timeGzip()

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
// Not before it is asked for: a timer each millisecond is processor time that is not the shipper's.
const stalls = monitorEventLoopDelay({ resolution: STALL_RESOLUTION_MS })
let arrivals: Arrival[] | undefined
shipper.events$.subscribe((event) => {
  if (event.type === 'piece.shipped' || event.type === 'segment.archived')
    arrivals?.push({ atMs: performance.timeOrigin + performance.now(), lsn: shipper.status().shippedLsn })
})
const stallMs = (ns: number): number =>
  stalls.count === 0 ? 0 : Math.max(0, ns / NS_PER_MS - STALL_RESOLUTION_MS)
process.on('message', (message) => {
  if (message === 'stop') abort.abort()
  if (message === 'stalls') stalls.enable()
  if (message === 'arrivals') arrivals = []
  const figures: ShipperFigures = {
    cpuMs: ownCpuMs(),
    rssMb: process.resourceUsage().maxRSS / 1024,
    shippedLsn: shipper.status().shippedLsn,
    stallP99Ms: stallMs(stalls.percentile(99)),
    stallMaxMs: stallMs(stalls.max),
    gzipP99Ms: gzips.count === 0 ? 0 : gzips.percentile(99) / NS_PER_MS,
    gzipMaxMs: gzips.count === 0 ? 0 : gzips.max / NS_PER_MS,
    gzipCalls: gzips.count,
    arrivals: arrivals ?? [],
  }
  process.send?.(figures)
})
process.send?.('ready')
await shipper.done
process.disconnect()

/** Puts a clock around the one call that compresses on the event loop, for every module that imports it. */
function timeGzip(): void {
  const zlib = createRequire(import.meta.url)('node:zlib') as typeof import('node:zlib')
  const { gzipSync } = zlib
  zlib.gzipSync = (...call) => {
    const begin = process.hrtime.bigint()
    const stored = gzipSync(...call)
    gzips.record(process.hrtime.bigint() - begin)
    return stored
  }
  syncBuiltinESMExports()
}
