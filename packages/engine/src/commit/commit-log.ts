import type { Flushed, RecordKind, RecordPlace } from '@timberline/wal'

/** What the commit path needs of a log. `Log` of @timberline/wal is one. */
export interface CommitLog {
  readonly nextLsn: number
  readonly durableLsn: number
  append(payload: Uint8Array, options: { readonly kind: RecordKind; readonly durable: boolean }): RecordPlace
  sync(): Promise<number>
  close(): Promise<void>
}

/** A log that keeps nothing: it gives commits their order and times, for a database that lives in memory alone. */
export class VolatileLog implements CommitLog {
  readonly #onFlushed: (flushed: Flushed) => void
  #nextLsn: number
  #lastCommittedAtUs: number
  #scheduled = false

  constructor(after: RecordPlace, onFlushed: (flushed: Flushed) => void) {
    this.#nextLsn = after.lsn + 1
    this.#lastCommittedAtUs = after.committedAtUs
    this.#onFlushed = onFlushed
  }

  get nextLsn(): number {
    return this.#nextLsn
  }

  get durableLsn(): number {
    return this.#nextLsn - 1
  }

  append(): RecordPlace {
    const committedAtUs = Math.max(Date.now() * 1000, this.#lastCommittedAtUs + 1)
    const lsn = this.#nextLsn
    this.#lastCommittedAtUs = committedAtUs
    this.#nextLsn += 1
    if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(() => {
        this.#flush()
      })
    }
    return { lsn, committedAtUs }
  }

  async sync(): Promise<number> {
    this.#flush()
    return this.durableLsn
  }

  async close(): Promise<void> {
    await this.sync()
  }

  #flush(): void {
    this.#scheduled = false
    this.#onFlushed({ writtenLsn: this.durableLsn, durableLsn: this.durableLsn })
  }
}
