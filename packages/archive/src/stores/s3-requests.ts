// The SDK is loaded with the first request: it is many times this package's own weight, and most archives are folders.
import { Readable } from 'node:stream'
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import type { StoredObject } from './archive-store.ts'
import type { S3Address } from './s3-address.ts'
import { isS3Missing } from './s3-failure.ts'
import { type S3Upload, uploadChunks } from './s3-upload.ts'

const CHUNK_BYTES = 1024 * 1024
const CONNECT_MS_MAX = 10_000
const IDLE_MS_MAX = 60_000

/** Failures are thrown; without this the SDK would also write some to the console. */
const SILENT = { debug: ignored, info: ignored, warn: ignored, error: ignored }

type Sdk = Pick<
  typeof import('@aws-sdk/client-s3'),
  | 'DeleteObjectCommand'
  | 'GetObjectCommand'
  | 'HeadObjectCommand'
  | 'ListObjectsV2Command'
  | 'PutObjectCommand'
>

/** A body on its way, and how long it will be. */
export interface S3Body {
  readonly bytes: number
  /** The first byte's place, when the service kept to the range that was asked for. */
  readonly position: number
  /** Names the content under the key, when the service says so. */
  readonly etag: string | undefined
  readonly stream: Readable
}

/** A part of an object: from `position`, at most so long; with an etag refused (412) when other content is there by now. */
export interface S3Range {
  readonly position: number
  readonly bytes: number
  readonly etag?: string
}

/** The few requests of S3 that a store needs, by whole key. Failures are the SDK's. */
export class S3Requests {
  readonly #address: S3Address
  #loaded: Promise<{ sdk: Sdk; client: S3Client }> | undefined

  constructor(address: S3Address) {
    this.#address = address
  }

  /** One PUT that the service refuses (412) when the key is taken. */
  async create(key: string, upload: S3Upload): Promise<void> {
    const { sdk, client } = await this.#load()
    const body = upload.buffer ?? Readable.from(uploadChunks(upload), { objectMode: false })
    const command = new sdk.PutObjectCommand({
      ...this.#place(key),
      Body: body,
      ContentLength: upload.bytes,
      ContentMD5: upload.md5,
      IfNoneMatch: '*',
    })
    try {
      await client.send(command)
    } finally {
      if (body instanceof Readable) body.destroy()
    }
  }

  /** A whole object, or a part of it. */
  async get(key: string, range?: S3Range): Promise<S3Body> {
    const { sdk, client } = await this.#load()
    const last = range === undefined ? 0 : range.position + range.bytes - 1
    const Range = range === undefined ? undefined : `bytes=${range.position}-${last}`
    const IfMatch = range?.etag
    return bodyOf(await client.send(new sdk.GetObjectCommand({ ...this.#place(key), Range, IfMatch })))
  }

  /** The length, or `undefined` when there is no such key. */
  async bytesOf(key: string): Promise<number | undefined> {
    const { sdk, client } = await this.#load()
    try {
      const { ContentLength } = await client.send(new sdk.HeadObjectCommand(this.#place(key)))
      return ContentLength ?? 0
    } catch (error) {
      if (isS3Missing(error)) return undefined
      throw error
    }
  }

  /** One page of keys after `startAfter`, ascending; `isLast`: nothing follows it. */
  async page(
    prefix: string,
    { startAfter, limit }: { readonly startAfter: string; readonly limit: number },
  ): Promise<{ readonly objects: StoredObject[]; readonly isLast: boolean }> {
    const { sdk, client } = await this.#load()
    const command = new sdk.ListObjectsV2Command({
      Bucket: this.#address.bucket,
      Prefix: prefix,
      MaxKeys: limit,
      ...(startAfter === '' ? {} : { StartAfter: startAfter }),
    })
    const { Contents = [], IsTruncated = false } = await client.send(command)
    const objects = Contents.map(({ Key = '', Size = 0 }) => ({ name: Key, bytes: Size }))
    return { objects, isLast: !IsTruncated }
  }

  async remove(key: string): Promise<void> {
    const { sdk, client } = await this.#load()
    await client.send(new sdk.DeleteObjectCommand(this.#place(key)))
  }

  #place(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#address.bucket, Key: key }
  }

  #load(): Promise<{ sdk: Sdk; client: S3Client }> {
    this.#loaded ??= this.#open()
    return this.#loaded
  }

  async #open(): Promise<{ sdk: Sdk; client: S3Client }> {
    const sdk = await import('@aws-sdk/client-s3')
    const { endpoint, region, isPathStyle } = this.#address
    const client = new sdk.S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      forcePathStyle: isPathStyle,
      // The SDK's own checksums need a framing that other services than AWS refuse; Content-MD5 is understood by all.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // A service that falls silent must not hold a shipper for ever.
      logger: SILENT,
      requestHandler: { connectionTimeout: CONNECT_MS_MAX, socketTimeout: IDLE_MS_MAX },
    })
    return { sdk, client }
  }
}

function bodyOf({ Body, ContentLength, ContentRange, ETag }: GetObjectCommandOutput): S3Body {
  if (!(Body instanceof Readable) || ContentLength === undefined) {
    throw new Error('the service answered without a body or its length')
  }
  const position = Number(/^bytes (\d+)-/.exec(ContentRange ?? '')?.[1] ?? 0)
  return { bytes: ContentLength, position, etag: ETag, stream: Body }
}

/** A body in chunks of at most 1 MiB. A connection that ends early is an error, not the end of the object. */
export async function* bodyChunks({
  bytes,
  stream,
}: Pick<S3Body, 'bytes' | 'stream'>): AsyncGenerator<Buffer> {
  let count = 0
  for await (const piece of stream as AsyncIterable<Buffer>) {
    count += piece.length
    for (let at = 0; at < piece.length; at += CHUNK_BYTES) yield piece.subarray(at, at + CHUNK_BYTES)
  }
  if (count !== bytes) throw new Error('the answer has another length than it said')
}

function ignored(): void {
  // What the SDK would log is in the error that it throws.
}
