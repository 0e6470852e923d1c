/** When a copy takes a home for one that is written to; with an owner that answers as told, and a clock that is moved by hand. */
import { TimberlineError } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { watchWriters, type WriterWatch } from '../src/pace/writer-watch.ts'

const nobody = new TimberlineError('nobody', {
  code: 'ENGINE_NOT_RUNNING',
  kind: 'unavailable',
  hint: '',
  details: {},
})

/** An owner whose commits are counted by hand. */
function owner(): {
  commitCount: number
  state: 'open' | 'closed' | 'silent'
  asked: number
  now: number
  closed: number
  watch: () => WriterWatch
} {
  const facts = {
    commitCount: 0,
    state: 'open' as 'open' | 'closed' | 'silent',
    asked: 0,
    now: 0,
    closed: 0,
    watch: () =>
      watchWriters({
        home: '',
        nowMs: () => facts.now,
        sleepMs: async () => undefined,
        meter: async () => {
          if (facts.state === 'closed') throw nobody
          return { report, close: () => (facts.closed += 1) }
        },
      }),
  }
  const report = async (): Promise<{ ms: number; commitCount: number; longestWaitMs: number }> => {
    facts.asked += 1
    if (facts.state !== 'open') throw new Error('no answer')
    return { ms: 1, commitCount: facts.commitCount, longestWaitMs: 0 }
  }
  return facts
}

/** Asks, and again when the answer to the first question has come. */
async function settledAnswer(watch: WriterWatch): Promise<boolean> {
  await watch.isWriting()
  await new Promise((resolve) => setImmediate(resolve))
  return watch.isWriting()
}

describe('watchWriters', () => {
  it('sees commits, and for a second that there are none', async () => {
    const facts = owner()
    facts.commitCount = 1
    const watch = facts.watch()
    expect(await watch.isWriting()).toBe(true)
    facts.now = 900
    expect(await settledAnswer(watch)).toBe(true)
    facts.now = 1800
    expect(await settledAnswer(watch)).toBe(false)
    facts.commitCount = 2
    facts.now = 3000
    expect(await settledAnswer(watch)).toBe(true)
    watch.close()
  })

  it('sees nobody in a home that is not open, and whoever opens it later', async () => {
    const facts = owner()
    facts.state = 'closed'
    const watch = facts.watch()
    expect(await watch.isWriting()).toBe(false)
    facts.state = 'open'
    facts.commitCount = 5
    facts.now = 300
    expect(await settledAnswer(watch)).toBe(true)
    watch.close()
  })

  it('sees nobody in a home that is open and not written to', async () => {
    const watch = owner().watch()
    expect(await watch.isWriting()).toBe(false)
    watch.close()
  })

  it('looks for as long as it is told to before the first answer', async () => {
    const spans: number[] = []
    const meter = (): ReturnType<NonNullable<Parameters<typeof watchWriters>[0]['meter']>> =>
      Promise.resolve({
        report: () => Promise.resolve({ ms: 1, commitCount: 0, longestWaitMs: 0 }),
        close: () => undefined,
      })
    const sleepMs = async (ms: number): Promise<void> => {
      spans.push(ms)
    }
    for (const firstSpanMs of [5, 50]) {
      const watch = watchWriters({ home: '', firstSpanMs, meter, sleepMs })
      await watch.isWriting()
      watch.close()
    }
    expect(spans).toEqual([5, 50])
  })

  it('takes an owner that does not answer for a writer', async () => {
    const facts = owner()
    facts.state = 'silent'
    const watch = facts.watch()
    expect(await watch.isWriting()).toBe(true)
    expect(facts.closed).toBe(1)
    watch.close()
  })

  it('asks four times a second at most, however often it is asked', async () => {
    const facts = owner()
    const watch = facts.watch()
    for (let each = 0; each < 1000; each += 1) {
      facts.now = each
      await settledAnswer(watch)
    }
    expect(facts.asked).toBe(4)
    watch.close()
  })

  it('lets go of the owner when it is closed, also before the answer', async () => {
    const facts = owner()
    const watch = facts.watch()
    watch.close()
    await watch.isWriting()
    expect(facts.closed).toBe(1)
    const settled = facts.watch()
    await settled.isWriting()
    settled.close()
    expect(facts.closed).toBe(2)
  })
})
