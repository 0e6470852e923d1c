// An object of a folder that grows by parts. Each part is one write and one flush: no new name, and mostly no new length either,
// because zeros stand ahead of the parts, and a flush of a file whose length stays is one write of the device.
//
// Fault model: power may fail, or the device refuse, at any operation. Parts before the last one are durable. The last one may be
// there in any part, which its reader tells by checksums. After a failed flush the system may take pages for written that are
// not: nothing is put behind them, and nobody asks for another flush of the same file.
import { type FileHandle, readFully } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import type { GrowingObject } from './archive-store.ts'
import { wrapped } from './system-failure.ts'

/** Zeros are written ahead as far again as there are parts, within these bounds: a file that stays short has few. */
const ZERO_BYTES_MIN = 16 * 1024
const ZERO_BYTES_MAX = 1024 * 1024

/** A new file under its name, and nothing in it yet. */
export class GrowingFile implements GrowingObject {
  readonly #handle: FileHandle
  readonly #site: { readonly name: string; readonly url: string }
  #position = 0
  /** Up to here the file is as long as it is. */
  #bytes = 0
  #isFailed = false
  /** Parts are read back into it, one after the other. */
  #found = Buffer.alloc(0)

  constructor(handle: FileHandle, site: { readonly name: string; readonly url: string }) {
    this.#handle = handle
    this.#site = site
  }

  get position(): number {
    return this.#position
  }

  append(part: Uint8Array): Promise<void> {
    return wrapped(() => this.#append(part), { ...this.#site, isPut: true })
  }

  async close(): Promise<void> {
    this.#isFailed = true
    await wrapped(() => this.#handle.close(), { ...this.#site, isPut: true })
  }

  async #append(part: Uint8Array): Promise<void> {
    if (this.#isFailed) {
      throw archiveError('ARCHIVE_STORE_FAILED', 'an object takes no more parts', { details: this.#site })
    }
    this.#isFailed = true
    const position = this.#position
    const endPosition = position + part.length
    const written = endPosition > this.#bytes ? withZeros(part, endPosition) : part
    await this.#handle.write(written, position)
    // The part is durable from here on.
    await this.#handle.sync()
    if (this.#found.length < part.length) this.#found = Buffer.allocUnsafeSlow(2 * part.length)
    const found = this.#found.subarray(0, part.length)
    const read = await readFully(this.#handle, found, position)
    if (read !== part.length || !found.equals(part)) {
      throw archiveError('ARCHIVE_UPLOAD_DAMAGED', 'the store gave back other bytes than it was given', {
        details: { ...this.#site, position, bytes: part.length },
      })
    }
    this.#position = endPosition
    this.#bytes = Math.max(this.#bytes, position + written.length)
    this.#isFailed = false
  }
}

function withZeros(part: Uint8Array, endPosition: number): Buffer {
  const zeros = Buffer.alloc(Math.min(ZERO_BYTES_MAX, Math.max(ZERO_BYTES_MIN, endPosition)))
  return Buffer.concat([part, zeros])
}
