import { ClassicLevel } from 'classic-level'
import { engineError } from '../errors.ts'
import { openIterator } from './native-level.ts'
import type { NativeRange } from './native-level.ts'

/**
 * A Level database to read: gets, iterators, snapshots, sublevels and encodings are those of classic-level, and every write is
 * refused with ENGINE_READ_ONLY. Its content changes by replay alone, always from one record's state to another's.
 */
export class ReadOnlyLevel<K = string, V = string> extends ClassicLevel<K, V> {
  /** @internal abstract-level's private interface, as all below. */
  async _put(): Promise<never> {
    throw refusal()
  }

  /** @internal */
  async _del(): Promise<never> {
    throw refusal()
  }

  /** @internal */
  async _batch(): Promise<never> {
    throw refusal()
  }

  /** @internal */
  async _clear(): Promise<never> {
    throw refusal()
  }

  /** @internal */
  _chainedBatch(): never {
    throw refusal()
  }

  /** @internal The applied position is no entry of the user's. */
  _iterator(options: NativeRange): unknown {
    return openIterator(this, options)
  }
}

function refusal(): Error {
  return engineError('ENGINE_READ_ONLY', 'a standby cannot be written to')
}
