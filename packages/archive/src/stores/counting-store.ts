// Requests are what an object store bills for: counted at the port, so that tests can hold what each step of shipping costs.
import type { ArchiveStore, GrowingObject } from './archive-store.ts'

/** Requests made of a store and bytes moved since it was wrapped. */
export interface StoreCounts {
  /** Parts appended to objects that grow are among them. */
  put: number
  get: number
  getRange: number
  getStream: number
  status: number
  list: number
  delete: number
  /** Bytes of content sent. */
  putBytes: number
  /** Bytes of content received. */
  getBytes: number
}

/** A store that counts. */
export interface CountingStore extends ArchiveStore {
  readonly counts: Readonly<StoreCounts>
}

/** Counts each call to a store and the bytes of content; an object store may need several requests for one listing or put. */
export function countingStore(store: ArchiveStore): CountingStore {
  const counts: StoreCounts = {
    put: 0,
    get: 0,
    getRange: 0,
    getStream: 0,
    status: 0,
    list: 0,
    delete: 0,
    putBytes: 0,
    getBytes: 0,
  }
  async function* counted<T extends Uint8Array>(
    stream: AsyncIterable<T>,
    kind: 'putBytes' | 'getBytes',
  ): AsyncGenerator<T> {
    for await (const chunk of stream) {
      counts[kind] += chunk.length
      yield chunk
    }
  }
  return {
    url: store.url,
    counts,
    ...countedGrowth(store, counts),
    put(name, content) {
      counts.put++
      if (!(content instanceof Uint8Array)) {
        return store.put(name, { bytes: content.bytes, read: () => counted(content.read(), 'putBytes') })
      }
      counts.putBytes += content.length
      return store.put(name, content)
    },
    async get(name, options) {
      counts.get++
      const content = await store.get(name, options)
      counts.getBytes += content.length
      return content
    },
    async getRange(name, range) {
      counts.getRange++
      const content = await store.getRange(name, range)
      counts.getBytes += content.length
      return content
    },
    getStream(name, memory) {
      counts.getStream++
      return counted(store.getStream(name, memory), 'getBytes')
    },
    status(name) {
      counts.status++
      return store.status(name)
    },
    list(prefix, options) {
      counts.list++
      return store.list(prefix, options)
    },
    delete(name) {
      counts.delete++
      return store.delete(name)
    },
  }
}

function countedGrowth(store: ArchiveStore, counts: StoreCounts): Pick<ArchiveStore, 'grow'> {
  const grow = store.grow?.bind(store)
  if (grow === undefined) return {}
  const counted = (object: GrowingObject): GrowingObject => ({
    get position() {
      return object.position
    },
    append(part) {
      counts.put++
      counts.putBytes += part.length
      return object.append(part)
    },
    close: () => object.close(),
  })
  return { grow: async (name) => counted(await grow(name)) }
}
