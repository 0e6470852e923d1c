import { createHash, hash as hashOf } from 'node:crypto'
import type { PartPlace } from './piece-parts.ts'
import type { ArchiveStore, ChunkMemory, PutOutcome } from '../stores/archive-store.ts'
import { archiveError, hasCode } from '../errors.ts'
import type { GzipCodec } from './gzip-codec.ts'
import { clearKeyring, type Keyring } from './keyring.ts'
import { decodeObject, encodeObject, measure, type ObjectSource } from './object-codec.ts'
import { type CodecName, encodeEnvelope, type Envelope, objectDamaged } from './object-envelope.ts'

/** How to store an object. */
export interface PutObjectOptions {
  /** Default gzip. */
  readonly codec?: CodecName | undefined
  /** Read the object back after the upload and compare it with what was sent. Default true. */
  readonly verify?: boolean | undefined
}

/** How to read an object. */
export interface ReadObjectOptions {
  /** Told first what the object says of itself: length and checksum of what was put there. */
  readonly onHeader?: ((header: Envelope) => void) | undefined
  /** For what is read of the store; content that was compressed or encrypted comes in memory of its own. */
  readonly memory?: ChunkMemory | undefined
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

/** Fingerprints of encrypted bytes remembered, by which a put of unknown outcome is told from somebody else's. */
const SENT_COUNT_MAX = 10_000

/** Content up to this length that is given whole goes to the store whole, in bytes. */
const HELD_BYTES_MAX = 1024 * 1024

type Read = () => AsyncIterable<Uint8Array>

/** Objects in their envelopes, encrypted where the archive is, over a store. */
export class ObjectShelf {
  readonly #store: ArchiveStore
  readonly #gzip: GzipCodec
  readonly #keyring: Keyring
  /** Name, content and bytes of what was sent encrypted, oldest first: made anew, the same content has other bytes. */
  readonly #sentBefore = new Set<string>()

  /** Without a keyring everything is in the clear. */
  constructor(store: ArchiveStore, gzip: GzipCodec, keyring: Keyring = clearKeyring(store)) {
    this.#store = store
    this.#gzip = gzip
    this.#keyring = keyring
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
      const read = await this.#sealed(`${name} ${sha256}`, sent, () =>
        encodeObject(name, { envelope, source }, this.#gzip),
      )
      // One piece for the store: each part of a stream is a request or a call of the system of its own.
      const isHeld = content instanceof Uint8Array && content.length <= HELD_BYTES_MAX
      const outcome = await this.#store.put(name, isHeld ? await collected(read()) : { read })
      if (verify) await this.#verify(name, sent, outcome)
      return { outcome, bytes, sha256, storedBytes: sent.bytes }
    } catch (error) {
      if (!hasCode(error, 'ARCHIVE_CONFLICT')) throw error
      // Another release or codec may have made other bytes of the same content, and encryption always does.
      const storedBytes = await this.#sameContent({ name, sha256, conflict: error }, async (stored) => {
        const onEnvelope = (found: Envelope): void => {
          if (found.bytes !== bytes || found.sha256 !== sha256) throw error
        }
        for await (const chunk of decodeObject(name, stored, { gzip: this.#gzip, onEnvelope })) void chunk
      })
      return { outcome: 'exists-same', bytes, sha256, storedBytes }
    }
  }

  /** The bytes of an object of its own for content that is short and held, uncoded; encrypted where the archive is. */
  async encoded(name: string, content: Uint8Array): Promise<Buffer> {
    const sha256 = hashOf('sha256', content, 'hex')
    const envelope = encodeEnvelope(name, { codec: 'none', bytes: content.length, sha256 })
    const object = Buffer.concat([envelope, content])
    const seal = await this.#keyring.sealer()
    return seal === undefined ? object : collected(seal(sourceOf(object).read()))
  }

