// Whether a group waits for the writers that the one before released: by a clock that the test sets, alone and in the flusher.
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Log } from '../src/index.ts'
import { ReturnPace } from '../src/writing/return-pace.ts'
import { CrashFileSystem } from '../src/testing/index.ts'
import { openMemoryLog } from './log-scenario.ts'

const FLUSH_MS = 1

/** Groups of eight, released one after another; what is released comes back after `returnMs`. */
function history(returnMs: number, groups: number, flushMs = FLUSH_MS) {
  const clock = { nowMs: 0 }
  const pace = new ReturnPace(() => clock.nowMs)
  let lsn = 0
  const release = (): void => pace.released({ records: 8, flushMs }, lsn + 1)
  const comeBack = (records: number): void => {
    for (let count = 0; count < records; count += 1) pace.appended((lsn += 1))
  }
  for (let group = 0; group < groups; group += 1) {
    release()
    clock.nowMs += returnMs
    comeBack(8)
  }
  return { clock, pace, release, comeBack }
}

describe('the next group', () => {
  it('waits for those just released where they come back quickly, until as many have come', () => {
    const { clock, pace, release, comeBack } = history(0.2, 4)
    expect(pace.areComing()).toBe(false)
    release()
    expect(pace.areComing()).toBe(true)
    clock.nowMs += 0.2
    comeBack(7)
    expect(pace.areComing()).toBe(true)
    comeBack(1)
    expect(pace.areComing()).toBe(false)
  })

  it('waits no longer than half a flush, for writers who have stopped', () => {
    const { clock, pace, release } = history(0.2, 4)
    release()
    clock.nowMs += 0.49
    expect(pace.areComing()).toBe(true)
    clock.nowMs += 0.02
    expect(pace.areComing()).toBe(false)
  })

  it('waits for nobody before it is known how they come, nor where they come late, nor where none come back', () => {
    const young = history(0.2, 2)
    young.release()
    expect(young.pace.areComing()).toBe(false)
    const late = history(0.7, 20)
    late.release()
    expect(late.pace.areComing()).toBe(false)
    const { clock, pace, release } = history(0.2, 20)
    for (let group = 0; group < 4; group += 1) {
      release()
      clock.nowMs += 50
    }
    release()
    expect(pace.areComing()).toBe(false)
  })

  it('soon waits again after one long pause', () => {
    const { clock, pace, release, comeBack } = history(0.2, 20)
    release()
    clock.nowMs += 10_000
    comeBack(8)
    release()
    expect(pace.areComing()).toBe(true)
  })

  it('waits for nobody where the calling thread flushes', () => {
    const { pace, release } = history(0, 20, 0)
    release()
    expect(pace.areComing()).toBe(false)
  })
})

/** A disk whose flush takes ten milliseconds and some turns of the loop, by a clock that goes on a little at every look. */
function slowDisk() {
  const disk = new CrashFileSystem()
  let nowMs = 0
  const counted = { disk, flushes: 0, work: (ms: number) => (nowMs += ms) }
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 0.01))
  const flush = (): void => {
    counted.flushes += 1
    nowMs += 10
  }
  const open = disk.open.bind(disk)
  disk.open = async (path, mode) => {
    const handle = await open(path, mode)
    const [sync, syncNow] = [handle.sync.bind(handle), handle.syncNow.bind(handle)]
    handle.sync = async () => {
      for (let turn = 0; turn < 5; turn += 1) await nextTurn()
      flush()
      await sync()
    }
    handle.syncNow = () => {
      flush()
      syncNow()
    }
    return handle
  }
  return counted
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('writers at a slow device', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('that take turns are brought into one group, and stay in it', async () => {
    const slow = slowDisk()
    const log = await openMemoryLog(slow.disk)
    // From here on flushes are left to another thread.
    for (let count = 0; count < 20; count += 1) await log.commit(Buffer.from('slow'))
    const before = slow.flushes
    const first = writers(log, { count: 8, rounds: 12 })
    await nextTurn()
    // The first eight are on their way to the device by now, and eight more come.
    await Promise.all([...first, ...writers(log, { count: 8, rounds: 12 })])
    await log.close()
    // In turns, twelve rounds are 24 flushes; these are two until it is known how soon they come back, and then twelve.
    expect(slow.flushes - before).toBeLessThan(16)
  })

  it('who do not wait for it are told after their append, never within', async () => {
    const slow = slowDisk()
    let isAppending = false
    const within: boolean[] = []
    const log = await openMemoryLog(slow.disk, { onFlushed: () => within.push(isAppending) })
    for (let count = 0; count < 20; count += 1) await log.commit(Buffer.from('slow'))
    await Promise.all(writers(log, { count: 8, rounds: 1 }))
    isAppending = true
    for (let count = 0; count < 8; count += 1) {
      slow.work(3)
      log.append(Buffer.from('record'), { durable: false })
    }
    isAppending = false
    await log.close()
    expect(within).not.toContain(true)
  })
})

/** Each commits, and once that is durable goes on a turn later. */
function writers(log: Log, { count, rounds }: { count: number; rounds: number }): readonly Promise<void>[] {
  return Array.from({ length: count }, async () => {
    for (let round = 0; round < rounds; round += 1) {
      await log.commit(Buffer.from('record'))
      await nextTurn()
    }
  })
}
