/** Archivers in the simulated world: the product's shipper, one or two of them, on the home or on a copy of it. */
import {
  type Archive,
  createArchive,
  directoryStore,
  openArchive,
  portableGzip,
  runShipper,
  streamSource,
} from '@timberline/archive'
import { join } from 'node:path'
import { decodeSegment, listSegments, readConfirmations, readFileWhole, segmentName } from '@timberline/wal'
import type { FaultFileSystem } from '@timberline/wal/testing'
import type { Entry } from './history-model.ts'
import * as invariants from './invariants.ts'
import { ARCHIVE, hasFaulted, LOG, type Machine, type ShipProcess } from './machines.ts'
import { entryOf, IDENTITY, type World } from './world.ts'

// The platform's gzip compresses in a worker thread, whose timing nobody can inject.
const gzip = portableGzip()

/** Errors by which the product refuses an archiver that is not, or no more, the archive's own. */
const REFUSALS = ['ARCHIVE_FENCED', 'ARCHIVE_CONFLICT', 'ARCHIVE_AHEAD']

/** Starts a shipper; it takes the archive over, or is refused by name. */
export async function startShipper(world: World, machine: Machine, slot: number): Promise<void> {
  const log = world.view(machine.disk, machine, 'ship-log')
  const store = world.view(world.archiveDisk, machine, 'store')
  const options = { ...IDENTITY, gzip, now: () => world.nowUs() }
  const opened = await world.scheduler.drive(createArchive(directoryStore(ARCHIVE, store), options))
  if (opened.type !== 'done') {
    world.noteFaults(store)
    world.failed(opened, { doing: 'open archive', files: [store] })
    return
  }
  const stop = new AbortController()
  const shipper = runShipper({
    logDirectory: LOG,
    archive: opened.value,
    name: slot === 0 ? 'main' : 'second',
    identity: IDENTITY,
    fileSystem: log,
    intervalMs: 1000,
    retryMs: { first: 50, max: 1000 },
    signal: stop.signal,
  })
  const process: ShipProcess = { log, store, shipper, stop, epoch: undefined, end: undefined }
  shipper.events$.subscribe((event) => {
    if (event.type === 'ship.began') process.epoch = event.epoch
    // A fault that the shipper meets and tells of is one that surfaced; it goes on by itself.
    if (event.type === 'ship.retried') {
      world.counts.add('surfaced')
      world.counts.add(`error ${invariants.codeOf(event.error)}`)
    }
  })
  shipper.done.then(
    () => (process.end = { error: undefined }),
    (error: unknown) => (process.end = { error }),
  )
  machine.shippers[slot] = process
  await world.scheduler.pass(20)
  await lookAfter(world, machine)
}

/** Stops a shipper as its owner would. */
export async function stopShipper(world: World, machine: Machine, slot: number): Promise<void> {
  const process = machine.shippers[slot]
  if (process === undefined) return
  process.stop.abort()
  await world.scheduler.drive(process.shipper.done)
  await lookAfter(world, machine)
  machine.shippers[slot] = undefined
}

/** Ends the process of a shipper at once. */
export async function killShipper(world: World, machine: Machine, slot: number): Promise<void> {
  const process = machine.shippers[slot]
  if (process === undefined) return
  process.log.inject(() => 'crash')
  process.store.inject(() => 'crash')
  process.stop.abort()
  await world.scheduler.drive(process.shipper.done)
  machine.shippers[slot] = undefined
}

/**
 * Asks shippers, all at once, to hold what is in the log now. Those that say they do must be right, and the newest of them; those that
 * cannot must say why. Resolves with how many of them succeeded.
 */
export async function flush(world: World, machine: Machine, slots: readonly number[]): Promise<number> {
  const processes = slots.flatMap((slot) => machine.shippers[slot] ?? [])
  const before = await archivedNow(world)
  const began = await newestEpoch(world)
  let successes = 0
  const flushes = processes.map((process) => process.shipper.flush())
  for (const one of flushes) one.catch(() => undefined)
  for (const [index, process] of processes.entries()) {
    const flushed = flushes[index] ?? Promise.resolve(0)
    // However often it failed meanwhile, the shipper must get there by itself.
    const outcome = await world.scheduler.drive(flushed)
    for (const files of [process.log, process.store]) world.noteFaults(files)
    if (outcome.type === 'done') {
      const lsn = outcome.value
      const expectedLsn = machine.records.length
      invariants.hold(lsn === expectedLsn, 'a flush must reach the end of the log', { lsn, expectedLsn })
      // What was held before is held whoever ships; only something new takes the right to archive.
      if (lsn > before.length) {
        invariants.onlyNewestArchives({ epoch: process.epoch ?? 0, newestEpoch: began })
        successes += 1
      }
      report(world, machine.records.slice(0, lsn))
    } else {
      invariants.hold(outcome.type === 'failed', 'a flush must end', {
        place: machine.place,
        status: process.shipper.status(),
      })
      world.counts.add('flushes refused')
    }
  }
  // A shipper that claims meanwhile may rightly succeed after one that was right until then.
  if ((await newestEpoch(world)) === began) {
    invariants.hold(successes <= 1, 'two archivers must never both succeed', { successes })
  }
  await lookAfter(world, machine)
  await auditArchive(world)
  return successes
}

