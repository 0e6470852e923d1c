import type { AbstractLevel, AbstractSnapshot } from 'abstract-level'
import { ClassicLevel } from 'classic-level'
import { EmptySnapshot } from './empty-state.ts'
import { engineError } from '../errors.ts'
import { APPLIED_KEY, RESERVED_FLOOR, decodeApplied, encodeApplied, isReservedKey } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'

/** A key or value as abstract-level hands it to an implementation. */
export type Encoded = string | Uint8Array

/** Changes on their way into the state; kept from the call until the state has them, so never the caller's own memory. */
export interface Change {
  readonly key: Encoded
  /** `undefined` deletes the key. */
  readonly value: Encoded | undefined
}

/** Changes gathered to go into the state as one. */
export interface NativeBatch {
  add(change: Change): void
  /** Puts them in together with the position they lead to; the batch can be filled again afterwards. */
  write(position: AppliedPosition): Promise<void>
}

/** Walks entries in byte order. */
export interface NativeIterator {
  /** At most this many; an empty array is the end. */
  nextKeys(count: number): Promise<readonly Encoded[]>
  close(): Promise<void>
}

/** Options of a range, encoded, as abstract-level hands them to `_clear` and `_iterator`; `lte` counts before `lt`. */
export interface NativeRange {
  gt?: Encoded
  gte?: Encoded
  lt?: Encoded
  lte?: Encoded
  readonly reverse: boolean
  readonly limit: number
  readonly keyEncoding: string
  readonly snapshot?: AbstractSnapshot | undefined
}

/** The database class below ours, past its public methods: these run no hooks and emit no events a second time. */
export interface NativeLevel {
  batch(): NativeBatch
  keys(range: NativeRange): NativeIterator
  /** How far the log had been applied when the snapshot was taken. */
  appliedAt(snapshot: AbstractSnapshot): AppliedPosition
}

/** What abstract-level's classes have and its declarations leave out. */
export interface PrivateIterator {
  _seek(target: Encoded, options: object): void
  _nextv(count: number, options: object): Promise<[Encoded, Encoded | undefined][]>
  _close(): Promise<void>
}

interface PrivateBatch {
  _put(key: Encoded, value: Encoded): void
  _del(key: Encoded): void
  _clear(): void
  _write(options: { readonly sync: boolean }): Promise<void>
}

interface ClassicPrototype {
  _open(this: object, options: object): Promise<void>
  _close(this: object): Promise<void>
  _chainedBatch(this: object): PrivateBatch
  _iterator(this: object, options: object): PrivateIterator
  _get(this: object, key: Encoded, options: object): Promise<Uint8Array | undefined>
  _getSync(this: object, key: Encoded, options: object): Uint8Array | undefined
  _getMany(this: object, keys: readonly Encoded[], options: object): Promise<unknown[]>
  _has(this: object, key: Encoded, options: object): Promise<boolean>
  _hasMany(this: object, keys: readonly Encoded[], options: object): Promise<boolean[]>
  _snapshot(this: object, options: object): AbstractSnapshot
}

/** ClassicLevel's own methods, which a subclass overrides. */
export const classicPrototype: ClassicPrototype = ClassicLevel.prototype as unknown as ClassicPrototype

const BUFFERS = Object.freeze({ keyEncoding: 'buffer', valueEncoding: 'buffer' })
/** LevelDB's own log is not what commits rest on: a checkpoint flushes it, and an open removes it. */
const UNSYNCED = Object.freeze({ sync: false })
const READ_AHEAD_BYTES = 256 * 1024

/** LevelDB as the state of a home: the applied position lives in it, under a reserved key. */
export class NativeClassic implements NativeLevel {
  /** LevelDB is closed below a database that may be open: what the binding were asked now would end the process. */
  isClosed = false
  readonly #level: ClassicLevel<unknown, unknown>

  constructor(level: ClassicLevel<unknown, unknown>) {
    this.#level = level
  }

