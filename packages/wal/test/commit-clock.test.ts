// Commit times under a clock that stands, jumps and goes back. The wall clock is looked at through a simulated one, whose two
// hands (date and monotonic time) can be moved apart, as an administrator or a time server does.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CommitClock, wallClock } from '../src/records/commit-clock.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('commit times', () => {
  it('follow the clock while it goes on, and go on by one where it stands or goes back', () => {
    const looks = [100, 100.9, 101.5, 90, 103, 103.999, 500]
    const clock = new CommitClock(() => looks.shift() ?? 0, 100)
    const times = Array.from({ length: 7 }, () => clock.next())
    expect(times).toEqual([101, 102, 103, 104, 105, 106, 500])
  })

  it('begin after the last one of the log that is gone on with', () => {
    expect(new CommitClock(() => 7, 1_000).next()).toBe(1_001)
    expect(new CommitClock(() => 1_001, 1_000).next()).toBe(1_001)
    expect(new CommitClock(() => 1_002, 1_000).next()).toBe(1_002)
  })

  it('are whole microseconds, and asking for the present uses none up', () => {
    const clock = new CommitClock(() => 12.75, 0)
    expect(clock.now()).toBe(12)
    expect(clock.next()).toBe(12)
    expect(clock.now()).toBe(12)
  })
})

describe('the wall clock', () => {
  it('is the date in microseconds, and goes on between its milliseconds', () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: 1_700_000_000_000 })
    vi.advanceTimersByTime(5000)
    const now = wallClock()
    expect(now()).toBe(1_700_000_005_000_000)
    vi.advanceTimersByTime(1)
    expect(now()).toBe(1_700_000_005_001_000)
    vi.advanceTimersByTime(3)
    expect(now()).toBe(1_700_000_005_004_000)
  })

  it('follows the date when it is set by more than two milliseconds, and keeps its own pace otherwise', () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: 1_700_000_000_000 })
    const now = wallClock()
    const first = now()
    vi.setSystemTime(1_700_000_000_002)
    expect(now()).toBe(first)
    vi.setSystemTime(1_699_999_999_998)
    expect(now()).toBe(first)
    vi.setSystemTime(1_700_000_000_003)
    expect(now()).toBe(1_700_000_000_003_000)
    vi.setSystemTime(1_699_999_000_000)
    expect(now()).toBe(1_699_999_000_000_000)
  })
})
