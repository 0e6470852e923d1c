import { describe, expect, it } from 'vitest'
import type { RateLimit } from '../src/pace/rate-limit.ts'
import { rateLimit } from '../src/pace/rate-limit.ts'
import { SLICE_BYTES_MIN } from '../src/pace/slice-size.ts'

/** A clock that only sleeping moves on. */
function clock(): {
  nowMs: () => number
  sleepMs: (ms: number) => Promise<void>
  pass: (ms: number) => void
} {
  let now = 1000
  return {
    nowMs: () => now,
    pass: (ms) => {
      now += ms
    },
    sleepMs: async (ms) => {
      now += ms
    },
  }
}

/** Slice by slice, as a copy does. */
async function takeAll(limit: RateLimit, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) left -= await limit.take(left)
}

describe('rateLimit', () => {
  it('lets bytes pass at the rate asked for', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    for (let chunk = 0; chunk < 100; chunk += 1) await takeAll(limit, 100_000)
    // 10 MB at 1 MB/s; the last chunk may go when its turn begins, and one burst is free.
    expect(time.nowMs() - 1000).toBeGreaterThanOrEqual(9_700)
    expect(time.nowMs() - 1000).toBeLessThanOrEqual(10_000)
  })

  it('does not make up for a long pause', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    await takeAll(limit, 100_000)
    time.pass(60_000)
    const begin = time.nowMs()
    for (let chunk = 0; chunk < 20; chunk += 1) await takeAll(limit, 100_000)
    expect(time.nowMs() - begin).toBeGreaterThanOrEqual(1_700)
  })

  it('is one limit for all who take from it', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    const lane = async (): Promise<void> => {
      for (let chunk = 0; chunk < 10; chunk += 1) await takeAll(limit, 100_000)
    }
    await Promise.all([lane(), lane()])
    expect(time.nowMs() - 1000).toBeGreaterThanOrEqual(1_700)
  })

  it('never waits without a rate', async () => {
    const limit = rateLimit({ bytesPerS: undefined, sleepMs: () => Promise.reject(new Error('slept')) })
    const takes = Array.from({ length: 1000 }, () => limit.take(1e9))
    expect(await Promise.all(takes)).toHaveLength(1000)
  })

  it('hands out slices, and has each of them flushed, only while it holds', async () => {
    let isHolding = true
    let flushes = 0
    const limit = rateLimit({ bytesPerS: 1e5, applies: () => isHolding, ...clock() })
    const flush = async (): Promise<void> => {
      flushes += 1
    }
    expect(await limit.take(1e9)).toBe(SLICE_BYTES_MIN)
    await limit.settle(SLICE_BYTES_MIN, flush)
    isHolding = false
    expect(await limit.take(1e9)).toBe(1e9)
    await limit.settle(SLICE_BYTES_MIN, flush)
    expect(flushes).toBe(1)
    expect(await rateLimit({ bytesPerS: undefined }).take(1e9)).toBe(1e9)
    await rateLimit({ bytesPerS: undefined }).settle(SLICE_BYTES_MIN, flush)
    expect(flushes).toBe(1)
  })

  it('counts what it made others wait, once for all who waited at the same time', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    await limit.take(64_000)
    expect(limit.waitedMs).toBe(0)
    await takeAll(limit, 500_000)
    expect(limit.waitedMs).toBe(time.nowMs() - 1000)
    const slept = new Promise<void>((resolve) => setImmediate(resolve)).then(() => time.pass(500))
    const lanes = rateLimit({ bytesPerS: 640, nowMs: time.nowMs, sleepMs: () => slept })
    await Promise.all([lanes.take(64), lanes.take(64), lanes.take(64)])
    expect(lanes.waitedMs).toBe(500)
  })

  it('learns the size of its slices from the time that flushes take', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 10e6, ...time })
    expect(await limit.take(1e9)).toBe(16 * SLICE_BYTES_MIN)
    await limit.settle(16 * SLICE_BYTES_MIN, async () => time.pass(9))
    expect(await limit.take(1e9)).toBe(8 * SLICE_BYTES_MIN)
  })

  it('stops waiting when the signal aborts', async () => {
    const abort = new AbortController()
    const limit = rateLimit({ bytesPerS: 10_000, signal: abort.signal })
    await limit.take(1000)
    const waiting = limit.take(1)
    abort.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
    await expect(limit.take(1)).rejects.toThrow('stop')
  })
})
