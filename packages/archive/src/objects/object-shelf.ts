import { createHash } from 'node:crypto'
import type { ArchiveStore, PutOutcome } from '../stores/archive-store.ts'
import { archiveError, hasCode } from '../errors.ts'
import type { GzipCodec } from './gzip-codec.ts'
import { decodeObject, encodeObject, measure, type ObjectSource } from './object-codec.ts'
import { type CodecName, type Envelope, objectDamaged } from './object-envelope.ts'

/** How to store an object. */
export interface PutObjectOptions {
  /** Default gzip. */
  readonly codec?: CodecName | undefined
  /** Read the object back after the upload and compare it with what was sent. Default true. */
  readonly verify?: boolean | undefined
}

/** What was stored. */
export interface PutObjectResult {
  readonly outcome: PutOutcome
  /** Of the content. */
  readonly bytes: number
  readonly sha256: string
  readonly storedBytes: number
}

/** Default bound for content held in memory. */
const CONTENT_BYTES_MAX = 64 * 1024 * 1024

/** Objects in their envelopes, over a store. */
export class ObjectShelf {
  readonly #store: ArchiveStore
  readonly #gzip: GzipCodec

  constructor(store: ArchiveStore, gzip: GzipCodec) {
    this.#store = store
    this.#gzip = gzip
  }

  async put(
    name: string,
    content: Uint8Array | ObjectSource,
    { codec = 'gzip', verify = true }: PutObjectOptions = {},
  ): Promise<PutObjectResult> {
    const source = content instanceof Uint8Array ? sourceOf(content) : content
    const { bytes, sha256 } = await measure(source)
    const envelope: Envelope = { codec, bytes, sha256 }
    const sent = new Sent()
    try {
      const read = (): AsyncIterable<Uint8Array> =>
        sent.watch(encodeObject(name, { envelope, source }, this.#gzip))
      const outcome = await this.#store.put(name, { read })
      if (verify) await this.#verify(name, sent, outcome)
      return { outcome, bytes, sha256, storedBytes: sent.bytes }
    } catch (error) {
      if (!hasCode(error, 'ARCHIVE_CONFLICT')) throw error
      // Another release or codec may have made other bytes of the same content.
      const storedBytes = await this.#sameContent(name, envelope, error)
      return { outcome: 'exists-same', bytes, sha256, storedBytes }
    }
  }

  async get(name: string, bytesMax: number = CONTENT_BYTES_MAX): Promise<Buffer> {
    const chunks: Buffer[] = []
    const refuse = ({ bytes }: Envelope): void => {
      if (bytes <= bytesMax) return
      throw archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is too large to hold', {
        details: { name, bytes, bytesMax },
      })
    }
    const stored = this.#store.getStream(name)
    for await (const chunk of decodeObject(name, stored, { gzip: this.#gzip, onEnvelope: refuse }))
      chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** The content; with `expected`, refused when the object holds something else, however whole. */
  read(
    name: string,
    expected: { readonly bytes?: number; readonly sha256?: string } = {},
  ): AsyncIterable<Buffer> {
    const onEnvelope = ({ bytes, sha256 }: Envelope): void => {
      if (bytes !== (expected.bytes ?? bytes) || sha256 !== (expected.sha256 ?? sha256)) {
        throw objectDamaged(name, 'it is not the object that the catalogue names')
      }
    }
    return decodeObject(name, this.#store.getStream(name), { gzip: this.#gzip, onEnvelope })
  }

  async #verify(name: string, sent: Sent, outcome: PutOutcome): Promise<void> {
    const found = new Sent()
    for await (const chunk of found.watch(this.#store.getStream(name))) void chunk
    if (found.bytes === sent.bytes && found.sha256 === sent.sha256) return
    // Nobody has been told of it: without it the next try begins clean.
    if (outcome === 'created') await this.#store.delete(name)
    throw archiveError('ARCHIVE_UPLOAD_DAMAGED', 'the store gave back other bytes than it was given', {
      details: { name, bytes: sent.bytes, foundBytes: found.bytes },
    })
  }

  async #sameContent(name: string, envelope: Envelope, conflict: unknown): Promise<number> {
    const existing = new Sent()
    try {
      const stored = existing.watch(this.#store.getStream(name))
      const onEnvelope = ({ bytes, sha256 }: Envelope): void => {
        if (bytes !== envelope.bytes || sha256 !== envelope.sha256) throw conflict
      }
      for await (const chunk of decodeObject(name, stored, { gzip: this.#gzip, onEnvelope })) void chunk
    } catch (error) {
      throw hasCode(error, 'ARCHIVE_OBJECT_DAMAGED') ? conflict : error
    }
    return existing.bytes
  }
}

/** Length and checksum of bytes that pass; begun anew with each `watch`. */
class Sent {
  bytes = 0
  sha256 = ''

  async *watch(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    this.bytes = 0
    for await (const chunk of stream) {
      hash.update(chunk)
      this.bytes += chunk.length
      yield chunk
    }
    this.sha256 = hash.digest('hex')
  }
}

function sourceOf(content: Uint8Array): ObjectSource {
  return {
    async *read() {
      yield content
    },
  }
}
