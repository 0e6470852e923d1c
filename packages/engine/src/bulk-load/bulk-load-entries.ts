import { engineError } from '../errors.ts'
import type { BulkSource } from './bulk-load-source.ts'
import type { Encoded } from '../level/native-level.ts'
import { isReservedKey } from '../reserved-keys.ts'

/** An entry to be loaded. */
export type BulkEntry<K, V> = readonly [K, V] | { readonly key: K; readonly value: V }

/** Options of `bulkLoad`. */
export interface BulkLoadOptions {
  /** Load into this sublevel, with its encodings. */
  readonly sublevel?: object | undefined
  /** Default: the database's, or the sublevel's. */
  readonly keyEncoding?: string | undefined
  readonly valueEncoding?: string | undefined
  /** Ends the load; nothing of it stays. */
  readonly signal?: AbortSignal | undefined
}

/** What `bulkLoad` did. */
export interface BulkLoadReport {
  readonly entries: number
  /** Of keys and values. */
  readonly bytes: number
  /** The record of the log that stands for the load; a backup from before it cannot be rolled forward past it. */
  readonly lsn: number
  readonly committedAtUs: number
  readonly ms: number
}

/** What abstract-level's classes have and its declarations leave out. */
interface Target {
  readonly db?: object
  keyEncoding(encoding: unknown): Encoding
  valueEncoding(encoding: unknown): Encoding
  prefixKey(key: Encoded, format: string, local: boolean): Encoded
  _assertValidKey(key: unknown): void
  _assertValidValue(value: unknown): void
}

interface Encoding {
  readonly format: string
  encode(data: unknown): Encoded
}

/**
 * Entries on their way into the state: checked, encoded and prefixed, one when the next is asked for.
 *
 * @throws ENGINE_OPTION_INVALID
 */
export function bulkSource(level: object, entries: unknown, options: BulkLoadOptions): BulkSource {
  if (!isSource(entries)) {
    throw engineError('ENGINE_OPTION_INVALID', 'what is to be loaded is no iterable and no async iterable')
  }
  return { entries, encode: encoderOf(level, options) }
}

function isSource(entries: unknown): entries is BulkSource['entries'] {
  return (
    typeof entries === 'object' &&
    entries !== null &&
    (Symbol.asyncIterator in entries || Symbol.iterator in entries)
  )
}

function encoderOf(level: object, options: BulkLoadOptions): BulkSource['encode'] {
  const isRoot = options.sublevel === undefined || options.sublevel === level
  const target = (options.sublevel ?? level) as Target
  if (!isRoot && target.db !== level) {
    throw engineError('ENGINE_OPTION_INVALID', 'the sublevel is not one of this database')
  }
  const keyEncoding = target.keyEncoding(options.keyEncoding)
  const valueEncoding = target.valueEncoding(options.valueEncoding)
  return (entry) => {
    const [key, value] = partsOf(entry)
    target._assertValidKey(key)
    target._assertValidValue(value)
    const encoded = target.prefixKey(keyEncoding.encode(key), keyEncoding.format, isRoot)
    if (typeof encoded !== 'string' && isReservedKey(encoded)) {
      throw engineError('ENGINE_KEY_RESERVED', 'the key lies in the zone of the engine', {
        details: { key: Buffer.from(encoded).toString('hex') },
      })
    }
    return { key: encoded, value: valueEncoding.encode(value) }
  }
}

function partsOf(entry: unknown): readonly [unknown, unknown] {
  if (Array.isArray(entry)) return [entry[0], entry[1]]
  if (typeof entry === 'object' && entry !== null && 'key' in entry && 'value' in entry) {
    return [entry.key, entry.value]
  }
  throw engineError('ENGINE_OPTION_INVALID', 'an entry to be loaded is no [key, value] and no { key, value }')
}
