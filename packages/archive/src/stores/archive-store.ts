import { archiveError } from '../errors.ts'

/** Content to store that is not held in memory; `read` begins anew at each call, so that a put can be tried again. */
export interface PutStream {
  /** Length where it is known beforehand; a store may refuse a stream that turns out otherwise. */
  readonly bytes?: number | undefined
  read(): AsyncIterable<Uint8Array>
}

/** `created`: the object is new; `exists-same`: it was there with the same content. Both mean it is durable now. */
export type PutOutcome = 'created' | 'exists-same'

/** An object as a listing shows it. */
export interface StoredObject {
  readonly name: string
  readonly bytes: number
}

/** Where a listing begins and ends. */
export interface ListOptions {
  /** Only names after this one, by code unit. */
  readonly startAfter?: string | undefined
  /** At most so many. */
  readonly limit?: number | undefined
}

/**
 * Where chunks get their memory, for a caller that knows when it has seen the last of one and can lend it again: to touch new memory costs the
 * system more than to read into it. Whoever stands between store and caller hands a chunk on in one piece, or bytes in other memory.
 */
export interface ChunkMemory {
  /** Memory of at least one and at most so many bytes, whatever it holds: a chunk is no longer than that. */
  take(bytesMax: number): Buffer
}

/** An object under way that grows: whoever began it appends, one call at a time, and nobody else ever does. */
export interface GrowingObject {
  /** Where the next part begins, in bytes. */
  readonly position: number
  /**
   * Appends a part: durable, and read back equal, when this resolves. After a failure nothing can be appended any more, because
   * what was flushed before a failed flush and what was not is unknown: the next part begins another object.
   *
   * @throws ARCHIVE_STORE_FAILED, ARCHIVE_UPLOAD_DAMAGED
   */
  append(part: Uint8Array): Promise<void>
  /** Lets go of the object, which stays as it is. Safe to call twice. */
  close(): Promise<void>
}

/**
 * The port to whatever keeps objects. Objects are written once and never change; only one that `grow` began becomes longer.
 * `storeConformance` is the test of it.
 *
 * Errors are ARCHIVE_OBJECT_MISSING, ARCHIVE_CONFLICT, ARCHIVE_NAME_INVALID and, for everything that another try may
 * mend, ARCHIVE_STORE_FAILED. Listings are complete as of some moment after the call began.
 */
export interface ArchiveStore {
  /** How people name this store, without secrets. */
  readonly url: string
  /**
   * Stores a new object, durably and as a whole; a failed put leaves nothing under the name.
   *
   * @throws ARCHIVE_CONFLICT when the name is taken by other content
   */
  put(name: string, content: Uint8Array | PutStream): Promise<PutOutcome>
  /**
   * Begins a new, empty object that grows; absent where a store can only put. Behind its last part a reader may find a part that
   * is not whole, and zeros.
   *
   * @throws ARCHIVE_CONFLICT when the name is taken
   */
  grow?(name: string): Promise<GrowingObject>
  /** The whole object. @throws ARCHIVE_OBJECT_TOO_LARGE beyond `bytesMax`, default 64 MiB */
  get(name: string, options?: { readonly bytesMax?: number }): Promise<Buffer>
  /** A part of an object; shorter only at its end. */
  getRange(name: string, range: { readonly position: number; readonly bytes: number }): Promise<Buffer>
  /** The object in chunks of at most 1 MiB, each in memory of its own, or in what `memory` gave; a store may do without. */
  getStream(name: string, memory?: ChunkMemory): AsyncIterable<Buffer>
  /** `undefined` when there is no such object. */
  status(name: string): Promise<{ readonly bytes: number } | undefined>
  /** Objects whose names begin with `prefix`, ascending by code unit. */
  list(prefix: string, options?: ListOptions): AsyncIterable<StoredObject>
  /** Removes an object; fine when missing. The removal need not be durable at once. */
  delete(name: string): Promise<void>
}

/** Default bound of `get`. */
export const GET_BYTES_MAX: number = 64 * 1024 * 1024
const NAME_LENGTH_MAX = 512
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/

/** Whether an object can have this name. */
export function isObjectName(name: string): boolean {
  return name.length <= NAME_LENGTH_MAX && NAME.test(name)
}

/** Passes a valid object name through. @throws ARCHIVE_NAME_INVALID */
export function checkedName(name: string): string {
  if (!isObjectName(name)) {
    throw archiveError('ARCHIVE_NAME_INVALID', 'an object cannot have this name', { details: { name } })
  }
  return name
}
