/**
 * The operations of a transaction as places in its payload, one after another. A replay goes through hundreds of thousands of them:
 * buffers and objects for each would take longer than all that it does with them. The layout is in FORMAT.md, "Transaction".
 */
import { engineError } from '../errors.ts'
import { decodeMeta } from './meta-codec.ts'
import { isReservedKey } from '../reserved-keys.ts'

/** The first element of every transaction. */
export const TRANSACTION_VERSION = 1
export const NIL = 0xc0
export const BIN8 = 0xc4
export const BIN16 = 0xc5
export const BIN32 = 0xc6
export const ARRAY16 = 0xdc
export const ARRAY32 = 0xdd
export const FIXARRAY = 0x90
/** As the length of a value: there is none. */
const DELETED = -1
/** No other key can lie in the engine's own zone. */
const RESERVED_FIRST_BYTE = 0xff

/** Reads payloads whose every length is checked against what remains, before anything is made of it. One serves for any number. */
export class TransactionCursor {
  /** The transaction that was begun last. */
  payload: Buffer = Buffer.alloc(0)
  /** Operations in it. */
  count = 0
  /** Where the key of the present operation lies. */
  keyAt = 0
  keyBytes = 0
  /** Where its value lies; means nothing for a deletion. */
  valueAt = 0
  #valueBytes = DELETED
  #at = 0
  #left = 0
  #hasMeta = false

  /**
   * Begins with the payload of an `entry` record; `next` leads to its first operation.
   *
   * @throws ENGINE_RECORD_DAMAGED, ENGINE_RECORD_FORMAT when a later version wrote it
   */
  begin(payload: Uint8Array): void {
    this.payload = Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    this.#at = 0
    this.#left = 0
    const head = this.#byte()
    if ((head & 0xf0) !== FIXARRAY) throw this.#damaged('it is no array')
    const elements = head & 0x0f
    const version = this.#byte()
    if (version !== TRANSACTION_VERSION || elements < 2 || elements > 3) {
      throw engineError(
        'ENGINE_RECORD_FORMAT',
        'the transaction has a format that this release does not know',
        {
          details: { version, elements },
        },
      )
    }
    this.#hasMeta = elements === 3
    const length = this.#arrayLength()
    // Each key and each value takes a byte at least.
    if (length % 2 !== 0 || length > this.payload.length - this.#at) throw this.#damaged('its count is wrong')
    this.count = length / 2
    this.#left = this.count
  }

  /**
   * Moves to the next operation; false behind the last one.
   *
   * @throws ENGINE_RECORD_DAMAGED
   */
  next(): boolean {
    if (this.#left === 0) return false
    this.#left -= 1
    const keyBytes = this.#binary()
    const keyAt = this.#at - keyBytes
    this.keyAt = keyAt
    this.keyBytes = keyBytes
    const isReserved = this.payload[keyAt] === RESERVED_FIRST_BYTE && isReservedKey(this.key)
    if (keyBytes === DELETED || isReserved) throw this.#damaged('a key is wrong')
    this.#valueBytes = this.#binary()
    this.valueAt = this.#at - this.valueBytes
    return true
  }

  get isDeletion(): boolean {
    return this.#valueBytes === DELETED
  }

  /** 0 for a deletion. */
  get valueBytes(): number {
    return this.#valueBytes === DELETED ? 0 : this.#valueBytes
  }

  /** The present key; it shares memory with the payload. */
  get key(): Buffer {
    return this.payload.subarray(this.keyAt, this.keyAt + this.keyBytes)
  }

  /** The present value, `undefined` for a deletion; it shares memory with the payload. */
  get value(): Buffer | undefined {
    return this.isDeletion ? undefined : this.payload.subarray(this.valueAt, this.valueAt + this.valueBytes)
  }

  /** Where the operations that were passed end in the payload. */
  get position(): number {
    return this.#at
  }

  /**
   * What the transaction's author said about it; call it behind the last operation, since the payload is proved to be whole only here.
   *
   * @throws ENGINE_RECORD_DAMAGED
   */
  meta(): unknown {
    if (this.#hasMeta) return decodeMeta(this.payload.subarray(this.#at))
    if (this.#at !== this.payload.length) throw this.#damaged('it goes on after its end')
    return undefined
  }

  #arrayLength(): number {
    const head = this.#byte()
    if ((head & 0xf0) === FIXARRAY) return head & 0x0f
    if (head === ARRAY16) return this.#unsigned(2)
    if (head === ARRAY32) return this.#unsigned(4)
    throw this.#damaged('its operations are no array')
  }

  /** Passes a key or a value; its length, or `DELETED` for nil. */
  #binary(): number {
    const head = this.#byte()
    if (head === NIL) return DELETED
    if (head !== BIN8 && head !== BIN16 && head !== BIN32) throw this.#damaged('a key or value is no binary')
    const length = head === BIN8 ? this.#byte() : this.#unsigned(head === BIN16 ? 2 : 4)
    if (length > this.payload.length - this.#at) throw this.#damaged('a length leads beyond the end')
    this.#at += length
    return length
  }

  #byte(): number {
    const byte = this.payload[this.#at]
    if (byte === undefined) throw this.#damaged('it ends too early')
    this.#at += 1
    return byte
  }

  #unsigned(bytes: 2 | 4): number {
    if (this.payload.length - this.#at < bytes) throw this.#damaged('it ends too early')
    const value = this.payload.readUIntBE(this.#at, bytes)
    this.#at += bytes
    return value
  }

  #damaged(reason: string): Error {
    return engineError('ENGINE_RECORD_DAMAGED', `the transaction cannot be decoded: ${reason}`, {
      details: { position: this.#at, bytes: this.payload.length },
    })
  }
}