/** A recovery point was reported: it must agree with those before it, and stands from now on. */
function report(world: World, covered: readonly Entry[]): void {
  invariants.reportsAgree(world.reported, covered)
  if (covered.length > world.reported.length) world.reported = covered
}

/** Removes shippers that ended, after a look at why: by a fault, by a successor, or because the histories differ. */
export async function lookAfter(world: World, machine: Machine): Promise<void> {
  for (const [slot, process] of machine.shippers.entries()) {
    if (process === undefined) continue
    const views = [process.log, process.store]
    for (const files of views) world.noteFaults(files)
    if (views.some(({ isCrashed }) => isCrashed)) {
      await killShipper(world, machine, slot)
      continue
    }
    if (process.end === undefined) continue
    machine.shippers[slot] = undefined
    const { error } = process.end
    if (error === undefined) continue
    world.counts.add('surfaced')
    world.counts.add(`error ${invariants.codeOf(error)}`)
    const isRightful = await isRefusedRightly(world, machine, { process, code: invariants.codeOf(error) })
    if (!isRightful) invariants.failsTyped(error, 'ship', hasFaulted(...views))
  }
}

async function isRefusedRightly(
  world: World,
  machine: Machine,
  { process, code }: { process: ShipProcess; code: string },
): Promise<boolean> {
  if (!REFUSALS.includes(code)) return false
  if (code === 'ARCHIVE_FENCED') return (await newestEpoch(world)) > (process.epoch ?? 0)
  return !(await isHeldByLog(world, machine))
}

/** The archive as somebody sees it who has nothing to do with any of the processes. */
export function observer(world: World): Promise<Archive> {
  return openArchive(directoryStore(ARCHIVE, world.archiveDisk), { gzip })
}

/** All records that can be read out of the archive, in the model's terms. */
export async function archivedNow(world: World): Promise<readonly Entry[]> {
  const archive = await observer(world)
  const { segments, pieces } = await archive.catalogue()
  const entries: Entry[] = []
  const add = async (
    content: AsyncIterable<Buffer>,
    what: { bytes: number; last: boolean },
  ): Promise<void> => {
    const source = streamSource(content, { bytes: what.bytes, path: 'archive' })
    for await (const group of decodeSegment(source, { last: what.last, expect: IDENTITY })) {
      entries.push(...group.map(entryOf))
    }
  }
  for (const segment of segments) {
    await add(archive.fetchSegment(segment), { bytes: segment.bytes, last: false })
  }
  for (const number of new Set(pieces.map(({ segmentNumber }) => segmentNumber))) {
    const own = pieces.filter(({ segmentNumber }) => segmentNumber === number)
    await add(archive.fetchPieces(own), { bytes: own.at(-1)?.endPosition ?? 0, last: true })
  }
  return entries
}

/**
 * Whether the archive holds nothing but what the log of this machine holds, byte by byte. A copy of a home that sealed a segment
 * elsewhere is another history, though its records are the same; and after a failed sync a reader may have shipped what the
 * next power loss takes from the log.
 */
export async function isHeldByLog(world: World, { disk }: Machine): Promise<boolean> {
  const archive = await observer(world)
  const { segments, pieces } = await archive.catalogue()
  const local = new Map(
    (await listSegments(LOG, disk)).map((summary) => [summary.header.segmentNumber, summary]),
  )
  const isBeginning = async (segmentNumber: number, content: AsyncIterable<Buffer>): Promise<boolean> => {
    const archived: Buffer[] = []
    for await (const chunk of content) archived.push(chunk)
    const bytes = Buffer.concat(archived)
    const summary = local.get(segmentNumber)
    if (summary === undefined || summary.bytes < bytes.length) return false
    const own = await readFileWhole(join(LOG, segmentName(segmentNumber)), disk)
    return own.subarray(0, bytes.length).equals(bytes)
  }
  for (const segment of segments) {
    const isWhole = local.get(segment.segmentNumber)?.sealed === true
    if (!isWhole || !(await isBeginning(segment.segmentNumber, archive.fetchSegment(segment)))) return false
  }
  for (const number of new Set(pieces.map(({ segmentNumber }) => segmentNumber))) {
    const own = pieces.filter(({ segmentNumber }) => segmentNumber === number)
    if (!(await isBeginning(number, archive.fetchPieces(own)))) return false
  }
  return true
}

/** Holds the archive against everything that was ever said of it. */
export async function auditArchive(world: World): Promise<readonly Entry[]> {
  const archived = await archivedNow(world)
  invariants.archiveIsOneLine(archived, world.lines)
  invariants.reportedIsArchived(world.reported, archived)
  for (const { disk, wasOpen } of world.machines.values()) {
    if (!wasOpen || (await disk.status(LOG)) === undefined) continue
    for (const { lsn } of await readConfirmations(LOG, disk)) {
      invariants.confirmedIsArchived(lsn, archived.length)
    }
  }
  return archived
}

async function newestEpoch(world: World): Promise<number> {
  const archive = await observer(world)
  return (await archive.catalogue()).owner?.epoch ?? 0
}

/** Views of all shippers, for faults that are to strike them. */
export function viewsOf(machine: Machine, victim: 'ship-log' | 'store'): FaultFileSystem[] {
  return machine.shippers.flatMap((process) =>
    process === undefined ? [] : [victim === 'store' ? process.store : process.log],
  )
}
