import { createHash } from 'node:crypto'
import { type Bytes, bytesOf, copyBytes } from './byte-copy.ts'

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

const BUFFER_BYTES = 256 * 1024
const HEAD_BYTES = 8

/**
 * The hash of a state as FORMAT.md defines it, fed in key order. Entries are gathered, so that the hash is fed 256 KiB at a time: one
 * update per entry costs more than the hashing.
 */
export class EntryHash {
  readonly #hash = createHash('sha256')
  readonly #buffer = bytesOf(Buffer.allocUnsafeSlow(BUFFER_BYTES))
  #used = 0
  #entries = 0
  #bytes = 0

  add({ key, keyBytes, block, valueAt, valueBytes }: EntryPlace): void {
    const at = this.#place(keyBytes, valueBytes)
    if (at === undefined) {
      this.#addLong(key.bytes.subarray(0, keyBytes), block.bytes.subarray(valueAt, valueAt + valueBytes))
      return
    }
    copyBytes(this.#buffer, at, key, 0, keyBytes)
    copyBytes(this.#buffer, at + keyBytes, block, valueAt, valueBytes)
  }

  /** Adds an entry whose key and value are buffers of their own. */
  addBuffers(key: Buffer, value: Buffer): void {
    const at = this.#place(key.length, value.length)
    if (at === undefined) {
      this.#addLong(key, value)
      return
    }
    this.#buffer.bytes.set(key, at)
    this.#buffer.bytes.set(value, at + key.length)
  }

  end(): EntriesDigest {
    this.#drain()
    return { entries: this.#entries, bytes: this.#bytes, hex: this.#hash.digest('hex') }
  }

  /** Counts an entry in and writes its lengths; where its key belongs, or `undefined` for one that is longer than the buffer. */
  #place(keyBytes: number, valueBytes: number): number | undefined {
    const entryBytes = HEAD_BYTES + keyBytes + valueBytes
    this.#entries += 1
    this.#bytes += keyBytes + valueBytes
    if (entryBytes > BUFFER_BYTES - this.#used) this.#drain()
    if (entryBytes > BUFFER_BYTES) return undefined
    const at = this.#used
    writeHead(this.#buffer.words, { at, keyBytes, valueBytes })
    this.#used = at + entryBytes
    return at + HEAD_BYTES
  }

  #addLong(key: Buffer, value: Buffer): void {
    const head = bytesOf(Buffer.alloc(HEAD_BYTES))
    writeHead(head.words, { at: 0, keyBytes: key.length, valueBytes: value.length })
    this.#hash.update(head.bytes).update(key).update(value)
  }

  #drain(): void {
    if (this.#used > 0) this.#hash.update(this.#buffer.bytes.subarray(0, this.#used))
    this.#used = 0
  }
}

function writeHead(
  target: DataView,
  {
    at,
    keyBytes,
    valueBytes,
  }: { readonly at: number; readonly keyBytes: number; readonly valueBytes: number },
): void {
  target.setUint32(at, keyBytes, true)
  target.setUint32(at + 4, valueBytes, true)
}
