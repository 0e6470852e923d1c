/**
 * abstract-level's `put` is an async function: around the promise of the write it makes another, and it copies the options of each call. At
 * a hundred thousand puts a second that was an eighth of the calling thread. Where nobody has to be asked or told, a put is no more
 * than: encode, hand over. Anything else is left to abstract-level, in its order and its words.
 */
import type { Encoded } from '../level/native-level.ts'
import type { WriteOptions } from './write-options.ts'

/** Options of a put, as abstract-level takes them; `null` and what is no object count as none. */
export interface PlainPutOptions extends WriteOptions {
  readonly keyEncoding?: unknown
  readonly valueEncoding?: unknown
}

/** What abstract-level's databases have, and its declarations leave out or tell for single encodings only. */
interface Target {
  readonly status: string
  readonly hooks: { readonly prewrite: { readonly noop: boolean } }
  listenerCount(event: 'write'): number
  keyEncoding(encoding: unknown): { encode(key: unknown): Encoded }
  valueEncoding(encoding: unknown): { encode(value: unknown): Encoded }
  _put(key: Encoded, value: Encoded, options: WriteOptions): Promise<void>
}

const NO_OPTIONS: PlainPutOptions = Object.freeze({})

/** Puts of a database that is no sublevel, whose keys have no prefix. */
export class PlainPut {
  readonly #level: Target

  constructor(level: object) {
    this.#level = level as Target
  }

  /** `undefined` when the put is not plain, and nothing was done. */
  put(key: unknown, value: unknown, options: PlainPutOptions | undefined): Promise<void> | undefined {
    const level = this.#level
    const isPlain =
      level.status === 'open' &&
      level.hooks.prewrite.noop &&
      level.listenerCount('write') === 0 &&
      // A key or value that is missing is refused by abstract-level.
      (key ?? undefined) !== undefined &&
      (value ?? undefined) !== undefined
    if (!isPlain) return undefined
    const given = typeof options === 'object' && options !== null ? options : NO_OPTIONS
    try {
      const encodedKey = level.keyEncoding(given.keyEncoding).encode(key)
      return level._put(encodedKey, level.valueEncoding(given.valueEncoding).encode(value), given)
    } catch (error) {
      return Promise.reject(error)
    }
  }
}
