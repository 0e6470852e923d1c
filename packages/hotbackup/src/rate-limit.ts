/**
 * A leaky bucket on a schedule: every byte taken moves the earliest time of the next one. Idle time earns at most one
 * burst, so that a pause (a slow flush, say) is not followed by a rush.
 */
export interface RateLimit {
  /** Resolves when `bytes` may be moved; rejects with the signal's reason when it aborts first. */
  take(bytes: number): Promise<void>
}

/** `bytesPerS` undefined = no limit. The clock is an argument so that tests need not wait. */
export interface RateLimitOptions {
  readonly bytesPerS: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly nowMs?: () => number
  readonly sleepMs?: (ms: number, signal: AbortSignal | undefined) => Promise<void>
}

/** How much idle time may be caught up with, in milliseconds of allowance. */
const BURST_MS = 100

/** Makes a limit shared by everything that calls its `take`. */
export function rateLimit(options: RateLimitOptions): RateLimit {
  const { bytesPerS, signal } = options
  if (bytesPerS === undefined) {
    return {
      take: async () => {
        signal?.throwIfAborted()
      },
    }
  }
  const nowMs = options.nowMs ?? (() => performance.now())
  const sleepMs = options.sleepMs ?? sleep
  let freeAtMs = nowMs()
  return {
    async take(bytes) {
      signal?.throwIfAborted()
      const now = nowMs()
      const beginMs = Math.max(freeAtMs, now - BURST_MS)
      freeAtMs = beginMs + (bytes / bytesPerS) * 1000
      if (beginMs > now) await sleepMs(beginMs - now, signal)
    },
  }
}

async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
