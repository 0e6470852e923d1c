import type { Operation } from '../records/transaction-codec.ts'
import { keyText } from '../commit/read-set.ts'
import type { KeyText } from '../commit/read-set.ts'

/** A write of a transaction that is not committed yet; no value is a deletion. */
export interface OwnWrite {
  readonly key: Buffer
  readonly value: Buffer | undefined
}

/** A transaction's own writes: the last one of each key. */
export class Overlay {
  readonly #writes = new Map<KeyText, OwnWrite>()
  #sorted: readonly OwnWrite[] | undefined

  get isEmpty(): boolean {
    return this.#writes.size === 0
  }

  get(key: Uint8Array): OwnWrite | undefined {
    return this.#writes.size === 0 ? undefined : this.#writes.get(keyText(key))
  }

  /** Copies key and value: the caller may reuse its memory. */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#set({ key: Buffer.from(key), value: Buffer.from(value) })
  }

  del(key: Uint8Array): void {
    this.#set({ key: Buffer.from(key), value: undefined })
  }

  /** All writes in key order, as they are now. */
  sorted(): readonly OwnWrite[] {
    this.#sorted ??= [...this.#writes.values()].toSorted((a, b) => Buffer.compare(a.key, b.key))
    return this.#sorted
  }

  /** What to commit. */
  operations(): Operation[] {
    return [...this.#writes.values()].map(({ key, value }) =>
      value === undefined ? { type: 'del', key } : { type: 'put', key, value },
    )
  }

  #set(write: OwnWrite): void {
    this.#writes.set(keyText(write.key), write)
    this.#sorted = undefined
  }
}
