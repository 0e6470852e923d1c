// Model: any request may fail before or after it took effect, and several writers may put the same name. A name is given by
// one conditional PUT, so that it never has half a content and never changes; whatever the answer to a PUT leaves open is
// settled by reading what lies under the name.
import {
  type ArchiveStore,
  checkedName,
  GET_BYTES_MAX,
  isObjectName,
  type ListOptions,
  type PutOutcome,
  type StoredObject,
} from './archive-store.ts'
import { archiveError } from '../errors.ts'
import type { S3Address } from './s3-address.ts'
import { asking, isS3Missing, s3Failure, s3StatusOf, type S3Site } from './s3-failure.ts'
import { bodyChunks, type S3Body, type S3Range, S3Requests } from './s3-requests.ts'
import { gather, type S3Upload } from './s3-upload.ts'

const PAGE_COUNT_MAX = 1000
/** So often one reading goes on after a connection that broke; a service that always breaks is not asked for ever. */
const RESUME_COUNT_MAX = 8
/** Begins with a dot, as no object's name does: listings pass over it. */
const PROBE = '.probe'

/** A store in a bucket of S3 or a service like it; the first put proves that the bucket refuses to overwrite. */
export function s3Store(address: S3Address): ArchiveStore {
  const { url, keyPrefix } = address
  const requests = new S3Requests(address)
  const bucket = new Bucket(address, requests)
  const keyOf = (name: string): string => keyPrefix + checkedName(name)
  const site = (name: string): S3Site => ({ name, url })
  return {
    url,
    async put(name, content) {
      const key = keyOf(name)
      const upload = await gather(name, content)
      try {
        return await bucket.put(key, upload)
      } finally {
        await upload.close()
      }
    },
    get: (name, { bytesMax = GET_BYTES_MAX } = {}) =>
      asking(site(name), async () => {
        const body = await requests.get(keyOf(name))
        if (body.bytes <= bytesMax) return await whole(body)
        body.stream.destroy()
        throw archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is too large to hold', {
          details: { name, bytes: body.bytes, bytesMax },
        })
      }),
    getRange: (name, range) => asking(site(name), () => partOf(requests, keyOf(name), range)),
    getStream: (name) => resumedChunks(requests, keyOf(name), site(name)),
    status: (name) =>
      asking(site(name), async () => {
        const bytes = await requests.bytesOf(keyOf(name))
        return bytes === undefined ? undefined : { bytes }
      }),
    list: (prefix, options = {}) => bucket.list(prefix, options),
    delete: (name) =>
      asking(site(name), async () => {
        try {
          await requests.remove(keyOf(name))
        } catch (error) {
          if (!isS3Missing(error)) throw error
        }
      }),
  }
}

class Bucket {
  readonly #address: S3Address
  readonly #requests: S3Requests
  #proof: Promise<void> | undefined

  constructor(address: S3Address, requests: S3Requests) {
    this.#address = address
    this.#requests = requests
  }

