import type { AbstractSnapshot } from 'abstract-level'
import { MemoryLevel } from 'memory-level'
import { KeyIterator, detach } from './native-level.ts'
import type {
  Change,
  Encoded,
  NativeBatch,
  NativeIterator,
  NativeLevel,
  NativeRange,
  PrivateIterator,
} from './native-level.ts'
import { NOTHING_APPLIED } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'

/** How a memory-level keeps keys and values. */
export type StoreEncoding = 'buffer' | 'view' | 'utf8'

interface MemoryPrototype {
  _batch(this: object, operations: readonly MemoryOperation[], options: object): Promise<void>
  _iterator(this: object, options: object): PrivateIterator
  _snapshot(this: object, options: object): AbstractSnapshot
}

interface MemoryOperation {
  readonly type: 'put' | 'del'
  readonly key: Encoded
  readonly value?: Encoded
}

/** MemoryLevel's own methods, which a subclass overrides. */
export const memoryPrototype: MemoryPrototype = MemoryLevel.prototype as unknown as MemoryPrototype

/** A tree in memory as the state; nothing of the engine's own lies in it, so nothing must be hidden. */
export class NativeMemory implements NativeLevel {
  readonly #level: MemoryLevel<unknown, unknown>
  readonly #encoding: StoreEncoding
  readonly #snapshots = new WeakMap<AbstractSnapshot, AppliedPosition>()
  #position: AppliedPosition = NOTHING_APPLIED

  constructor(level: MemoryLevel<unknown, unknown>, encoding: StoreEncoding) {
    this.#level = level
    this.#encoding = encoding
  }

  batch(): NativeBatch {
    return new MemoryBatch(this.#level, this.#encoding, (position) => {
      this.#position = position
    })
  }

  keys(range: NativeRange): NativeIterator {
    const options = { ...range, keys: true, values: false }
    const iterator = memoryPrototype._iterator.call(this.#level, options)
    detach(this.#level, iterator)
    return new KeyIterator(iterator, range.limit)
  }

  async applied(): Promise<AppliedPosition> {
    return this.#position
  }

  appliedAt(snapshot: AbstractSnapshot): AppliedPosition {
    return this.#snapshots.get(snapshot) ?? NOTHING_APPLIED
  }

  /** A snapshot that remembers which position it shows. */
  snapshot(options: object): AbstractSnapshot {
    const snapshot = memoryPrototype._snapshot.call(this.#level, options)
    this.#snapshots.set(snapshot, this.#position)
    return snapshot
  }
}

class MemoryBatch implements NativeBatch {
  readonly #level: object
  readonly #encoding: StoreEncoding
  readonly #onWritten: (position: AppliedPosition) => void
  #operations: MemoryOperation[] = []

  constructor(level: object, encoding: StoreEncoding, onWritten: (position: AppliedPosition) => void) {
    this.#level = level
    this.#encoding = encoding
    this.#onWritten = onWritten
  }

  add(change: Change): void {
    const key = this.#own(change.key)
    if (change.value === undefined) this.#operations.push({ type: 'del', key })
    else this.#operations.push({ type: 'put', key, value: this.#own(change.value) })
  }

  async write(position: AppliedPosition): Promise<void> {
    const operations = this.#operations
    this.#operations = []
    // The tree is replaced at once, within this call; so are the position and what the next reader sees.
    const written = memoryPrototype._batch.call(this.#level, operations, {})
    this.#onWritten(position)
    await written
  }

  /** The tree keeps what it gets for long: a copy of its own, not a slice that holds a whole slab. */
  #own(data: Encoded): Encoded {
    if (this.#encoding === 'utf8') return typeof data === 'string' ? data : Buffer.from(data).toString('utf8')
    const copy = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data)
    return this.#encoding === 'view' ? new Uint8Array(copy.buffer, copy.byteOffset, copy.length) : copy
  }
}
