import { AbstractLevel } from 'abstract-level'
import type { AbstractIterator, AbstractSnapshot } from 'abstract-level'
import { engineError } from '../errors.ts'
import type { EncodedOperation } from '../commit/engine.ts'
import { Overlay } from './overlay.ts'
import { ReadSet } from '../commit/read-set.ts'
import { MergedIterator } from './transaction-iterator.ts'
import type { TransactionRange } from './transaction-iterator.ts'

/** The database under a transaction, as bytes. */
export interface TransactionBase {
  get(key: Buffer, options: BaseReadOptions): Promise<Buffer | undefined>
  getSync(key: Buffer, options: BaseReadOptions): Buffer | undefined
  getMany(keys: Buffer[], options: BaseReadOptions): Promise<(Buffer | undefined)[]>
  iterator(options: TransactionRange & BaseReadOptions): AbstractIterator<unknown, Buffer, Buffer>
}

/** Bytes in and out, at the transaction's snapshot. */
export interface BaseReadOptions {
  readonly snapshot: AbstractSnapshot
  readonly keyEncoding: 'buffer'
  readonly valueEncoding: 'buffer'
}

/** Encodings of the database that a transaction belongs to. */
export interface TransactionEncodings {
  readonly keyEncoding?: unknown
  readonly valueEncoding?: unknown
}

/** `getSync` is missing in the declaration of manifests. */
const MANIFEST: object = { encodings: { buffer: true }, has: true, getSync: true, seek: true }

interface SublevelOperation extends EncodedOperation {
  readonly keyEncoding: string
  readonly sublevel?: {
    prefixKey(key: Buffer | string, format: string, local: boolean): Buffer | string
  } | null
}

/**
 * A transaction in the making: a database of its own for the length of one function. It shows the state at its beginning and
 * its own writes on top; what it read is remembered, and checked when it commits. Everything abstract-level offers works in it:
 * encodings, `getMany`, iterators, `clear`, sublevels (`tx.sublevel('a')`, or `{ sublevel }` of the database in `tx.batch`).
 */
export class TransactionLevel<K = string, V = string> extends AbstractLevel<Buffer, K, V> {
  readonly #base: TransactionBase
  readonly #options: BaseReadOptions
  readonly #overlay = new Overlay()
  readonly #reads = new ReadSet()

  /** Transactions come from `db.transaction`. */
  constructor(base: TransactionBase, snapshot: AbstractSnapshot, encodings: TransactionEncodings) {
    super(MANIFEST, encodings as object)
    this.#base = base
    this.#options = { snapshot, keyEncoding: 'buffer', valueEncoding: 'buffer' }
  }

  /** @internal */
  get overlay(): Overlay {
    return this.#overlay
  }

  /** @internal */
  get reads(): ReadSet {
    return this.#reads
  }

  async _get(key: Buffer): Promise<Buffer | undefined> {
    const own = this.#overlay.get(key)
    if (own !== undefined) return own.value
    this.#reads.addKey(key)
    return this.#base.get(key, this.#options)
  }

  _getSync(key: Buffer): Buffer | undefined {
    const own = this.#overlay.get(key)
    if (own !== undefined) return own.value
    this.#reads.addKey(key)
    return this.#base.getSync(key, this.#options)
  }

  async _getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const own = keys.map((key) => this.#overlay.get(key))
    const missing = keys.filter((_, index) => own[index] === undefined)
    for (const key of missing) this.#reads.addKey(key)
    const found = missing.length === 0 ? [] : await this.#base.getMany(missing, this.#options)
    let next = 0
    return own.map((write) => (write === undefined ? found[next++] : write.value))
  }

  async _has(key: Buffer): Promise<boolean> {
    return (await this._get(key)) !== undefined
  }

  async _hasMany(keys: readonly Buffer[]): Promise<boolean[]> {
    return (await this._getMany(keys)).map((value) => value !== undefined)
  }

  async _put(key: Buffer, value: Buffer): Promise<void> {
    this.#overlay.put(key, value)
  }

  async _del(key: Buffer): Promise<void> {
    this.#overlay.del(key)
  }

  async _batch(operations: readonly SublevelOperation[]): Promise<void> {
    for (const operation of operations) {
      const key = absoluteKey(operation)
      if (operation.type === 'put' && operation.value !== undefined) {
        this.#overlay.put(key, bytesOf(operation.value))
      } else this.#overlay.del(key)
    }
  }

  async _clear(options: TransactionRange): Promise<void> {
    // Through the public method, which gives the iterator its encodings.
    const iterator = this.keys<Buffer>({ ...options, keyEncoding: 'buffer' } as object)
    try {
      for (;;) {
        const keys = await iterator.nextv(1000)
        if (keys.length === 0) return
        for (const key of keys) this.#overlay.del(key)
      }
    } finally {
      await iterator.close()
    }
  }

  _iterator(options: TransactionRange): MergedIterator {
    if (options.snapshot !== undefined && options.snapshot !== null) {
      throw engineError('ENGINE_OPTION_INVALID', 'a transaction reads its own snapshot only')
    }
    // The merge needs the keys to compare, and may skip entries, so neither is left to the iterator below.
    const below = this.#base.iterator({
      ...options,
      ...this.#options,
      limit: -1,
      keys: true,
      values: options.values !== false,
    })
    return new MergedIterator(this as unknown as AbstractLevel<unknown>, {
      below,
      options,
      overlay: this.#overlay,
      reads: this.#reads,
    })
  }
}

/** Operations on a sublevel of the database, not of the transaction, come without their prefix. */
function absoluteKey(operation: SublevelOperation): Buffer {
  const { key, sublevel, keyEncoding } = operation
  if (sublevel === undefined || sublevel === null) return bytesOf(key)
  return bytesOf(sublevel.prefixKey(typeof key === 'string' ? key : bytesOf(key), keyEncoding, false))
}

function bytesOf(data: string | Uint8Array): Buffer {
  if (typeof data === 'string') return Buffer.from(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
