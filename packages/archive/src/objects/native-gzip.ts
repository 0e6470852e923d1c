import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { blocksOf, type GzipCodec } from './gzip-codec.ts'
import { GzipWorker } from './gzip-worker.ts'

/** One thread for the whole process: shipping must not take more than one core from the application. */
const worker = new GzipWorker()
/** Level 1 is twice as fast as level 6 for 15 % more bytes. */
const LEVEL_DEFAULT = 1
const OUTPUT_BYTES = 256 * 1024

/** gzip by the platform's zlib: compression in a worker thread, decompression as a stream. */
export function nativeGzip(level: number = LEVEL_DEFAULT): GzipCodec {
  return {
    async *compress(content) {
      let before: Promise<Buffer> | undefined
      for await (const block of blocksOf(content)) {
        const member = worker.compress(block, level)
        // Awaited one block later; an error must not surface as unhandled before that.
        member.catch(() => undefined)
        if (before !== undefined) yield await before
        before = member
      }
      if (before !== undefined) yield await before
    },
    async *decompress(stored) {
      const gunzip = createGunzip({ chunkSize: OUTPUT_BYTES })
      const source = Readable.from(stored, { objectMode: true, highWaterMark: 1 })
      const fed = pipeline(source, gunzip)
      // The loop below sees the same error through `gunzip`.
      fed.catch(() => undefined)
      try {
        for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk
        await fed.catch(refuseRest)
      } finally {
        source.destroy()
        gunzip.destroy()
      }
    },
  }
}

/** zlib stops at bytes that are no further member, and the stream before it is aborted: by nobody who asked for that. */
function refuseRest(error: unknown): never {
  const isOwn = error instanceof Error && 'code' in error && error.code === 'ABORT_ERR'
  throw isOwn ? new Error('bytes follow the end of the gzip data', { cause: error }) : error
}
