/*
 * Fault model: log and archive lie on one disk whose power fails at any operation of log, shipper or store, also while a restart
 * after such a crash is under way. Held afterwards:
 *
 * - every record that the log had acknowledged is in the archive once the restarted shipper has caught up, exactly once;
 * - nothing is in the archive that is not in the log, with the same bytes;
 * - what the home was told (its confirmation) was true when it was told;
 * - no object is damaged, and nothing is left over but temporary files.
 */
import {
  decodeSegment,
  openSegmentSource,
  parseSegmentName,
  readConfirmations,
  type Log,
} from '@timberline/wal'
import { crashAt, FaultFileSystem, isMutation } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { type Archive, directoryStore, openArchive, verifyArchive } from '../src/index.ts'
import {
  ARCHIVE,
  archivedRecords,
  CrashFileSystem,
  fingerprintOf,
  LOG,
  openTestArchive,
  openTestLog,
  payload,
  settled,
  ship,
} from './support/archive-scene.ts'

const SEGMENTS = 2

type OpenArchive = (disk: CrashFileSystem) => Promise<Archive>

/** Writes, rolls and ships; reports every record whose commit resolved. */
async function story(fileSystem: FaultFileSystem, acknowledged: (lsn: number) => void): Promise<void> {
  const log = await openTestLog(fileSystem, { now: clock() })
  const write = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const { lsn } = await log.commit(payload(log.nextLsn))
      acknowledged(lsn)
    }
  }
  const { shipper, stop } = ship(fileSystem, await openTestArchive(fileSystem), { intervalMs: 1000 })
  try {
    for (let segment = 1; segment <= SEGMENTS; segment++) {
      await write(2)
      await shipper.flush()
      await write(1)
      await shipper.flush()
      await mark(log, `mark-${segment}`, acknowledged)
      await log.roll()
      await shipper.flush()
      await settled(shipper, segment)
    }
    await write(2)
    await shipper.flush()
  } finally {
    await stop().catch(() => undefined)
    await log.close().catch(() => undefined)
  }
}

/** Most of each story is waiting, so many go side by side. */
async function atOnce<T>(cases: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  const rest = [...cases]
  const worker = async (): Promise<void> => {
    for (let one = rest.shift(); one !== undefined; one = rest.shift()) await run(one)
  }
  await Promise.all(Array.from({ length: 24 }, worker))
}

async function mark(log: Log, name: string, acknowledged: (lsn: number) => void): Promise<void> {
  acknowledged((await log.commit(Buffer.from(name), { kind: 'mark' })).lsn)
}

function clock(): () => number {
  let now = 1_764_000_000_000_000
  return () => (now += 1000)
}

async function localRecords(disk: CrashFileSystem): Promise<Map<number, string>> {
  const records = new Map<number, string>()
  const names = await disk.list(LOG)
  const numbers = names.map(parseSegmentName).filter((number) => number !== undefined)
  for (const number of numbers) {
    const source = await openSegmentSource(LOG, number, disk)
    for await (const group of decodeSegment(source, { last: number === numbers.at(-1) })) {
      for (const { lsn, payload: bytes } of group) records.set(lsn, bytes.toString())
    }
    await source.handle.close()
  }
  return records
}

/** Opens log and shipper again, catches up, and holds the promises. */
async function checkAfter(
  disk: CrashFileSystem,
  acknowledged: number,
  openReader: OpenArchive = openTestArchive,
): Promise<void> {
  const told = await confirmed(disk)
  const held = told.lsn === 0 ? { lsn: 0, segmentNumber: 0 } : await heldBy(await openReader(disk))
  expect(held.lsn).toBeGreaterThanOrEqual(told.lsn)
  expect(held.segmentNumber).toBeGreaterThanOrEqual(told.segmentNumber)
  const log = await openTestLog(disk, { now: clock() })
  expect(log.durableLsn).toBeGreaterThanOrEqual(acknowledged)
  const { shipper, stop } = ship(disk, await openTestArchive(disk), { intervalMs: 1000 })
  await log.commit(payload(log.nextLsn))
  await shipper.flush()
  await settled(shipper, log.activeSegment - 1)
  await stop()
  const local = await localRecords(disk)
  const archive = await openReader(disk)
  const records = await archivedRecords(archive)
  expect(records.map(({ lsn }) => lsn)).toEqual([...local.keys()])
  for (const { lsn, payload: bytes } of records) expect(bytes.toString()).toBe(local.get(lsn))
  for await (const finding of verifyArchive(archive, { strays: true })) expect(finding).toBeUndefined()
  const expectedMarks = records.filter(({ kind }) => kind === 'mark').map(({ lsn }) => lsn)
  expect((await archive.catalogue()).marks.map(({ lsn }) => lsn)).toEqual(expectedMarks)
  await log.close()
}

