/** Bytes with a length that grows and shrinks as a file's does; what was never written reads as zero. */
export class ByteStore {
  #buffer: Buffer
  #bytes: number

  constructor(initial: Uint8Array = new Uint8Array(0)) {
    this.#buffer = Buffer.from(initial)
    this.#bytes = initial.byteLength
  }

  get bytes(): number {
    return this.#bytes
  }

  read(target: Uint8Array, position: number): number {
    const end = Math.min(position + target.byteLength, this.#bytes)
    if (position >= end) return 0
    target.set(this.#buffer.subarray(position, end))
    return end - position
  }

  write(source: Uint8Array, position: number): void {
    if (source.byteLength === 0) return
    this.growTo(position + source.byteLength)
    this.#buffer.set(source, position)
  }

  /** Lengthens with zeros up to `bytes`; never shortens. */
  growTo(bytes: number): void {
    if (bytes > this.#buffer.byteLength) {
      const larger = Buffer.alloc(Math.max(bytes, this.#buffer.byteLength * 2))
      larger.set(this.#buffer.subarray(0, this.#bytes))
      this.#buffer = larger
    }
    this.#bytes = Math.max(this.#bytes, bytes)
  }

  truncate(bytes: number): void {
    // The cut-off bytes must not come back when the file grows again.
    if (bytes < this.#bytes) this.#buffer.fill(0, bytes, this.#bytes)
    this.growTo(bytes)
    this.#bytes = bytes
  }

  /** A copy of all of it. */
  bytesOf(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#bytes))
  }

  copy(): ByteStore {
    return new ByteStore(this.#buffer.subarray(0, this.#bytes))
  }
}
