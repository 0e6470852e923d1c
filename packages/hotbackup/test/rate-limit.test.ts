import { describe, expect, it } from 'vitest'
import { rateLimit } from '../src/rate-limit.ts'

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

describe('rateLimit', () => {
  it('lets bytes pass at the rate asked for', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    for (let chunk = 0; chunk < 100; chunk += 1) await limit.take(100_000)
    // 10 MB at 1 MB/s; the last chunk may go when its turn begins, and one burst is free.
    expect(time.nowMs() - 1000).toBeGreaterThanOrEqual(9_700)
    expect(time.nowMs() - 1000).toBeLessThanOrEqual(10_000)
  })

  it('does not make up for a long pause', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    await limit.take(100_000)
    time.pass(60_000)
    const begin = time.nowMs()
    for (let chunk = 0; chunk < 20; chunk += 1) await limit.take(100_000)
    expect(time.nowMs() - begin).toBeGreaterThanOrEqual(1_700)
  })

  it('is one limit for all who take from it', async () => {
    const time = clock()
    const limit = rateLimit({ bytesPerS: 1_000_000, ...time })
    const lane = async (): Promise<void> => {
      for (let chunk = 0; chunk < 10; chunk += 1) await limit.take(100_000)
    }
    await Promise.all([lane(), lane()])
    expect(time.nowMs() - 1000).toBeGreaterThanOrEqual(1_700)
  })

  it('never waits without a rate', async () => {
    const limit = rateLimit({ bytesPerS: undefined, sleepMs: () => Promise.reject(new Error('slept')) })
    const takes = Array.from({ length: 1000 }, () => limit.take(1e9))
    expect(await Promise.all(takes)).toHaveLength(1000)
  })

  it('stops waiting when the signal aborts', async () => {
    const abort = new AbortController()
    const limit = rateLimit({ bytesPerS: 1, signal: abort.signal })
    await limit.take(1000)
    const waiting = limit.take(1)
    abort.abort(new Error('stop'))
    await expect(waiting).rejects.toThrow('stop')
    await expect(limit.take(1)).rejects.toThrow('stop')
  })
})
