import { createHash } from 'node:crypto'
import { type Bytes, bytesOf, copyBytes } from '../byte-copy.ts'

/** Where an entry lies: decoders of tables have no buffer of its own for it. */
export interface EntryPlace {
  /** The key is its first `keyBytes` bytes. */
  readonly key: Bytes
  readonly keyBytes: number
  /** The value is in it, from `valueAt` on. */
  readonly block: Bytes
  readonly valueAt: number
  readonly valueBytes: number
}

/** What a digest says of all entries. */
export interface EntriesDigest {
  readonly entries: number
  /** Bytes of all keys and values. */
  readonly bytes: number
  readonly hex: string
}

/** What hashes the bytes of entries. */
export interface HashSink {
  /** A buffer to begin with. */
  begin(): Bytes
  /** Takes the first `count` bytes of that buffer; the one to go on with. */
  take(buffer: Bytes, count: number): Bytes
  /** The hash of all that was taken, as hexadecimal digits. */
  end(): Promise<string>
}

const BUFFER_BYTES = 256 * 1024
const HEAD_BYTES = 8

/**
 * The hash of a state as FORMAT.md defines it, fed in key order. Entries are gathered, so that the hash is fed 256 KiB at a time: one
 * update per entry costs more than the hashing.
 */
export class EntryHash {
  readonly #sink: HashSink
  #buffer: Bytes
  #used = 0
  #entries = 0
  #bytes = 0

  constructor(sink: HashSink = new HashHere()) {
    this.#sink = sink
    this.#buffer = sink.begin()
  }

  add({ key, keyBytes, block, valueAt, valueBytes }: EntryPlace): void {
    const at = this.#place(keyBytes, valueBytes)
    if (at === undefined) {
      this.#append(key.bytes.subarray(0, keyBytes))
      this.#append(block.bytes.subarray(valueAt, valueAt + valueBytes))
      return
    }
    copyBytes(this.#buffer, at, key, 0, keyBytes)
    copyBytes(this.#buffer, at + keyBytes, block, valueAt, valueBytes)
  }

  /** Adds an entry whose key and value are buffers of their own. */
  addBuffers(key: Buffer, value: Buffer): void {
    const at = this.#place(key.length, value.length)
    if (at === undefined) {
      this.#append(key)
      this.#append(value)
      return
    }
    this.#buffer.bytes.set(key, at)
    this.#buffer.bytes.set(value, at + key.length)
  }

  async end(): Promise<EntriesDigest> {
    this.#drain()
    return { entries: this.#entries, bytes: this.#bytes, hex: await this.#sink.end() }
  }

  /** Counts an entry in and writes its lengths; where its key belongs, or `undefined` for one that is longer than the buffer. */
  #place(keyBytes: number, valueBytes: number): number | undefined {
    const entryBytes = HEAD_BYTES + keyBytes + valueBytes
    this.#entries += 1
    this.#bytes += keyBytes + valueBytes
    const room = this.#buffer.bytes.length
    if (entryBytes > room - this.#used) this.#drain()
    const at = this.#used
    const { words } = this.#buffer
    words.setUint32(at, keyBytes, true)
    words.setUint32(at + 4, valueBytes, true)
    const isLong = entryBytes > room
    this.#used = at + (isLong ? HEAD_BYTES : entryBytes)
    return isLong ? undefined : at + HEAD_BYTES
  }

  /** A buffer at a time. */
  #append(content: Buffer): void {
    for (let done = 0; done < content.length;) {
      const room = this.#buffer.bytes.length - this.#used
      const part = content.subarray(done, done + room)
      this.#buffer.bytes.set(part, this.#used)
      this.#used += part.length
      done += part.length
      if (part.length === room) this.#drain()
    }
  }

  #drain(): void {
    this.#buffer = this.#sink.take(this.#buffer, this.#used)
    this.#used = 0
  }
}

/** Hashes on this thread. */
class HashHere implements HashSink {
  readonly #hash = createHash('sha256')

  begin(): Bytes {
    return bytesOf(Buffer.allocUnsafeSlow(BUFFER_BYTES))
  }

  take(buffer: Bytes, count: number): Bytes {
    this.#hash.update(buffer.bytes.subarray(0, count))
    return buffer
  }

  end(): Promise<string> {
    return Promise.resolve(this.#hash.digest('hex'))
  }
}
