/**
 * Whether somebody writes to a home, as its owner tells: it decides whether a copy goes at the limit for company. Nobody waits for an
 * answer but the first who asks, so that an owner that is stopped or slow costs the copy a second and no more.
 */
import { meterCommits } from '@timberline/engine'
import type { MeteredCommits } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'

/** Knows of the last commits of a home. */
export interface WriterWatch {
  /** Whether there were commits of late, or an owner that does not tell. */
  isWriting(): Promise<boolean>
  close(): void
}

export interface WriterWatchOptions {
  readonly home: string
  /** How long the first look lasts, which the first who asks waits for. Default 50. */
  readonly firstSpanMs?: number
  /** Default: the owner's meter, over its control socket. */
  readonly meter?: (home: string) => Promise<MeteredCommits>
  readonly nowMs?: () => number
  readonly sleepMs?: (ms: number) => Promise<void>
}

/** How long an answer is waited for. */
const TIMEOUT_MS = 1000
/** How often the owner is asked; somebody may also begin to write, or open the home, while it is copied. */
const LOOK_EVERY_MS = 250
/** The first look covers so much by default: a writer of some 20 commits a second is seen at once. */
const FIRST_SPAN_MS = 50
/** So long after the last commit that was seen, the home counts as written to. */
const QUIET_MS = 1000

/** Begins to watch. */
export function watchWriters(options: WriterWatchOptions): WriterWatch {
  const nowMs = options.nowMs ?? (() => performance.now())
  const sleepMs = options.sleepMs ?? ((ms: number) => new Promise((resolve) => setTimeout(resolve, ms)))
  const open = options.meter ?? ((home: string) => meterCommits(home, { timeoutMs: TIMEOUT_MS }))
  const firstSpanMs = options.firstSpanMs ?? FIRST_SPAN_MS
  let meter: MeteredCommits | undefined
  let isClosed = false
  let commitCount = 0
  let lookedAtMs = nowMs()
  let writtenAtMs = -Infinity
  let looking: Promise<void> | undefined

  const look = async (): Promise<void> => {
    try {
      if (meter === undefined) {
        meter = await open(options.home)
        commitCount = 0
        await sleepMs(firstSpanMs)
      }
      const report = await meter.report()
      if (report.commitCount > commitCount) writtenAtMs = nowMs()
      commitCount = report.commitCount
    } catch (error) {
      meter?.close()
      meter = undefined
      const isNobody = error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING'
      // Somebody has it open and does not tell: taken for a writer, because a copy that is late does less harm than one that disturbs.
      if (!isNobody) writtenAtMs = nowMs()
    }
    if (isClosed) meter?.close()
  }
  const begin = (): Promise<void> => {
    lookedAtMs = nowMs()
    const begun = look().finally(() => (looking = undefined))
    looking = begun
    return begun
  }
  const first = begin()
  return {
    async isWriting() {
      await first
      if (looking === undefined && !isClosed && nowMs() - lookedAtMs >= LOOK_EVERY_MS) void begin()
      return nowMs() - writtenAtMs <= QUIET_MS
    },
    close() {
      isClosed = true
      if (looking === undefined) meter?.close()
    },
  }
}