  async put(key: string, upload: S3Upload): Promise<PutOutcome> {
    await this.#proveOnce()
    const site = { name: key, url: this.#address.url }
    try {
      await this.#requests.create(key, upload)
      return 'created'
    } catch (error) {
      // Only a plain refusal says that nothing was stored; even 412 may speak of our own content, when the SDK asked twice.
      if (!isOpen(s3StatusOf(error))) throw s3Failure(error, site)
      const isSame = await asking(site, () => this.#isSame(key, upload))
      if (isSame === undefined) throw s3Failure(error, site)
      if (isSame) return 'exists-same'
      throw archiveError('ARCHIVE_CONFLICT', 'other content is stored under this name', { details: site })
    }
  }

  async *list(
    prefix: string,
    { startAfter = '', limit = Infinity }: ListOptions,
  ): AsyncGenerator<StoredObject> {
    const { keyPrefix, url } = this.#address
    let last = startAfter === '' ? '' : keyPrefix + startAfter
    let count = 0
    while (count < limit) {
      const bounds = { startAfter: last, limit: Math.min(PAGE_COUNT_MAX, limit - count) }
      const site = { name: prefix, url }
      const page = await asking(site, () => this.#requests.page(keyPrefix + prefix, bounds))
      for (const { name: key, bytes } of page.objects) {
        if (key <= last) throw s3Failure(new Error('the service listed its keys out of order'), site)
        last = key
        const name = key.slice(keyPrefix.length)
        // What somebody else laid here under a name that no object can have is not ours.
        if (!isObjectName(name)) continue
        count++
        yield { name, bytes }
      }
      if (page.isLast || page.objects.length === 0) return
    }
  }

  /** `undefined` when there is nothing under the key. */
  async #isSame(key: string, upload: S3Upload): Promise<boolean | undefined> {
    try {
      const body = await this.#requests.get(key)
      if (body.bytes !== upload.bytes) {
        body.stream.destroy()
        return false
      }
      let position = 0
      for await (const chunk of bodyChunks(body)) {
        if (!chunk.equals(await upload.read(position, chunk.length))) return false
        position += chunk.length
      }
      return true
    } catch (error) {
      if (isS3Missing(error)) return undefined
      throw error
    }
  }

  #proveOnce(): Promise<void> {
    if (this.#proof !== undefined) return this.#proof
    const proof = this.#prove()
    this.#proof = proof
    // What failed is tried again by the next put.
    proof.catch(() => (this.#proof = undefined))
    return proof
  }

  /** The probe stays: a later process is refused at its first try, and nobody needs the right to delete. */
  async #prove(): Promise<void> {
    const key = this.#address.keyPrefix + PROBE
    const site = { name: PROBE, url: this.#address.url }
    const upload = await gather(PROBE, Buffer.from('a second put of this must be refused\n'))
    for (let attempt = 1; attempt <= 2; attempt++) {
      try {
        await this.#requests.create(key, upload)
      } catch (error) {
        if (s3StatusOf(error) === 412) return
        throw s3Failure(error, site)
      }
    }
    throw archiveError('ARCHIVE_STORE_UNSAFE', 'the store overwrites what it should refuse', {
      details: site,
    })
  }
}

/** Whether a PUT with this answer may have taken effect, or found the key taken. */
function isOpen(status: number | undefined): boolean {
  return status === undefined || status === 409 || status === 412 || status >= 500
}

/** A part of an object; empty beyond its end. */
async function partOf(requests: S3Requests, key: string, range: S3Range): Promise<Buffer> {
  // No range says "nothing": asked for a byte, the service still tells whether the object is there.
  const asked = { position: range.position, bytes: Math.max(1, range.bytes) }
  try {
    const body = await requests.get(key, asked)
    if (body.position === asked.position && body.bytes <= asked.bytes) {
      return (await whole(body)).subarray(0, range.bytes)
    }
    body.stream.destroy()
    throw new Error('the service answered with another range')
  } catch (error) {
    if (s3StatusOf(error) === 416) return Buffer.alloc(0)
    throw error
  }
}

/** An object in chunks; where its connection breaks, the rest of the same content is asked for. */
async function* resumedChunks(requests: S3Requests, key: string, site: S3Site): AsyncGenerator<Buffer> {
  let body = await asking(site, () => requests.get(key))
  const { bytes, etag } = body
  let position = 0
  for (let resumes = 0; ; resumes++) {
    try {
      for await (const chunk of bodyChunks(body)) {
        position += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (etag === undefined || position >= bytes || resumes === RESUME_COUNT_MAX)
        throw s3Failure(error, site)
    }
    const rest = { position, bytes: bytes - position, etag }
    body = await asking(site, () => requests.get(key, rest))
    if (body.position === rest.position && body.bytes === rest.bytes) continue
    body.stream.destroy()
    throw s3Failure(new Error('the service answered with another range'), site)
  }
}

async function whole(body: S3Body): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of bodyChunks(body)) parts.push(chunk)
  return Buffer.concat(parts)
}
