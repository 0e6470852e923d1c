/**
 * Buffers that the copies of one backup hand on to each other. The system gives a new one page by page at its first touch, each page
 * zeroed, which costs more than the copying of a table into it.
 */
export interface ChunkBuffers {
  /** A buffer of at least so many bytes; its content is whatever was copied last. */
  take(bytes: number): Buffer
  /** The caller is done with it, and so is whoever it handed a part of it to. */
  give(buffer: Buffer): void
}

/** Bytes read at a time: a whole table of the usual 2 MiB, so that it costs one hop to another thread and back. */
export const CHUNK_BYTES: number = 4 * 1024 * 1024

/** Whoever reads less takes a buffer of its own: it is not worth one of these. */
const SMALL_BYTES = 64 * 1024
/** As many as copies run at the same time; more would only hold memory. */
const FREE_MAX = 2

/** Makes the buffers of one backup; memory is taken when the first large file is read. */
export function chunkBuffers(): ChunkBuffers {
  const free: Buffer[] = []
  return {
    take(bytes) {
      if (bytes <= SMALL_BYTES) return Buffer.allocUnsafe(Math.max(1, bytes))
      return free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    },
    give(buffer) {
      if (buffer.length === CHUNK_BYTES && free.length < FREE_MAX) free.push(buffer)
    },
  }
}
