// Objects as streams: FORMAT.md#object.
import { createHash, hash as hashOf } from 'node:crypto'
import { archiveError } from '../errors.ts'
import type { GzipCodec } from './gzip-codec.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  ENVELOPE_BYTES,
  type Envelope,
  objectDamaged,
} from './object-envelope.ts'
import { following, takeHead } from './stream-head.ts'

/** Content to store; `read` begins anew at each call. Content without a known checksum is read twice. */
export interface ObjectSource {
  readonly sha256?: string | undefined
  readonly bytes?: number | undefined
  /** All of it, where it is in memory and nobody changes it meanwhile. */
  readonly held?: Uint8Array | undefined
  read(): AsyncIterable<Uint8Array>
}

/** The length and checksum of a source. */
export async function measure(source: ObjectSource): Promise<{ bytes: number; sha256: string }> {
  const { bytes: known, sha256, held } = source
  if (known !== undefined && sha256 !== undefined) return { bytes: known, sha256 }
  if (held !== undefined) return { bytes: held.length, sha256: hashOf('sha256', held, 'hex') }
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of source.read()) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Smaller content is compressed whatever that saves. */
const PLAIN_BYTES_MIN = 256 * 1024
/** Its beginning tells whether compression pays; as little as is compressed without another thread. */
const SAMPLE_BYTES = 16 * 1024
/** Unpacking keeps a processor busy for 6 ms a MB, in which a disk or a network of 1 Gbit/s brings the rest of it. */
const SAVED_SHARE_MIN = 1 / 4

/**
 * The bytes of an object. Content that is not held is hashed again on its way: what is stored is what the header says. With gzip, long content
 * that it would hardly make shorter is stored as it is.
 *
 * @throws ARCHIVE_SOURCE_CHANGED
 */
export async function* encodeObject(
  name: string,
  object: { readonly envelope: Envelope; readonly source: ObjectSource },
  gzip: GzipCodec,
): AsyncGenerator<Uint8Array> {
  const { envelope, source } = object
  const refuse = (reason: string): Error =>
    archiveError('ARCHIVE_SOURCE_CHANGED', `the source of an object changed, ${reason}`, {
      details: { name },
    })
  const { held } = source
  const content = held === undefined ? expecting(source.read(), envelope, refuse) : only(held)
  try {
    const isAsked = envelope.codec === 'gzip' && envelope.bytes >= PLAIN_BYTES_MIN
    const { head, taken } = await takeHead(content, isAsked ? SAMPLE_BYTES : 0)
    const codec = isAsked && !(await compressionPays(head, gzip)) ? 'none' : envelope.codec
    yield encodeEnvelope(name, { ...envelope, codec })
    const whole = following([taken], content)
    if (codec === 'gzip') yield* gzip.compress(whole)
    else yield* whole
  } finally {
    await content.return(undefined)
  }
}

async function compressionPays(sample: Buffer, gzip: GzipCodec): Promise<boolean> {
  let bytes = 0
  for await (const part of gzip.compress(only(sample))) bytes += part.length
  return bytes <= sample.length * (1 - SAVED_SHARE_MIN)
}

async function* only<Part extends Uint8Array>(part: Part): AsyncGenerator<Part> {
  yield part
}

/**
 * The content of an object, checked: it ends in an error unless length and checksum hold, and never yields more than the
 * header's length, whatever a damaged or hostile object would inflate to. Trust nothing of it before it has ended.
 *
 * @throws ARCHIVE_OBJECT_DAMAGED, ARCHIVE_FORMAT
 */
export async function* decodeObject(
  name: string,
  stored: AsyncIterable<Uint8Array>,
  options: { readonly gzip: GzipCodec; readonly onEnvelope?: (envelope: Envelope) => void },
): AsyncGenerator<Buffer> {
  const iterator = stored[Symbol.asyncIterator]()
  try {
    const { head, rest } = await takeHead(iterator, ENVELOPE_BYTES)
    const envelope = decodeEnvelope(name, head)
    options.onEnvelope?.(envelope)
    const body = following([rest], iterator)
    const raw = envelope.codec === 'gzip' ? inflated(name, options.gzip.decompress(body)) : body
    for await (const chunk of expecting(raw, envelope, (reason) => objectDamaged(name, reason))) {
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    }
  } finally {
    await iterator.return?.()
  }
}

/** The codec's own errors say that the bytes are not gzip; those of the store pass unchanged. */
async function* inflated(name: string, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* content
  } catch (error) {
    throw isStoreError(error) ? error : objectDamaged(name, 'it cannot be decompressed', error)
  }
}

/** Whether an error is the store's or the caller's, and says nothing of the bytes. */
export function isStoreError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimberlineError' || error.name === 'AbortError')
}

async function* expecting<Chunk extends Uint8Array>(
  content: AsyncIterable<Chunk>,
  { bytes, sha256 }: Envelope,
  refuse: (reason: string) => Error,
): AsyncGenerator<Chunk> {
  const hash = createHash('sha256')
  let seen = 0
  for await (const chunk of content) {
    seen += chunk.length
    if (seen > bytes) throw refuse('it is longer than its header says')
    hash.update(chunk)
    yield chunk
  }
  if (seen < bytes) throw refuse('it is shorter than its header says')
  if (hash.digest('hex') !== sha256) throw refuse('its content does not match its checksum')
}
