import { LeveldbCursor } from './leveldb-cursor.ts'

/** The most that one packed byte can become: a copy of 64 bytes takes three. A length beyond that is a lie. */
const UNPACKED_FACTOR = 22

/**
 * Unpacks a Snappy block; `undefined` when the bytes are none, or would unpack to more than `bytesMax`.
 *
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
export function unpackSnappy(packed: Buffer, bytesMax: number): Buffer | undefined {
  const cursor = new LeveldbCursor(packed)
  const bytes = cursor.varint()
  if (bytes === undefined || bytes > bytesMax || bytes > packed.length * UNPACKED_FACTOR) return undefined
  const unpacker = new Unpacker(cursor, Buffer.allocUnsafe(bytes))
  while (cursor.remainingBytes > 0) {
    if (!unpacker.step()) return undefined
  }
  return unpacker.whole
}

class Unpacker {
  readonly #cursor: LeveldbCursor
  readonly #target: Buffer
  #filled = 0

  constructor(cursor: LeveldbCursor, target: Buffer) {
    this.#cursor = cursor
    this.#target = target
  }

  get whole(): Buffer | undefined {
    return this.#filled === this.#target.length ? this.#target : undefined
  }

  /** One element: literal bytes, or a copy of bytes already unpacked. */
  step(): boolean {
    const tag = this.#number(1)
    if (tag === undefined) return false
    switch (tag & 3) {
      case 0:
        return this.#literal(tag >>> 2)
      case 1: {
        const low = this.#number(1)
        return low !== undefined && this.#copy(((tag >>> 5) << 8) | low, ((tag >>> 2) & 7) + 4)
      }
      default: {
        const distance = this.#number((tag & 3) === 2 ? 2 : 4)
        return distance !== undefined && this.#copy(distance, (tag >>> 2) + 1)
      }
    }
  }

  #literal(code: number): boolean {
    const bytes = code < 60 ? code : this.#number(code - 59)
    const source = bytes === undefined ? undefined : this.#cursor.take(bytes + 1)
    if (source === undefined || source.length > this.#target.length - this.#filled) return false
    this.#target.set(source, this.#filled)
    this.#filled += source.length
    return true
  }

  #copy(distance: number, bytes: number): boolean {
    if (distance === 0 || distance > this.#filled || bytes > this.#target.length - this.#filled) return false
    // Byte by byte where source and target overlap: that is how Snappy spells a repetition.
    for (let left = bytes; left > 0;) {
      const step = Math.min(left, distance)
      this.#target.copyWithin(this.#filled, this.#filled - distance, this.#filled - distance + step)
      this.#filled += step
      left -= step
    }
    return true
  }

  #number(bytes: number): number | undefined {
    return this.#cursor.take(bytes)?.readUIntLE(0, bytes)
  }
}
