/** The share of the disk that a copy at full speed takes beside a writer, on a clock that only flushes and rests move on. */
import { describe, expect, it } from 'vitest'
import { flushShare, REST_FACTOR, REST_MS_MAX, SHARED_SLICE_BYTES } from '../src/pace/flush-share.ts'

interface Disk {
  /** What happened, in order. */
  readonly spans: string[]
  readonly nowMs: () => number
  readonly sleepMs: (ms: number) => Promise<void>
  /** A flush that takes so long. */
  readonly flush: (ms: number) => () => Promise<void>
  /** Whatever else takes its time. */
  readonly pass: (ms: number) => void
}

function disk(): Disk {
  let now = 1000
  const spans: string[] = []
  return {
    spans,
    nowMs: () => now,
    sleepMs: async (ms) => {
      now += ms
      spans.push(`rest ${String(ms)}`)
    },
    flush: (ms) => async () => {
      spans.push('flush')
      await new Promise((resolve) => setImmediate(resolve))
      now += ms
      spans.push('flushed')
    },
    pass: (ms) => {
      now += ms
    },
  }
}

describe('flushShare', () => {
  it('leaves the disk alone for a multiple of the time that it flushed', async () => {
    const time = disk()
    const share = flushShare({ applies: () => true, ...time })
    await share.take(1e9)
    for (let slice = 0; slice < 100; slice += 1) expect(await share.settle(1, time.flush(2))).toBe(true)
    // The last flush has no rest behind it, and the first few milliseconds of rest may be made up for.
    expect(time.nowMs() - 1000).toBeGreaterThanOrEqual(100 * 2 + 99 * 2 * REST_FACTOR - 5)
    expect(time.nowMs() - 1000).toBeLessThanOrEqual(100 * 2 * (1 + REST_FACTOR))
    expect(share.waitedMs).toBe(time.nowMs() - 1000 - 100 * 2)
  })

  it('counts as rest what passes without a flush, and does not make up for a long pause', async () => {
    const time = disk()
    const share = flushShare({ applies: () => true, ...time })
    await share.take(1)
    await share.settle(1, time.flush(2))
    time.pass(60_000)
    await share.settle(1, time.flush(2))
    await share.settle(1, time.flush(2))
    expect(time.spans).toEqual([
      'flush',
      'flushed',
      'flush',
      'flushed',
      `rest ${2 * REST_FACTOR - 5}`,
      'flush',
      'flushed',
    ])
  })

  it('rests no longer behind a disk that stood still, or a machine that slept, than behind a slow flush', async () => {
    const time = disk()
    const share = flushShare({ applies: () => true, ...time })
    await share.take(1)
    await share.settle(1, time.flush(3_600_000))
    await share.settle(1, time.flush(2))
    expect(time.spans).toEqual(['flush', 'flushed', `rest ${REST_MS_MAX}`, 'flush', 'flushed'])
  })

  it('hands out slices while it holds, and flushes them one at a time', async () => {
    const time = disk()
    const share = flushShare({ applies: () => true, ...time })
    expect(await share.take(1e9)).toBe(SHARED_SLICE_BYTES)
    expect(await share.take(10)).toBe(10)
    await Promise.all([
      share.settle(1, time.flush(0)),
      share.settle(1, time.flush(0)),
      share.settle(1, time.flush(0)),
    ])
    expect(time.spans).toEqual(['flush', 'flushed', 'flush', 'flushed', 'flush', 'flushed'])
  })

  it('does nothing while nobody writes', async () => {
    const time = disk()
    const share = flushShare({ applies: () => false, ...time })
    expect(await share.take(1e9)).toBe(1e9)
    expect(await share.settle(1, time.flush(2))).toBe(false)
    expect(time.spans).toEqual([])
    expect(share.waitedMs).toBe(0)
  })

  it('tells the failure of a flush to whoever asked for it, and to nobody else', async () => {
    const share = flushShare({ applies: () => true, ...disk() })
    const failed = share.settle(1, () => Promise.reject(new Error('full')))
    const next = share.settle(1, () => Promise.resolve())
    await expect(failed).rejects.toThrow('full')
    expect(await next).toBe(true)
  })

  it('stops resting when the signal aborts', async () => {
    const abort = new AbortController()
    const time = disk()
    const share = flushShare({ applies: () => true, signal: abort.signal, nowMs: time.nowMs })
    await share.take(1)
    await share.settle(1, time.flush(60_000))
    const resting = share.settle(1, time.flush(1))
    await new Promise((resolve) => setImmediate(resolve))
    abort.abort(new Error('stop'))
    await expect(resting).rejects.toThrow('stop')
    await expect(share.take(1)).rejects.toThrow('stop')
  })
})
