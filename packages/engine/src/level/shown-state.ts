/**
 * Reads of a database while data may be loaded beside its log, or is in LevelDB before the device has it: of the present state, or of the
 * one that is shown instead. And who still holds LevelDB open: it can be closed only when nobody does.
 */
import type { AbstractLevel, AbstractSnapshot } from 'abstract-level'
import { EmptyIterator, EmptySnapshot } from './empty-state.ts'
import { classicPrototype, detach, openIterator } from './native-level.ts'
import type { Encoded, NativeRange } from './native-level.ts'
import { SharedSnapshot, forIterator, frozenState, readingFrom } from './read-freeze.ts'
import type { AppliedPosition } from '../reserved-keys.ts'

/** What a read says of itself. */
export interface ReadOptions {
  readonly snapshot?: AbstractSnapshot | undefined
}

/** Shows readers the state of one moment, until it is released. */
export interface ReadFreeze {
  readonly snapshot: AbstractSnapshot
  readonly release: () => void
}

/** All reads of one database object. */
export class ShownState {
  readonly #level: AbstractLevel<unknown>
  /** What readers see instead of the present state. */
  #shown: AbstractSnapshot | undefined
  /** Iterators and snapshots of LevelDB that are open. */
  #heldCount = 0
  /** What was shown: each ends when nobody reads it any more. */
  readonly #lettingGo = new Set<Promise<void>>()

  constructor(level: AbstractLevel<unknown>) {
    this.#level = level
  }

  /** Shows the present state from now on. */
  freeze(): ReadFreeze {
    return this.#show(frozenState(this.#level))
  }

  /** Shows a state without entries from now on, so that no reader needs LevelDB; `undefined` while one holds it. */
  freezeEmpty(position: AppliedPosition): ReadFreeze | undefined {
    const isHeld = this.#shown !== undefined || this.#heldCount > 0 || this.#lettingGo.size > 0
    if (isHeld) return undefined
    const snapshot = new EmptySnapshot(position, this.#level)
    detach(this.#level, snapshot)
    return this.#show(snapshot)
  }

  /** Shows the present state until the function is called. Where one of before is shown already, that stays. */
  keep(): () => void {
    if (this.#shown !== undefined) return NOTHING
    return this.freeze().release
  }

  /** LevelDB must not be closed while a snapshot of it is open. */
  async letGo(): Promise<void> {
    await Promise.all(this.#lettingGo)
    await this.#shown?.close()
    this.#shown = undefined
  }

  iterator(options: NativeRange): unknown {
    const { snapshot } = options
    const seen = snapshot ?? this.#shown
    if (seen instanceof EmptySnapshot) return new EmptyIterator(this.#level, options)
    const isNamed = seen === undefined || seen === snapshot
    const seenBy = isNamed ? options : { ...options, snapshot: forIterator(seen) }
    return this.#held(openIterator(this.#level, seenBy))
  }

  get(key: Encoded, options: ReadOptions): Promise<unknown> {
    return this.#read(options, NOTHING, (seen) => classicPrototype._get.call(this.#level, key, seen))
  }

  getSync(key: Encoded, options: ReadOptions): unknown {
    const seen = options.snapshot ?? this.#shown
    if (seen instanceof EmptySnapshot) return undefined
    const seenBy = seen === options.snapshot ? options : { ...options, snapshot: seen }
    return classicPrototype._getSync.call(this.#level, key, seenBy)
  }

  getMany(keys: readonly Encoded[], options: ReadOptions): Promise<unknown[]> {
    return this.#read(
      options,
      () => keys.map(NOTHING),
      (seen) => classicPrototype._getMany.call(this.#level, keys, seen),
    )
  }

  has(key: Encoded, options: ReadOptions): Promise<boolean> {
    return this.#read(options, ABSENT, (seen) => classicPrototype._has.call(this.#level, key, seen))
  }

  hasMany(keys: readonly Encoded[], options: ReadOptions): Promise<boolean[]> {
    return this.#read(
      options,
      () => keys.map(ABSENT),
      (seen) => classicPrototype._hasMany.call(this.#level, keys, seen),
    )
  }

  snapshot(options: { readonly owner: AbstractLevel<unknown> }): AbstractSnapshot {
    const shown = this.#shown
    if (shown instanceof EmptySnapshot) return new EmptySnapshot(shown.position, options.owner)
    if (shown !== undefined) return this.#held(new SharedSnapshot(shown, options.owner))
    return this.#held(classicPrototype._snapshot.call(this.#level, options))
  }

  #show(snapshot: AbstractSnapshot): ReadFreeze {
    this.#shown = snapshot
    const release = (): void => {
      // Another may have taken its place.
      if (this.#shown === snapshot) this.#shown = undefined
      // Reads that have it go on; it is let go after the last of them.
      const closed = snapshot.close().finally(() => this.#lettingGo.delete(closed))
      this.#lettingGo.add(closed)
    }
    return { snapshot, release }
  }

  #read<Result>(
    options: ReadOptions,
    ofNothing: () => Result,
    read: (options: ReadOptions) => Promise<Result>,
  ): Promise<Result> {
    const seen = options.snapshot ?? this.#shown
    if (seen instanceof EmptySnapshot) return Promise.resolve(ofNothing())
    if (seen === undefined || seen === options.snapshot) return read(options)
    return readingFrom(seen, () => read({ ...options, snapshot: seen }))
  }

  #held<Resource extends object>(resource: Resource): Resource {
    const closable = resource as Resource & { _close(): Promise<void> }
    const close = closable._close.bind(closable)
    this.#heldCount += 1
    closable._close = async () => {
      await close()
      this.#heldCount -= 1
    }
    return resource
  }
}

const NOTHING = (): undefined => undefined
const ABSENT = (): boolean => false
