// A strict S3 in memory: what the archive needs of the service, with conditional puts as AWS and Ceph carry them out, and
// faults on demand. It checks the digest of what it takes and that requests are signed, not the signature itself.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What goes wrong with a request; `drop-reply`: it takes effect, and its answer is lost. */
export type S3Fault = '500' | '503' | '409' | '403' | 'drop-reply' | 'cut' | 'slow' | 'half-body'

/** A request as the plan of faults sees it; counted from 1. */
export interface S3Request {
  readonly index: number
  readonly method: string
  readonly key: string
  /** The range that is asked for, as it stands in the header. */
  readonly range?: string | undefined
}

/** A bucket named `bucket`, and all that was asked of it. */
export class S3Server {
  readonly objects = new Map<string, Buffer>()
  readonly requests: S3Request[] = []
  /** How often a key got content while it had some. */
  overwriteCount = 0
  ignoresConditions = false
  fault: (request: S3Request) => S3Fault | undefined = () => undefined
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => request.socket.destroy())
    })
  }

  static async start(): Promise<S3Server> {
    const server = new S3Server()
    await new Promise<void>((resolve) => {
      server.#server.listen(0, '127.0.0.1', resolve)
    })
    return server
  }

  url(prefix: string): string {
    const { port } = this.#server.address() as AddressInfo
    return `s3://bucket/${prefix}?endpoint=http://127.0.0.1:${String(port)}&path-style=true`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://host')
    const [, bucket, ...rest] = decodeURIComponent(pathname).split('/')
    const seen = {
      index: this.requests.length + 1,
      method: request.method ?? '',
      key: rest.join('/'),
      range: request.headers.range,
    }
    this.requests.push(seen)
    const fault = this.fault(seen)
    const body = await bodyOf(request)
    if (fault === 'cut') return void request.socket.destroy()
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, 30))
    if (fault === '500') return fail(response, 500, 'InternalError')
    if (fault === '503') return fail(response, 503, 'SlowDown')
    if (fault === '409') return fail(response, 409, 'ConditionalRequestConflict')
    if (fault === '403') return fail(response, 403, 'AccessDenied')
    const answer = this.#answer({ request, body, bucket, key: seen.key, searchParams })
    if (fault === 'drop-reply') return void request.socket.destroy()
    response.writeHead(answer.status, { 'content-length': answer.body.length, ...answer.headers })
    if (request.method === 'HEAD') return void response.end()
    if (fault !== 'half-body') return void response.end(answer.body)
    response.write(answer.body.subarray(0, answer.body.length >> 1), () => request.socket.destroy())
  }

  #answer(asked: Asked): Answer {
    const { request, body, bucket, key, searchParams } = asked
    if (request.headers.authorization === undefined) return error(403, 'AccessDenied')
    if (bucket !== 'bucket') return error(404, 'NoSuchBucket')
    if (request.method === 'PUT') return this.#put(key, body, request)
    if (request.method === 'DELETE') {
      this.objects.delete(key)
      return { status: 204, body: Buffer.alloc(0) }
    }
    if (request.method === 'GET' && key === '') return this.#list(searchParams)
    const content = this.objects.get(key)
    if (content === undefined) return error(404, 'NoSuchKey')
    const etag = etagOf(content)
    const match = request.headers['if-match']
    if (match !== undefined && match !== etag) return error(412, 'PreconditionFailed')
    const answer = ranged(content, request.headers.range)
    return { ...answer, headers: { ...answer.headers, etag } }
  }

  #put(key: string, body: Buffer, { headers }: IncomingMessage): Answer {
    if (headers['content-length'] === undefined) return error(411, 'MissingContentLength')
    const md5 = createHash('md5').update(body).digest('base64')
    if (headers['content-md5'] !== md5) return error(400, 'BadDigest')
    const isTaken = this.objects.has(key)
    if (isTaken && headers['if-none-match'] === '*' && !this.ignoresConditions) {
      return error(412, 'PreconditionFailed')
    }
    this.overwriteCount += isTaken ? 1 : 0
    this.objects.set(key, body)
    return {
      status: 200,
      body: Buffer.alloc(0),
      headers: { etag: etagOf(body) },
    }
  }

  #list(parameters: URLSearchParams): Answer {
    const prefix = parameters.get('prefix') ?? ''
    const startAfter = parameters.get('start-after') ?? ''
    const limit = Math.min(1000, Number(parameters.get('max-keys') ?? 1000))
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > startAfter)
      .toSorted()
    const contents = keys.slice(0, limit).map((key) => {
      const bytes = this.objects.get(key)?.length ?? 0
      return `<Contents><Key>${key}</Key><Size>${String(bytes)}</Size></Contents>`
    })
    const truncated = `<IsTruncated>${String(keys.length > limit)}</IsTruncated>`
    const body = Buffer.from(`<ListBucketResult>${truncated}${contents.join('')}</ListBucketResult>`)
    return { status: 200, body, headers: { 'content-type': 'application/xml' } }
  }
}

interface Asked {
  readonly request: IncomingMessage
  readonly body: Buffer
  readonly bucket: string | undefined
  readonly key: string
  readonly searchParams: URLSearchParams
}

interface Answer {
  readonly status: number
  readonly body: Buffer
  readonly headers?: Record<string, string>
}

function ranged(content: Buffer, header: string | undefined): Answer {
  const match = /^bytes=(\d+)-(\d+)$/.exec(header ?? '')
  if (match === null) return { status: 200, body: content }
  const [first, last] = [Number(match[1]), Math.min(Number(match[2]), content.length - 1)]
  if (first >= content.length) return error(416, 'InvalidRange')
  const range = `bytes ${String(first)}-${String(last)}/${String(content.length)}`
  return { status: 206, body: content.subarray(first, last + 1), headers: { 'content-range': range } }
}

function etagOf(content: Buffer): string {
  return `"${createHash('md5').update(content).digest('hex')}"`
}

function error(status: number, code: string): Answer {
  const body = Buffer.from(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`)
  return { status, body, headers: { 'content-type': 'application/xml' } }
}

function fail(response: ServerResponse, status: number, code: string): void {
  const answer = error(status, code)
  response.writeHead(answer.status, answer.headers).end(answer.body)
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}