  /** Stores bytes that have no envelope; the same twice is fine. @throws ARCHIVE_CONFLICT */
  async putBare(name: string, content: Buffer): Promise<void> {
    const source = sourceOf(content)
    const { sha256 } = await measure(source)
    try {
      const read = await this.#sealed(`${name} ${sha256}`, new Sent(), () => source.read())
      await this.#store.put(name, { read })
    } catch (error) {
      if (!hasCode(error, 'ARCHIVE_CONFLICT')) throw error
      await this.#sameContent({ name, sha256, conflict: error }, async (stored) => {
        if (!(await collected(stored)).equals(content)) throw error
      })
    }
  }

  /** Bytes that were stored by `putBare`. */
  async getBare(name: string): Promise<Buffer> {
    const stored = await this.#store.get(name)
    return collected(this.#keyring.open(name, sourceOf(stored).read()))
  }

  async get(name: string, bytesMax: number = CONTENT_BYTES_MAX): Promise<Buffer> {
    const refuse = ({ bytes }: Envelope): void => {
      if (bytes <= bytesMax) return
      throw archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is too large to hold', {
        details: { name, bytes, bytesMax },
      })
    }
    return collected(decodeObject(name, this.#open(name), { gzip: this.#gzip, onEnvelope: refuse }))
  }

  /** The content; with `expected`, refused when the object holds something else, however whole. `within`: a part of an object. */
  read(
    name: string,
    expected: {
      readonly bytes?: number
      readonly sha256?: string
      readonly within?: PartPlace | undefined
    } = {},
    { onHeader, memory }: ReadObjectOptions = {},
  ): AsyncIterable<Buffer> {
    const onEnvelope = (header: Envelope): void => {
      onHeader?.(header)
      const { bytes, sha256 } = header
      if (bytes !== (expected.bytes ?? bytes) || sha256 !== (expected.sha256 ?? sha256)) {
        throw objectDamaged(name, 'it is not the object that the catalogue names')
      }
    }
    const { within } = expected
    const stored = within === undefined ? this.#store.getStream(name, memory) : partOf(this.#store, within)
    return decodeObject(name, this.#keyring.open(name, stored), { gzip: this.#gzip, onEnvelope })
  }

  #open(name: string): AsyncIterable<Uint8Array> {
    return this.#keyring.open(name, this.#store.getStream(name))
  }

  /** Bytes as they go to the store; what goes there encrypted is remembered with its name and content. */
  async #sealed(key: string, sent: Sent, read: Read): Promise<Read> {
    const seal = await this.#keyring.sealer()
    if (seal === undefined) return () => sent.watch(read())
    return () => sent.watch(seal(read()), (sha256) => this.#remember(`${key} ${sha256}`))
  }

  #remember(key: string): void {
    this.#sentBefore.add(key)
    const [oldest] = this.#sentBefore
    if (this.#sentBefore.size > SENT_COUNT_MAX && oldest !== undefined) this.#sentBefore.delete(oldest)
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

  /**
   * Holds that what stands under a name is what was to be put there: bytes that this process sent, or the same content.
   * Resolves with its length.
   */
  async #sameContent(
    wanted: { readonly name: string; readonly sha256: string; readonly conflict: unknown },
    compare: (stored: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<number> {
    const { name, sha256, conflict } = wanted
    const existing = new Sent()
    for await (const chunk of existing.watch(this.#store.getStream(name))) void chunk
    if (this.#sentBefore.has(`${name} ${sha256} ${existing.sha256}`)) return existing.bytes
    try {
      await compare(this.#open(name))
    } catch (error) {
      throw hasCode(error, 'ARCHIVE_OBJECT_DAMAGED') ? conflict : error
    }
    return existing.bytes
  }
}

async function* partOf(store: ArchiveStore, { name, position, bytes }: PartPlace): AsyncGenerator<Buffer> {
  yield await store.getRange(name, { position, bytes })
}

async function collected(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Length and checksum of bytes that pass; begun anew with each `watch`. */
class Sent {
  bytes = 0
  sha256 = ''

  async *watch(
    stream: AsyncIterable<Uint8Array>,
    onEnd?: (sha256: string) => void,
  ): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256')
    this.bytes = 0
    for await (const chunk of stream) {
      hash.update(chunk)
      this.bytes += chunk.length
      yield chunk
    }
    this.sha256 = hash.digest('hex')
    onEnd?.(this.sha256)
  }
}

function sourceOf(content: Uint8Array): ObjectSource {
  return {
    held: content,
    async *read() {
      yield content
    },
  }
}
