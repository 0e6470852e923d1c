// A PUT must say its length and digest before its first byte. What is long is spooled into a file that has no name any more:
// whatever ends the process, the system takes its space back.
import { createHash, randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FileHandle, nodeFileSystem, readFully } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import type { PutStream } from './archive-store.ts'
import { wrapped } from './system-failure.ts'

/** The most that one PUT can carry, by S3's rules: 5 GiB. */
export const S3_PUT_BYTES_MAX: number = 5 * 1024 ** 3
const CHUNK_BYTES = 1024 * 1024

/** Content of known length and digest that can be read as often as needed. */
export interface S3Upload {
  readonly bytes: number
  /** In base64, as Content-MD5 wants it. */
  readonly md5: string
  /** All of it, when it is in memory. */
  readonly buffer: Buffer | undefined
  read(position: number, bytes: number): Promise<Buffer>
  close(): Promise<void>
}

/** How much a gathering may take. */
export interface GatherBounds {
  /** Beyond this many bytes content goes to a file; default 16 MiB. */
  readonly memoryBytesMax?: number
  /** Default 5 GiB. */
  readonly bytesMax?: number
}

/**
 * Gathers content to put.
 *
 * @throws ARCHIVE_OBJECT_TOO_LARGE beyond `bytesMax`
 * @throws ARCHIVE_SOURCE_CHANGED when a stream has another length than announced
 * @throws ARCHIVE_STORE_FAILED when the temporary folder refuses
 */
export async function gather(
  name: string,
  content: Uint8Array | PutStream,
  { memoryBytesMax = 16 * 1024 * 1024, bytesMax = S3_PUT_BYTES_MAX }: GatherBounds = {},
): Promise<S3Upload> {
  const announced = content instanceof Uint8Array ? content.length : content.bytes
  if (announced !== undefined && announced > bytesMax) throw tooLarge(name, announced, bytesMax)
  const spool = new Spool(name, memoryBytesMax)
  const md5 = createHash('md5')
  try {
    for await (const chunk of content instanceof Uint8Array ? [content] : content.read()) {
      if (spool.bytes + chunk.length > bytesMax) throw tooLarge(name, spool.bytes + chunk.length, bytesMax)
      md5.update(chunk)
      await spool.add(chunk)
    }
    if (announced !== undefined && announced !== spool.bytes) {
      throw archiveError('ARCHIVE_SOURCE_CHANGED', 'a stream has another length than announced', {
        details: { name, bytes: spool.bytes, announcedBytes: announced },
      })
    }
    return spool.finished(md5.digest('base64'))
  } catch (error) {
    await spool.close()
    throw error
  }
}

/** All of an upload, in chunks of at most 1 MiB. */
export async function* uploadChunks(upload: S3Upload): AsyncGenerator<Buffer> {
  for (let position = 0; position < upload.bytes; position += CHUNK_BYTES) {
    yield await upload.read(position, Math.min(CHUNK_BYTES, upload.bytes - position))
  }
}

class Spool {
  readonly #site: { name: string; url: string; isPut: true }
  readonly #memoryBytesMax: number
  #chunks: Buffer[] = []
  #file: FileHandle | undefined
  #bytes = 0

  constructor(name: string, memoryBytesMax: number) {
    this.#site = { name, url: tmpdir(), isPut: true }
    this.#memoryBytesMax = memoryBytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  async add(chunk: Uint8Array): Promise<void> {
    // A copy: the source may use its buffer again.
    if (this.#file === undefined) this.#chunks.push(Buffer.from(chunk))
    else await this.#write(this.#file, chunk, this.#bytes)
    this.#bytes += chunk.length
    if (this.#file !== undefined || this.#bytes <= this.#memoryBytesMax) return
    this.#file = await wrapped(nameless, this.#site)
    await this.#write(this.#file, Buffer.concat(this.#chunks), 0)
    this.#chunks = []
  }

  finished(md5: string): S3Upload {
    const close = (): Promise<void> => this.close()
    const file = this.#file
    if (file === undefined) {
      const buffer = Buffer.concat(this.#chunks)
      const read = async (position: number, bytes: number): Promise<Buffer> =>
        buffer.subarray(position, position + bytes)
      return { bytes: this.#bytes, md5, buffer, read, close }
    }
    const read = (position: number, bytes: number): Promise<Buffer> =>
      wrapped(async () => {
        const target = Buffer.allocUnsafe(bytes)
        return target.subarray(0, await readFully(file, target, position))
      }, this.#site)
    return { bytes: this.#bytes, md5, buffer: undefined, read, close }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #write(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
    await wrapped(() => file.write(chunk, position), this.#site)
  }
}

async function nameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `timberline-${randomBytes(12).toString('hex')}`)
  const file = await nodeFileSystem.open(path, 'create')
  await nodeFileSystem.remove(path)
  return file
}

function tooLarge(name: string, bytes: number, bytesMax: number): Error {
  return archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is larger than one put can be', {
    details: { name, bytes, bytesMax },
  })
}
