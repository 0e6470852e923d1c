import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, gunzipSync, gzipSync } from 'node:zlib'
import { blocksOf, type GzipCodec } from './gzip-codec.ts'
import { GzipWorker } from './gzip-worker.ts'
import { following, takeHead } from './stream-head.ts'

/** One thread for the whole process: shipping must not take more than one core from the application. */
const worker = new GzipWorker()
/** Level 1 is twice as fast as level 6 for 15 % more bytes. */
const LEVEL_DEFAULT = 1
const OUTPUT_BYTES = 256 * 1024
/** Up to here a member is made at once, in a quarter of a millisecond: to hand it to another thread takes this one as long. */
const AT_ONCE_BYTES_MAX = 16 * 1024
/** Stored bytes that are decompressed in one call when nothing follows them: a stream costs several times as much. */
const AT_ONCE_STORED_BYTES_MAX = 16 * 1024

/** gzip by the platform's zlib: what is small at once; all else compressed in a worker thread, decompressed as a stream. */
export function nativeGzip(level: number = LEVEL_DEFAULT): GzipCodec {
  return {
    async *compress(content) {
      let before: Promise<Buffer> | undefined
      for await (const block of blocksOf(content)) {
        const isSmall = block.length <= AT_ONCE_BYTES_MAX
        const member = isSmall ? Promise.resolve(gzipSync(block, { level })) : worker.compress(block, level)
        // Awaited one block later; an error must not surface as unhandled before that.
        member.catch(() => undefined)
        if (before !== undefined) yield await before
        before = member
      }
      if (before !== undefined) yield await before
    },
    async *decompress(stored) {
      const iterator = stored[Symbol.asyncIterator]()
      try {
        const { head, rest } = await takeHead(iterator, AT_ONCE_STORED_BYTES_MAX + 1)
        const content = head.length > AT_ONCE_STORED_BYTES_MAX ? undefined : decompressedAtOnce(head)
        if (content === undefined) yield* decompressedInParts(following([head, rest], iterator))
        else yield content
      } finally {
        await iterator.return?.()
      }
    },
  }
}

/** The content of all members; `undefined` when it is more than one chunk may have. */
function decompressedAtOnce(stored: Buffer): Buffer | undefined {
  try {
    const { buffer, engine } = inflate(stored)
    if (engine.bytesWritten < stored.length) throw new Error('bytes follow the end of the gzip data')
    return buffer
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') return undefined
    throw error
  }
}

/** With `info` the answer has another type than the declared one; only it tells how much of the input was taken. */
interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

function inflate(stored: Buffer): Inflated {
  return gunzipSync(stored, { info: true, maxOutputLength: OUTPUT_BYTES } as object) as unknown as Inflated
}

async function* decompressedInParts(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
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
}

/** zlib stops at bytes that are no further member, and the stream before it is aborted: by nobody who asked for that. */
function refuseRest(error: unknown): never {
  const isOwn = error instanceof Error && 'code' in error && error.code === 'ABORT_ERR'
  throw isOwn ? new Error('bytes follow the end of the gzip data', { cause: error }) : error
}
