/** Reads LevelDB's coded integers and slices from bytes; whatever does not fit is `undefined`, and nothing is allocated. */
export class LeveldbCursor {
  readonly #bytes: Buffer
  #position: number

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes
    this.#position = position
  }

  get position(): number {
    return this.#position
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#position
  }

  /** A varint; `undefined` when it is cut, longer than ten bytes, or above the safe integers. */
  varint(): number | undefined {
    let value = 0
    // Multiplied, not shifted: LevelDB's numbers go beyond 32 bits.
    for (let scale = 1, read = 0; read < 10; scale *= 128, read += 1) {
      const byte = this.#bytes[this.#position]
      if (byte === undefined) return undefined
      this.#position += 1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : undefined
    }
    return undefined
  }

  /** The next bytes, as a view. */
  take(bytes: number): Buffer | undefined {
    if (bytes > this.remainingBytes) return undefined
    const slice = this.#bytes.subarray(this.#position, this.#position + bytes)
    this.#position += bytes
    return slice
  }

  /** A length-prefixed slice, as a view. */
  slice(): Buffer | undefined {
    const bytes = this.varint()
    return bytes === undefined ? undefined : this.take(bytes)
  }
}
