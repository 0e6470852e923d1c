// Who waits for what: promises of the log at the moments between appending, writing, syncing and rolling, on the simulated disk.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Deferred } from '../src/writing/deferred.ts'
import { invariant, TimberlineError, systemCode } from '../src/index.ts'
import { CrashFileSystem, failOn, FaultFileSystem } from '../src/testing/index.ts'
import { DIRECTORY, openMemoryLog } from './log-scenario.ts'

/** Above what is written on the calling thread, so that its flush is under way while the test goes on. */
const LARGE_BYTES = 300 * 1024
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('waiting for a record', () => {
  it('that is durable already, or written when that was all it asked for, ends at once', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    const { lsn } = await log.commit(Buffer.from('a'))
    await expect(log.flushed(lsn)).resolves.toBeUndefined()
    const quiet = await log.commit(Buffer.from('b'), { durable: false })
    expect(log.durableLsn).toBe(lsn)
    await expect(log.flushed(quiet.lsn)).resolves.toBeUndefined()
    await expect(log.flushed(quiet.lsn + 1)).rejects.toMatchObject({ code: 'WAL_INVALID' })
    await log.close()
  })

  it('ends with its own group, whether that collects, waits behind another, or is being written', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    // Two records that fill a group each, and a third that collects behind them.
    const lsns = [1, 2, 3].map(() => log.append(Buffer.alloc(700 * 1024)).lsn)
    const ended: number[] = []
    const waits = lsns.map((lsn) => log.flushed(lsn).then(() => ended.push(lsn)))
    await nextTurn()
    // The first is on its way by now.
    const late = lsns.map((lsn) => log.flushed(lsn).then(() => log.durableLsn >= lsn))
    await Promise.all(waits)
    expect(ended).toEqual(lsns)
    expect(await Promise.all(late)).toEqual([true, true, true])
    await log.close()
  })

  it('fails with the error of the log once that has stopped, except for what is durable', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    const kept = await log.commit(Buffer.from('kept'))
    disk.inject(failOn({ kind: ['sync', 'syncNow'], path: 'log.0' }, 'EIO'))
    const lost = log.append(Buffer.from('lost'))
    const error: unknown = await log.flushed(lost.lsn).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'WAL_SYNC_FAILED' })
    await expect(log.flushed(lost.lsn)).rejects.toBe(error)
    await expect(log.flushed(kept.lsn)).resolves.toBeUndefined()
  })
})

describe('a flush', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('stays on the calling thread where the device is quick, however long its owner takes over the group', async () => {
    let nowMs = 0
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk, { onFlushed: () => (nowMs += 1) })
    const before = disk.operations.length
    for (let count = 0; count < 20; count += 1) await log.commit(Buffer.from('quick'))
    const syncs = disk.operations.slice(before).filter(({ kind }) => kind.startsWith('sync'))
    expect(syncs.map(({ kind }) => kind)).toEqual(Array.from({ length: 20 }, () => 'syncNow'))
    await log.close()
  })
})

describe('a sync that is asked for beside commits', () => {
  it('takes the next group along: one sync for both', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('a'), { durable: false })
    const before = disk.operations.length
    const synced = log.sync()
    const second = log.append(Buffer.from('b'), { durable: false })
    expect(await synced).toBe(second.lsn)
    const syncs = disk.operations.slice(before).filter(({ kind }) => kind === 'sync' || kind === 'syncNow')
    expect(syncs).toHaveLength(1)
    await log.close()
  })
})

describe('rolling', () => {
  it('once more while a roll is under way gives the new segment as it is, and seals nothing twice', async () => {
    const log = await openMemoryLog(new CrashFileSystem())
    await log.commit(Buffer.from('a'))
    const first = log.roll()
    await nextTurn()
    const second = log.roll()
    expect(await first).toMatchObject({ sealed: true, header: { segmentNumber: 1 } })
    expect(await second).toMatchObject({ sealed: false, header: { segmentNumber: 2 }, lastLsn: 1 })
    expect(log.activeSegment).toBe(2)
    await log.close()
  })

  it('makes the next segment beside the seal, and names it when that is durable', async () => {
    const disk = new CrashFileSystem()
    const seal: { held?: Deferred<void> } = {}
    const open = disk.open.bind(disk)
    disk.open = async (path, mode) => {
      const handle = await open(path, mode)
      const sync = handle.sync.bind(handle)
      if (path.endsWith('log.0000000001')) handle.sync = async () => seal.held?.promise.then(sync) ?? sync()
      return handle
    }
    const log = await openMemoryLog(disk, { preallocateBytes: 4096 })
    await log.commit(Buffer.from('a'))
    seal.held = new Deferred()
    const rolled = log.roll()
    for (let turn = 0; turn < 50; turn += 1) await nextTurn()
    expect(await disk.list(DIRECTORY)).toEqual(['log.0000000001', 'log.0000000002.new'])
    seal.held.resolve()
    await rolled
    expect(await disk.list(DIRECTORY)).toEqual(['log.0000000001', 'log.0000000002'])
    await log.close()
  })

  it('fails with the one error of the log when a large commit before it fails', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    disk.inject(failOn({ kind: 'write', path: 'log.0' }, 'EIO'))
    const outcomes = await Promise.allSettled([log.commit(Buffer.alloc(LARGE_BYTES)), log.roll()])
    const reasons = outcomes.map((outcome) =>
      outcome.status === 'rejected' ? (outcome.reason as unknown) : 'none',
    )
    expect(reasons[0]).toMatchObject({ code: 'WAL_WRITE_FAILED', cause: { code: 'EIO' } })
    expect(reasons[1]).toBe(reasons[0])
  })
})

describe('a broken invariant', () => {
  it('is no condition that a caller may handle: it has no code and says what cannot be', () => {
    const broken = (): void => invariant(false, 'one and one are two')
    expect(broken).toThrow('one and one are two')
    expect(broken).not.toThrow(TimberlineError)
    expect(() => invariant(true, 'nothing')).not.toThrow()
  })
})

describe('the code of a caught value', () => {
  it('is a text or none', () => {
    expect(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe('ENOENT')
    for (const value of [undefined, null, 'ENOENT', {}, { code: 5 }])
      expect(systemCode(value)).toBeUndefined()
  })

  it('comes with a next step only where somebody wrote one', () => {
    const bare = new TimberlineError('x', { code: 'X_Y', kind: 'invalid' })
    expect(bare).toMatchObject({ hint: '', details: {}, message: 'x' })
  })
})
