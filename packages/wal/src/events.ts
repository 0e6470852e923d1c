import type { TimberlineError } from './errors.ts'
import type { OpenedLog } from './writing/log-opening.ts'
import type { Lsn } from './records/record.ts'
import type { SegmentSummary } from './segments/segment-file.ts'

/** What happened to a log; told after the fact is durable. */
export type WalEvent =
  | { readonly type: 'log.opened'; readonly opened: OpenedLog }
  | { readonly type: 'segment.created'; readonly segmentNumber: number; readonly firstLsn: Lsn }
  | { readonly type: 'segment.sealed'; readonly summary: SegmentSummary; readonly durationMs: number }
  | { readonly type: 'segments.removed'; readonly names: readonly string[] }
  | { readonly type: 'log.failed'; readonly error: TimberlineError }
  | { readonly type: 'log.closed'; readonly lastLsn: Lsn }

/** Calls listeners so that none can slow or break the log: what one throws becomes an uncaught exception of its own. */
export class Listeners {
  readonly #listeners = new Set<(event: WalEvent) => void>()

  add(listener: (event: WalEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  emit(event: WalEvent): void {
    for (const listener of this.#listeners) callSafely(() => listener(event))
  }
}

/** Runs somebody else's function; what it throws is thrown again outside the caller's stack. */
export function callSafely(call: () => void): void {
  try {
    call()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
