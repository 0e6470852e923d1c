import type { HotbackupListener } from '../events.ts'
import { flushShare } from './flush-share.ts'
import type { CompletedOptions } from '../options.ts'
import { rateLimit } from './rate-limit.ts'
import type { RateLimit } from './rate-limit.ts'
import type { WriterWatch } from './writer-watch.ts'

/**
 * The limit of one backup: the rate that was asked for, and, while somebody writes to the home, the rate for company. Two, because
 * whoever sets the first wants it kept whatever happens, and the second must not slow a copy that disturbs nobody. With neither, a copy in
 * company keeps to its share of the disk.
 *
 * @param writers - absent when nobody can write, or it does not matter
 */
export function copyLimit(
  options: Pick<CompletedOptions, 'bytesPerS' | 'bytesPerSBesideWriters' | 'onEvent' | 'signal'>,
  writers?: WriterWatch,
): RateLimit {
  const { bytesPerS, bytesPerSBesideWriters, signal } = options
  const always = rateLimit({ bytesPerS, signal })
  if (writers === undefined) return always
  if (bytesPerSBesideWriters === undefined) return flushShare({ applies: () => writers.isWriting(), signal })
  const applies = told(writers, { bytesPerS: bytesPerSBesideWriters, onEvent: options.onEvent })
  const inCompany = rateLimit({ bytesPerS: bytesPerSBesideWriters, signal, applies })
  return {
    take: async (bytes) => always.take(await inCompany.take(bytes)),
    // Synced once: the second finds nothing left to do.
    settle: async (bytes, sync) => {
      const isDurable = await inCompany.settle(bytes, sync)
      return (await always.settle(bytes, sync)) || isDurable
    },
    get isSlicing() {
      return inCompany.isSlicing || always.isSlicing
    },
    get waitedMs() {
      return always.waitedMs + inCompany.waitedMs
    },
  }
}

/** Tells when the limit for company begins to hold, and when it ends. */
function told(
  writers: WriterWatch,
  { bytesPerS, onEvent }: { readonly bytesPerS: number; readonly onEvent: HotbackupListener },
): () => Promise<boolean> {
  let wasLimited = false
  return async () => {
    const isLimited = await writers.isWriting()
    if (isLimited !== wasLimited)
      onEvent(isLimited ? { type: 'rate.limited', bytesPerS } : { type: 'rate.lifted' })
    wasLimited = isLimited
    return isLimited
  }
}