  batch(): NativeBatch {
    const batch = classicPrototype._chainedBatch.call(this.#level)
    detach(this.#level, batch)
    return new ClassicBatch(batch)
  }

  keys(range: NativeRange): NativeIterator {
    this.#refuseClosed()
    const options = {
      ...range,
      ...BUFFERS,
      keys: true,
      values: false,
      fillCache: false,
      highWaterMarkBytes: READ_AHEAD_BYTES,
    }
    const iterator = openIterator(this.#level, options)
    detach(this.#level, iterator)
    return new KeyIterator(iterator, range.limit)
  }

  /** All between two keys, both included, as bytes; the present state, or the one of a snapshot. */
  entries(
    { least, greatest }: { readonly least: Buffer; readonly greatest: Buffer },
    snapshot?: AbstractSnapshot,
  ): PrivateIterator {
    this.#refuseClosed()
    const iterator = openIterator(this.#level, {
      gte: least,
      lte: greatest,
      reverse: false,
      limit: -1,
      ...BUFFERS,
      keys: true,
      values: true,
      fillCache: false,
      highWaterMarkBytes: READ_AHEAD_BYTES,
      snapshot,
    } as NativeRange)
    detach(this.#level, iterator)
    return iterator
  }

  /** `compactRange` also while the database opens or closes: the public method asks for its status, and refuses. */
  async compactRange(start: Buffer, end: Buffer, options: { keyEncoding: 'buffer' }): Promise<void> {
    this.#refuseClosed()
    const level = this.#level
    const open: ClassicLevel<unknown, unknown> = Object.create(level, {
      status: { value: 'open' },
      keyEncoding: { value: (encoding: 'buffer') => level.keyEncoding(encoding) },
    })
    await ClassicLevel.prototype.compactRange.call(open, start, end, options)
  }

  async applied(): Promise<AppliedPosition> {
    this.#refuseClosed()
    return decodeApplied(await classicPrototype._get.call(this.#level, APPLIED_KEY, BUFFERS))
  }

  appliedAt(snapshot: AbstractSnapshot): AppliedPosition {
    if (snapshot instanceof EmptySnapshot) return snapshot.position
    this.#refuseClosed()
    const options = { ...BUFFERS, snapshot }
    return decodeApplied(classicPrototype._getSync.call(this.#level, APPLIED_KEY, options))
  }

  #refuseClosed(): void {
    if (!this.isClosed) return
    throw engineError('ENGINE_STATE_CLOSED', 'LevelDB is closed while data is loaded')
  }
}

/** An iterator of a ClassicLevel that does not see the engine's own zone. */
export function openIterator(level: object, range: NativeRange): PrivateIterator {
  const shown = hideReserved(range)
  const iterator = classicPrototype._iterator.call(level, shown)
  // As everywhere, a target beyond the last key is a place at the end, not an error; no string reaches so far.
  if (shown !== range && range.keyEncoding !== 'utf8') {
    const seek = iterator._seek.bind(iterator)
    iterator._seek = (target, options) => {
      seek(typeof target !== 'string' && isReservedKey(target) ? RESERVED_FLOOR : target, options)
    }
  }
  return iterator
}

/**
 * A range that ends before the engine's own zone. Its floor is never a key, so the bound may include it, and LevelDB compares
 * bytes, so the bound may be a buffer where keys are asked for as strings.
 */
function hideReserved(range: NativeRange): NativeRange {
  const bound = range.lte ?? range.lt
  const isBelow = bound !== undefined && (typeof bound === 'string' || !isReservedKey(bound))
  if (isBelow) return range
  const shown = { ...range, lte: RESERVED_FLOOR }
  delete shown.lt
  return shown
}

class ClassicBatch implements NativeBatch {
  readonly #batch: PrivateBatch
  #written = false

  constructor(batch: PrivateBatch) {
    this.#batch = batch
  }

  add(change: Change): void {
    if (this.#written) {
      this.#batch._clear()
      this.#written = false
    }
    if (change.value === undefined) this.#batch._del(change.key)
    else this.#batch._put(change.key, change.value)
  }

  write(position: AppliedPosition): Promise<void> {
    if (this.#written) this.#batch._clear()
    this.#written = true
    this.#batch._put(APPLIED_KEY, encodeApplied(position))
    return this.#batch._write(UNSYNCED)
  }
}

/** Keys of an iterator that its database does not close: whoever uses it keeps the database open instead. */
export class KeyIterator implements NativeIterator {
  readonly #iterator: PrivateIterator
  #left: number

  constructor(iterator: PrivateIterator, limit: number) {
    this.#iterator = iterator
    this.#left = limit < 0 ? Number.MAX_SAFE_INTEGER : limit
  }

  async nextKeys(count: number): Promise<readonly Encoded[]> {
    const wanted = Math.min(count, this.#left)
    if (wanted === 0) return []
    const entries = await this.#iterator._nextv(wanted, {})
    this.#left -= entries.length
    return entries.map(([key]) => key)
  }

  close(): Promise<void> {
    return this.#iterator._close()
  }
}

/** Takes from the database what it would close at the beginning of its own close, while we still need it. */
export function detach(level: object, resource: object): void {
  const owner = level as AbstractLevel<unknown> & { detachResource(resource: object): void }
  owner.detachResource(resource)
}