/** How far the archive reaches without a hole. */
async function heldBy(archive: Archive): Promise<{ lsn: number; segmentNumber: number }> {
  const records = await archivedRecords(archive)
  const hole = records.findIndex(({ lsn }, index) => lsn !== index + 1)
  const { segments } = await archive.catalogue()
  return { lsn: hole === -1 ? records.length : hole, segmentNumber: segments.length }
}

async function confirmed(disk: CrashFileSystem): Promise<{ lsn: number; segmentNumber: number }> {
  try {
    return (await readConfirmations(LOG, disk))[0] ?? { lsn: 0, segmentNumber: 0 }
  } catch {
    // The log folder is not there yet.
    return { lsn: 0, segmentNumber: 0 }
  }
}

/** What the next start finds after a loss of power, and the last record that was acknowledged before. */
interface Moment {
  readonly disk: CrashFileSystem
  readonly acknowledged: number
}

/**
 * One run of the story, with what a loss of power before its operations leaves; `seedsOf` says which outcomes of it. Before an
 * operation that only reads, the disk is as before the next one that does more.
 */
async function momentsOf(
  disk: CrashFileSystem,
  seedsOf: (index: number) => readonly number[],
): Promise<Moment[]> {
  const moments: Moment[] = []
  let acknowledged = 0
  const watched = new FaultFileSystem(disk, (operation) => {
    const seeds = isMutation(operation) ? seedsOf(operation.index) : []
    for (const seed of seeds) moments.push({ disk: disk.ifCrashed(seed), acknowledged })
    return undefined
  })
  await story(watched, (lsn) => (acknowledged = lsn))
  return moments
}

/** A loss of power may leave what an earlier one left, which needs to be tried once. */
function distinct(moments: readonly Moment[]): Moment[] {
  const byState = new Map(
    moments.map((moment) => [`${String(moment.acknowledged)} ${fingerprintOf(moment.disk)}`, moment]),
  )
  return [...byState.values()]
}

describe('a shipper that loses its power', () => {
  for (const model of ['posix', 'ext4'] as const) {
    it(`at any operation goes on without loss or repeat (${model})`, async () => {
      const moments = await momentsOf(new CrashFileSystem({ model }), (index) => [index])
      const states = oneIn(2, distinct(moments))
      await atOnce(states, ({ disk, acknowledged }) => checkAfter(disk, acknowledged))
      expect(states.length).toBeGreaterThan(40)
      console.log(`${model}: crashes at ${moments.length} operations, ${states.length} states`)
    }, 300_000)
  }

  it('at any operation and holds no key of its encrypted archive goes on all the same', async () => {
    const identity = await generateX25519Identity()
    const recipient = await identityToRecipient(identity)
    const openReader: OpenArchive = (disk) =>
      openArchive(directoryStore(ARCHIVE, disk), { identities: [identity] })
    const encrypted = new CrashFileSystem()
    await (await openTestArchive(encrypted)).setRecipients([recipient])
    const moments = await momentsOf(encrypted, (index) => [index])
    const states = oneIn(5, distinct(moments))
    await atOnce(states, ({ disk, acknowledged }) => checkAfter(disk, acknowledged, openReader))
    expect(states.length).toBeGreaterThan(30)
    console.log(`encrypted: crashes at ${moments.length} operations, ${states.length} states`)
  }, 300_000)

  it('again while it begins anew goes on all the same', async () => {
    const seconds = Array.from({ length: 13 }, (_, at) => 1 + at * 13)
    const restarts = await momentsOf(new CrashFileSystem(), (index) =>
      index >= 40 && index % 37 < 2 ? seconds : [],
    )
    let crashes = 0
    const pairs = restarts.map((moment, at) => ({ ...moment, second: seconds[at % seconds.length] ?? 1 }))
    await atOnce(oneIn(2, pairs), async ({ disk, second, ...before }) => {
      let { acknowledged } = before
      const faulty = new FaultFileSystem(disk, crashAt(second))
      await story(faulty, (lsn) => (acknowledged = lsn)).catch(() => undefined)
      crashes += faulty.isCrashed ? 1 : 0
      await checkAfter(disk.crash(second), acknowledged)
    })
    expect(crashes).toBeGreaterThan(50)
  }, 300_000)
})
