import { describe, expect, it } from 'vitest'
import { readLog, TimberlineError, type FileSystem, type Log, type LogRecord } from '../src/index.ts'
import {
  crashAt,
  CrashFileSystem,
  failAt,
  FaultFileSystem,
  SimulatedCrash,
  type CrashPolicy,
  type Fault,
} from '../src/testing/index.ts'
import { DIRECTORY, openMemoryLog } from './log-scenario.ts'

/*
 * Fault model: that of CrashFileSystem (unsynced writes lost, kept, torn or zeroed, in any order; names lost until the folder is
 * synced) with power cut before every single operation; then each operation failing by itself, without a power cut.
 *
 * The model of a log is a list of payloads by LSN. After any fault and reopening, the log must hold a beginning of what was
 * appended, at least through the last acknowledged record, and nothing that was rejected with a known outcome.
 */

interface History {
  readonly appended: string[]
  /** LSN of the last acknowledged durable record. */
  acknowledged: number
  /** First LSN that was rejected with a known outcome. */
  rejectedFrom: number
  error: unknown
}

const OPTIONS = { preallocateBytes: 1024, segmentBytesMax: 4096 }

/** Groups of several sizes, one not waited for, a mark, rolls by size and on request, a reopening. */
async function work(fileSystem: FileSystem, history: History): Promise<void> {
  let log = await openMemoryLog(fileSystem, OPTIONS)
  await group(log, history, [20, 0, 700])
  await group(log, history, [1500])
  await quietly(log, history)
  await group(log, history, [10, 10])
  await log.close()
  log = await openMemoryLog(fileSystem, OPTIONS)
  await group(log, history, [1200, 3])
  await log.roll()
  await quietly(log, history)
  await log.sync()
  history.acknowledged = history.appended.length
  await group(log, history, [900])
  await log.close()
}

async function group(log: Log, history: History, sizes: readonly number[]): Promise<void> {
  const places = sizes.map((bytes) => {
    const payload = `${history.appended.length + 1} ${'.'.repeat(bytes)}`
    history.appended.push(payload)
    return log.append(Buffer.from(payload))
  })
  await Promise.all(places.map(({ lsn }) => log.flushed(lsn)))
  history.acknowledged = places.at(-1)?.lsn ?? 0
}

async function quietly(log: Log, history: History): Promise<void> {
  const payload = `${history.appended.length + 1} quiet`
  history.appended.push(payload)
  await log.commit(Buffer.from(payload), { durable: false })
}

async function run(fileSystem: FileSystem): Promise<History> {
  const history: History = { appended: [], acknowledged: 0, rejectedFrom: Infinity, error: undefined }
  try {
    await work(fileSystem, history)
  } catch (error) {
    history.error = error
    const known = error instanceof TimberlineError && error.details['outcome'] === 'rejected'
    if (known) history.rejectedFrom = Number(error.details['lsn'])
  }
  return history
}

async function payloads(fileSystem: FileSystem): Promise<string[]> {
  const found: LogRecord[] = []
  for await (const records of readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem }))
    found.push(...records)
  expect(found.map((record) => record.lsn)).toEqual(found.map((_, index) => index + 1))
  return found.map((record) => record.payload.toString())
}

/** Reopens, compares with the model, commits once more and compares again. */
async function check(fileSystem: FileSystem, history: History): Promise<void> {
  const log = await openMemoryLog(fileSystem, OPTIONS)
  const found = await payloads(fileSystem)
  expect(found).toEqual(history.appended.slice(0, found.length))
  expect(found.length).toBeGreaterThanOrEqual(history.acknowledged)
  expect(found.length).toBeLessThan(history.rejectedFrom)
  expect(log.opened.lastLsn).toBe(found.length)
  await log.commit(Buffer.from('after'))
  await log.close()
  await (await openMemoryLog(fileSystem, OPTIONS)).close()
  expect(await payloads(fileSystem)).toEqual([...found, 'after'])
}

async function operationsOf(model: 'posix' | 'ext4'): Promise<number> {
  const disk = new FaultFileSystem(new CrashFileSystem({ model }))
  expect((await run(disk)).error).toBeUndefined()
  return disk.operations.length
}

const POLICIES: readonly CrashPolicy[] = [
  { writes: 'lost', names: 'lost' },
  { writes: 'kept', names: 'kept' },
  { writes: 'zeroed', names: 'kept' },
  { writes: 'torn-512', names: 'kept', seed: 1 },
  ...[2, 3, 4, 5].map((seed) => ({ seed })),
]

