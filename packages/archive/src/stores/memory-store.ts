import {
  type ArchiveStore,
  checkedName,
  GET_BYTES_MAX,
  type GrowingObject,
  type PutStream,
} from './archive-store.ts'
import { archiveError } from '../errors.ts'

const CHUNK_BYTES = 1024 * 1024

/**
 * A store in memory, for tests and for the model that other stores are held to.
 *
 * @param options - `grows`: whether objects can grow in it, as in a folder; default false, as in most other stores.
 */
export function memoryStore(
  url = 'memory:',
  { grows = false }: { readonly grows?: boolean } = {},
): ArchiveStore {
  const objects = new Map<string, Buffer>()
  const find = (name: string): Buffer => {
    const content = objects.get(checkedName(name))
    if (content !== undefined) return content
    throw archiveError('ARCHIVE_OBJECT_MISSING', 'there is no such object', { details: { name, url } })
  }
  return {
    url,
    ...(grows ? { grow: async (name) => growIn(objects, { name: checkedName(name), url }) } : {}),
    async put(name, content) {
      checkedName(name)
      const bytes = await collect(name, content)
      const existing = objects.get(name)
      if (existing?.equals(bytes) === true) return 'exists-same'
      if (existing !== undefined) {
        throw archiveError('ARCHIVE_CONFLICT', 'other content is stored under this name', {
          details: { name, url },
        })
      }
      objects.set(name, bytes)
      return 'created'
    },
    async get(name, { bytesMax = GET_BYTES_MAX } = {}) {
      const content = find(name)
      if (content.length <= bytesMax) return Buffer.from(content)
      throw archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is too large to hold', {
        details: { name, bytes: content.length, bytesMax },
      })
    },
    async getRange(name, { position, bytes }) {
      return Buffer.from(find(name).subarray(position, position + bytes))
    },
    async *getStream(name) {
      const content = find(name)
      for (let at = 0; at < content.length; at += CHUNK_BYTES)
        yield Buffer.from(content.subarray(at, at + CHUNK_BYTES))
    },
    async status(name) {
      const content = objects.get(checkedName(name))
      return content === undefined ? undefined : { bytes: content.length }
    },
    async *list(prefix, { startAfter = '', limit = Infinity } = {}) {
      const names = [...objects.keys()]
        .filter((name) => name.startsWith(prefix) && name > startAfter)
        .toSorted()
      for (const name of names.slice(0, limit)) yield { name, bytes: objects.get(name)?.length ?? 0 }
    },
    async delete(name) {
      objects.delete(checkedName(name))
    },
  }
}

function growIn(
  objects: Map<string, Buffer>,
  { name, url }: { readonly name: string; readonly url: string },
): GrowingObject {
  if (objects.has(name)) {
    throw archiveError('ARCHIVE_CONFLICT', 'an object of this name is there', { details: { name, url } })
  }
  objects.set(name, Buffer.alloc(0))
  let whole = Buffer.alloc(0)
  return {
    get position() {
      return whole.length
    },
    async append(part) {
      whole = Buffer.concat([whole, part])
      // As in a folder: what was removed meanwhile does not come back by an append.
      if (objects.has(name)) objects.set(name, whole)
    },
    async close() {
      // Nothing is held but memory.
    },
  }
}

async function collect(name: string, content: Uint8Array | PutStream): Promise<Buffer> {
  if (content instanceof Uint8Array) return Buffer.from(content)
  const chunks: Buffer[] = []
  for await (const chunk of content.read()) chunks.push(Buffer.from(chunk))
  const bytes = Buffer.concat(chunks)
  if (content.bytes === undefined || content.bytes === bytes.length) return bytes
  throw archiveError('ARCHIVE_SOURCE_CHANGED', 'a stream has another length than announced', {
    details: { name, bytes: bytes.length, announcedBytes: content.bytes },
  })
}
