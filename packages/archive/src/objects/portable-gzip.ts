// The only file that names fflate.
import { Gunzip, gzipSync } from 'fflate'
import { blocksOf, type GzipCodec } from './gzip-codec.ts'

/** fflate inflates a whole input chunk in one call: the smaller the input, the less a bomb can make of it at once. */
const INPUT_BYTES = 16 * 1024

/**
 * gzip in plain JavaScript, for runtimes without zlib or worker threads: same format, other bytes, several times slower. It does
 * not check gzip's own trailer; the object's length and sha256 do.
 */
export function portableGzip(level: 1 | 6 = 1): GzipCodec {
  return {
    async *compress(content) {
      for await (const block of blocksOf(content)) yield Buffer.from(gzipSync(block, { level, mtime: 0 }))
    },
    async *decompress(stored) {
      const ready: Uint8Array[] = []
      let isFinal = false
      const gunzip = new Gunzip((chunk, final) => {
        if (chunk.length > 0) ready.push(chunk)
        isFinal ||= final
      })
      let held: Uint8Array | undefined
      const feed = function* (part: Uint8Array, final: boolean): Generator<Buffer> {
        gunzip.push(part, final)
        for (const chunk of ready.splice(0))
          yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      }
      for await (const chunk of stored) {
        for (let at = 0; at < chunk.length; at += INPUT_BYTES) {
          if (held !== undefined) yield* feed(held, false)
          held = chunk.slice(at, at + INPUT_BYTES)
        }
      }
      yield* feed(held ?? new Uint8Array(), true)
      if (!isFinal) throw new Error('unexpected end of gzip data')
    },
  }
}
