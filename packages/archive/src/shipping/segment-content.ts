import type { ByteSource } from '@timberline/wal'
import type { PieceRef } from '../catalogue/catalogue.ts'
import { archiveError } from '../errors.ts'

/** Whether all bytes of a piece are in another one of the same timeline. */
export function isWithin(piece: PieceRef, other: PieceRef): boolean {
  if (piece.segmentNumber !== other.segmentNumber) return false
  return other.position <= piece.position && piece.endPosition <= other.endPosition
}

/** The part of a stream between two positions. */
export async function* rangeOf(
  content: AsyncIterable<Buffer>,
  { position, endPosition }: { readonly position: number; readonly endPosition: number },
): AsyncGenerator<Buffer> {
  let at = 0
  for await (const chunk of content) {
    const part = chunk.subarray(Math.max(0, position - at), Math.max(0, endPosition - at))
    if (part.length > 0) yield part
    at += chunk.length
  }
}

/** Pieces of one segment in order, without a hole from its beginning. @throws ARCHIVE_OBJECT_MISSING */
export function continuousPieces(pieces: readonly PieceRef[]): readonly PieceRef[] {
  let position = 0
  for (const piece of pieces) {
    if (piece.position !== position || piece.segmentNumber !== pieces[0]?.segmentNumber) {
      const { segmentNumber } = piece
      throw archiveError('ARCHIVE_OBJECT_MISSING', 'pieces of a segment are missing', {
        details: { segmentNumber, fromPosition: position, throughPosition: piece.position },
      })
    }
    position = piece.endPosition
  }
  return pieces
}

/** How much of a stream `streamSource` keeps: a decoder looks back no further than its own window. */
const KEPT_BYTES = 4 * 1024 * 1024

/**
 * A byte source over a stream, for `decodeSegment` and `verifySegment`: reads go forward, and back by no more than 4 MiB.
 * Memory is bounded by that and the largest read.
 */
export function streamSource(
  content: AsyncIterable<Buffer>,
  source: { bytes: number; path: string },
): ByteSource {
  const window = new ForwardWindow(content, source)
  return { ...source, read: (target, position) => window.read(target, position) }
}

class ForwardWindow {
  readonly #iterator: AsyncIterator<Buffer>
  readonly #path: string
  readonly #bytes: number
  #chunks: Buffer[] = []
  #begin = 0
  #end = 0
  #isEnded = false

  constructor(content: AsyncIterable<Buffer>, { path, bytes }: { path: string; bytes: number }) {
    this.#iterator = content[Symbol.asyncIterator]()
    this.#path = path
    this.#bytes = bytes
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    if (position < this.#begin) {
      throw archiveError('ARCHIVE_OBJECT_DAMAGED', 'a decoder went back further than a stream keeps', {
        details: { name: this.#path, position, keptFrom: this.#begin },
      })
    }
    // The last bytes are handed out only after the stream has ended: what checks the whole content stands there.
    while (!this.#isEnded && (this.#end < position + target.length || this.#end >= this.#bytes)) {
      await this.#pull()
      this.#drop(position)
    }
    let filled = 0
    let at = this.#begin
    for (const chunk of this.#chunks) {
      const wanted = position + filled
      if (wanted < at + chunk.length && filled < target.length) {
        const part = chunk.subarray(wanted - at, wanted - at + target.length - filled)
        target.set(part, filled)
        filled += part.length
      }
      at += chunk.length
    }
    return filled
  }

  async #pull(): Promise<void> {
    const next = await this.#iterator.next()
    if (next.done === true) {
      this.#isEnded = true
      return
    }
    this.#chunks.push(next.value)
    this.#end += next.value.length
  }

  #drop(position: number): void {
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      if (this.#begin + first.length > position - KEPT_BYTES) return
      this.#chunks.shift()
      this.#begin += first.length
    }
  }
}
