import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { CommitMeter } from '../src/commit/commit-meter.ts'

/** A commit, and what ends it. */
function commit(): { done: Promise<void>; end: (error?: Error) => void } {
  let end: (error?: Error) => void = () => undefined
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error))
  })
  return { done, end }
}

describe('a meter of commits', () => {
  test('counts those that succeed, and keeps the longest wait', async () => {
    const meter = new CommitMeter()
    const report = meter.begin(new AbortController().signal)
    const [slow, quick, refused] = [commit(), commit(), commit()]
    for (const { done } of [slow, quick, refused]) meter.watch(done)
    quick.end()
    refused.end(new Error('refused'))
    await sleep(20)
    slow.end()
    await Promise.allSettled([slow.done, quick.done, refused.done])
    const { commitCount, longestWaitMs, ms } = report()
    expect(commitCount).toBe(2)
    // A timer may be early by a millisecond.
    expect(longestWaitMs).toBeGreaterThanOrEqual(18)
    expect(ms).toBeGreaterThanOrEqual(longestWaitMs)
    expect(report().longestWaitMs).toBe(longestWaitMs)
  })

  test('counts what a commit waited that waits still, as of the oldest one', async () => {
    const meter = new CommitMeter()
    const report = meter.begin(new AbortController().signal)
    const [oldest, newer] = [commit(), commit()]
    meter.watch(oldest.done)
    await sleep(20)
    meter.watch(newer.done)
    expect(report()).toMatchObject({ commitCount: 0 })
    expect(report().longestWaitMs).toBeGreaterThanOrEqual(18)
    oldest.end()
    newer.end()
  })

  test('begins with its own moment, and ends when who asked is gone', async () => {
    const meter = new CommitMeter()
    const gone = new AbortController()
    const earlier = commit()
    meter.watch(earlier.done)
    const report = meter.begin(gone.signal)
    earlier.end()
    await earlier.done
    gone.abort()
    meter.watch(Promise.resolve())
    await sleep(0)
    expect(report().commitCount).toBe(0)
    expect(meter.begin(gone.signal)().commitCount).toBe(0)
  })
})