describe('a power cut', () => {
  it.each(['posix', 'ext4'] as const)(
    'before any operation loses nothing acknowledged (%s)',
    async (model) => {
      const operations = await operationsOf(model)
      let states = 0
      for (let index = 1; index <= operations; index += 1) {
        const disk = new CrashFileSystem({ model })
        const history = await run(new FaultFileSystem(disk, crashAt(index)))
        expect(history.error).toBeInstanceOf(Error)
        for (const policy of POLICIES) {
          await check(disk.crash(policy), history)
          states += 1
        }
      }
      expect(states).toBe(operations * POLICIES.length)
      expect(operations).toBeGreaterThan(60)
    },
  )

  it('during recovery loses nothing either, wherever it strikes', async () => {
    const operations = await operationsOf('posix')
    let interrupted = 0
    for (let index = 3; index <= operations; index += 4) {
      const disk = new CrashFileSystem()
      const history = await run(new FaultFileSystem(disk, crashAt(index)))
      for (let again = 1; ; again += 1) {
        const damaged = disk.crash(index * 1000 + again)
        const faulty = new FaultFileSystem(damaged, crashAt(again))
        const finished = await openMemoryLog(faulty, OPTIONS).then(
          () => true,
          () => false,
        )
        await check(damaged.crash(again), history)
        if (finished) break
        interrupted += 1
      }
    }
    expect(interrupted).toBeGreaterThan(100)
  })

  it('among records that nobody waits for leaves a beginning of them, never a log that looks corrupt', async () => {
    for (let index = 1; ; index += 1) {
      const disk = new CrashFileSystem()
      const history: History = { appended: [], acknowledged: 0, rejectedFrom: Infinity, error: undefined }
      const crashed = await workQuietly(new FaultFileSystem(disk, crashAt(index)), history).then(
        () => false,
        () => true,
      )
      for (const policy of POLICIES) await check(disk.crash(policy), history)
      if (!crashed) break
      expect(history.acknowledged).toBe(0)
    }
  })

  it('that kept a later group and lost an earlier one does not bring the later one back', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('kept'))
    await log.commit(Buffer.from('lost'), { durable: false })
    await log.commit(Buffer.from('late'), { durable: false })
    const after = disk.crash({ writes: ({ index }) => (index === 0 ? 'lost' : 'kept'), names: 'kept' })
    const again = await openMemoryLog(after)
    expect(again.opened).toMatchObject({ lastLsn: 1 })
    expect(again.opened.tornBytes).toBeGreaterThan(0)
    // Exactly where the lost group stood, and as long: what stood behind it must be gone.
    await again.commit(Buffer.from('more'))
    expect(await payloads(after)).toEqual(['kept', 'more'])
    await again.close()
    expect((await openMemoryLog(after)).nextLsn).toBe(3)
  })
})

/** Rolls by size only, and waits for nothing. */
async function workQuietly(fileSystem: FileSystem, history: History): Promise<void> {
  const log = await openMemoryLog(fileSystem, OPTIONS)
  for (let index = 0; index < 12; index += 1) {
    const payload = `${index + 1} ${'.'.repeat(900)}`
    history.appended.push(payload)
    await log.commit(Buffer.from(payload), { durable: false })
  }
}

describe('a process that dies', () => {
  it('before any operation leaves a log whose next records survive a power cut, and so do those before', async () => {
    const operations = await operationsOf('posix')
    for (let index = 1; index <= operations; index += 1) {
      // The machine lives on: the next process finds what no sync has made durable.
      const disk = new CrashFileSystem({ model: 'posix' })
      const history = await run(new FaultFileSystem(disk, crashAt(index)))
      const log = await openMemoryLog(disk, OPTIONS)
      const found = await payloads(disk)
      expect(found.length).toBeGreaterThanOrEqual(history.acknowledged)
      await log.commit(Buffer.from('after'))
      const left = disk.crash({ writes: 'lost', names: 'lost' })
      await openMemoryLog(left, OPTIONS)
      expect(await payloads(left)).toEqual([...found, 'after'])
    }
  })
})

describe('a failing operation', () => {
  const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'short', 'EIO-after']

  it.each(faults)(
    '%s rejects by one typed error, and reopening finds all that was acknowledged',
    async (fault) => {
      const operations = await operationsOf('posix')
      const codes = new Set<string>()
      let struck = 0
      for (let index = 1; index <= operations; index += 1) {
        const disk = new CrashFileSystem()
        const faulty = new FaultFileSystem(disk, failAt(index, fault))
        const history = await run(faulty)
        struck += faulty.injected.length
        if (history.error instanceof TimberlineError) codes.add(history.error.code)
        expect(history.error).not.toBeInstanceOf(SimulatedCrash)
        await check(disk.ifCrashed(index), history)
        await check(disk, history)
      }
      expect(struck).toBe(operations)
      expect(codes).toContain('WAL_WRITE_FAILED')
      expect(codes).toContain('WAL_SYNC_FAILED')
    },
  )

  it('that goes on failing leaves the outcome unknown, and still loses nothing', async () => {
    const operations = await operationsOf('posix')
    for (let index = 1; index <= operations; index += 1) {
      const disk = new CrashFileSystem()
      const history = await run(new FaultFileSystem(disk, failAt(index, 'EIO', { once: false })))
      // One after another: also the cutting back fails, so only a log that was not yet written to may say "rejected".
      expect(history.appended.length).toBeGreaterThanOrEqual(history.acknowledged)
      await check(disk.ifCrashed(index), history)
      await check(disk, history)
    }
  })
})
