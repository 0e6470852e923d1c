/** Makes and reads the gzip format in bounded memory. */
export interface GzipCodec {
  /** gzip members of at most `GZIP_BLOCK_BYTES` of content each; the same content gives the same bytes. */
  compress(content: AsyncIterable<Uint8Array>): AsyncIterable<Buffer>
  /** The content of all members, in chunks; any error is one of damaged input. */
  decompress(stored: AsyncIterable<Uint8Array>): AsyncIterable<Buffer>
}

/** Content of one gzip member, so that a member can be made in one call by a worker. */
export const GZIP_BLOCK_BYTES: number = 1024 * 1024

/**
 * Cuts content into blocks of exactly `GZIP_BLOCK_BYTES`, the last one shorter; each owns its memory, which grows with it: most
 * objects are small, and a whole block for each of them is work for the garbage collector.
 */
export async function* blocksOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let block: Buffer = Buffer.allocUnsafeSlow(0)
  let filled = 0
  let blocks = 0
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + GZIP_BLOCK_BYTES - filled)
      block = withRoom(block, filled, filled + part.length)
      block.set(part, filled)
      filled += part.length
      at += part.length
      if (filled < GZIP_BLOCK_BYTES) continue
      yield block
      blocks++
      block = Buffer.allocUnsafeSlow(0)
      filled = 0
    }
  }
  // Empty content is one empty member, so that any gunzip accepts the object.
  if (filled > 0 || blocks === 0) yield block.subarray(0, filled)
}

function withRoom(block: Buffer, filled: number, bytes: number): Buffer {
  if (bytes <= block.length) return block
  const larger = Buffer.allocUnsafeSlow(Math.min(GZIP_BLOCK_BYTES, Math.max(bytes, block.length * 2)))
  larger.set(block.subarray(0, filled))
  return larger
}
