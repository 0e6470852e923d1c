import { createHash } from 'node:crypto'

/** Where an entry lies: decoders of tables have no buffer of its own for it. */
export interface EntryPlace {
  /** The key is its first `keyBytes` bytes. */
  readonly key: Buffer
  readonly keyBytes: number
  /** The value is in it, from `valueAt` on. */
  readonly block: Buffer
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
/** Up to here a loop copies faster than a call. */
const LOOP_BYTES_MAX = 48

/**
 * The hash of a state as FORMAT.md defines it, fed in key order. Entries are gathered, so that the hash is fed 256 KiB at a time: one
 * update per entry costs more than the hashing.
 */
export class EntryHash {
  readonly #hash = createHash('sha256')
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #used = 0
  #entries = 0
  #bytes = 0

  add(entry: EntryPlace): void {
    const { key, keyBytes, block, valueAt, valueBytes } = entry
    const entryBytes = HEAD_BYTES + keyBytes + valueBytes
    this.#entries += 1
    this.#bytes += keyBytes + valueBytes
    if (entryBytes > BUFFER_BYTES - this.#used) this.#drain()
    if (entryBytes > BUFFER_BYTES) {
      this.#hash
        .update(headOf(entry))
        .update(key.subarray(0, keyBytes))
        .update(block.subarray(valueAt, valueAt + valueBytes))
      return
    }
    const buffer = this.#buffer
    const at = this.#used
    writeHead(buffer, at, entry)
    copyInto(buffer, at + HEAD_BYTES, { from: key, start: 0, bytes: keyBytes })
    copyInto(buffer, at + HEAD_BYTES + keyBytes, { from: block, start: valueAt, bytes: valueBytes })
    this.#used = at + entryBytes
  }

  end(): EntriesDigest {
    this.#drain()
    return { entries: this.#entries, bytes: this.#bytes, hex: this.#hash.digest('hex') }
  }

  #drain(): void {
    if (this.#used > 0) this.#hash.update(this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }
}

function headOf(entry: EntryPlace): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  writeHead(head, 0, entry)
  return head
}

function writeHead(target: Buffer, at: number, { keyBytes, valueBytes }: EntryPlace): void {
  writeCount(target, at, keyBytes)
  writeCount(target, at + 4, valueBytes)
}

function writeCount(target: Buffer, at: number, count: number): void {
  target[at] = count
  target[at + 1] = count >>> 8
  target[at + 2] = count >>> 16
  target[at + 3] = count >>> 24
}

function copyInto(
  target: Buffer,
  at: number,
  { from, start, bytes }: { readonly from: Buffer; readonly start: number; readonly bytes: number },
): void {
  if (bytes > LOOP_BYTES_MAX) {
    target.set(new Uint8Array(from.buffer, from.byteOffset + start, bytes), at)
    return
  }
  for (let index = 0; index < bytes; index += 1) target[at + index] = from[start + index] as number
}
