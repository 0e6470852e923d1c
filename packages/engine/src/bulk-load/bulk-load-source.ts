import type { Change } from '../level/native-level.ts'

/** Where a load comes from. */
export interface BulkSource {
  readonly entries: Iterable<unknown> | AsyncIterable<unknown>
  /** Checks and encodes one entry. */
  encode(entry: unknown): Change
}

/** Where a load goes. */
export interface BulkSink {
  /** Whether it wants to be flushed before it takes more. */
  readonly isFull: boolean
  add(change: Change): void
  flush(): Promise<void>
  end(): Promise<void>
}

/** Takes all of a source into the state; what the source throws, or the signal says, ends it. */
export async function takeAll(source: BulkSource, writer: BulkSink, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { entries } = source
  if (Symbol.asyncIterator in entries) {
    const iterator = entries[Symbol.asyncIterator]()
    await takeAsync(iterator, signal, async (entry) => {
      writer.add(source.encode(entry))
      if (writer.isFull) await writer.flush()
    })
  } else {
    // Without a promise for each entry, which would cost more than the entry.
    for (const entry of entries) {
      writer.add(source.encode(entry))
      if (!writer.isFull) continue
      await writer.flush()
      signal.throwIfAborted()
    }
  }
  await writer.end()
}

/** A source may never answer again: an abort does not wait for it. */
async function takeAsync(
  iterator: AsyncIterator<unknown>,
  signal: AbortSignal,
  take: (entry: unknown) => Promise<void>,
): Promise<void> {
  let refuse: (reason: unknown) => void = () => undefined
  const onAbort = (): void => {
    refuse(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  let isDone = false
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        refuse = reject
        iterator.next().then(resolve, (error: unknown) => {
          isDone = true
          reject(error)
        })
      })
      isDone = next.done === true
      if (next.done === true) return
      await take(next.value)
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // It is told, not waited for; what it says to that changes nothing for the load.
    if (!isDone) void iterator.return?.().catch(() => undefined)
  }
}
