// Fault model: any request to the service may be refused, cut before it took effect, or take effect and lose its answer.
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openStore, storeConformance, verifyArchive } from '../src/index.ts'
import { bodyChunks } from '../src/stores/s3-requests.ts'
import { gather, S3_PUT_BYTES_MAX, uploadChunks } from '../src/stores/s3-upload.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  openTestLog,
  ship,
} from './support/archive-scene.ts'
import { type S3Fault, S3Server } from './support/s3-server.ts'

const CONTENT = Buffer.from('content of an object')
const PASSING: readonly S3Fault[] = ['500', '503', '409', 'cut', 'drop-reply']
let server: S3Server
let number = 0

const freshUrl = (): string => server.url(`archive-${String(++number)}`)
const failing = (code: string): unknown => expect.objectContaining({ code })

beforeAll(async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-test')
  // One attempt: each fault is seen by the store, not mended by the SDK.
  vi.stubEnv('AWS_MAX_ATTEMPTS', '1')
  server = await S3Server.start()
})

afterEach(() => {
  server.fault = () => undefined
  server.ignoresConditions = false
})

afterAll(async () => {
  await server.close()
  vi.unstubAllEnvs()
})

describe.each(storeConformance)('$title', (check) => {
  it('in a bucket', async () => {
    await expect(check.run(openStore(freshUrl()))).resolves.toBeUndefined()
  })
})

describe('the S3 store', () => {
  it('lists over many pages, and passes over what no object can be', async () => {
    const prefix = `archive-${String(++number)}`
    const names = Array.from({ length: 2500 }, (_, index) => `n/${String(index).padStart(5, '0')}`)
    for (const name of [...names, 'n/.hidden', 'n/']) server.objects.set(`${prefix}/${name}`, CONTENT)
    server.objects.set(`${prefix}-beside/n/1`, CONTENT)
    const listed = await all(openStore(server.url(prefix)).list('n/'))
    expect(listed.map(({ name }) => name)).toEqual(names)
  })

  it('stores what does not fit into memory, as one object', async () => {
    const content = Buffer.alloc(17 * 1024 * 1024, 'spooled ')
    const parts = { read: () => cutInto(content, 700_001) }
    const store = openStore(freshUrl())
    expect(await store.put('big', parts)).toBe('created')
    expect((await store.get('big')).equals(content)).toBe(true)
    expect(await store.put('big', parts)).toBe('exists-same')
    content[content.length - 1] = 0
    await expect(store.put('big', parts)).rejects.toThrow(failing('ARCHIVE_CONFLICT'))
  })

  it('refuses what one put cannot carry, before it reads it', async () => {
    let isRead = false
    const read = (): AsyncGenerator<Uint8Array> => {
      isRead = true
      return cutInto(CONTENT, 1)
    }
    const put = openStore(freshUrl()).put('huge', { bytes: S3_PUT_BYTES_MAX + 1, read })
    await expect(put).rejects.toThrow(failing('ARCHIVE_OBJECT_TOO_LARGE'))
    expect(isRead).toBe(false)
    const unannounced = gather(
      'huge',
      { read: () => cutInto(CONTENT, 3) },
      { memoryBytesMax: 4, bytesMax: 10 },
    )
    await expect(unannounced).rejects.toThrow(failing('ARCHIVE_OBJECT_TOO_LARGE'))
  })

  it('reads a spooled upload as often as asked', async () => {
    const upload = await gather('x', { read: () => cutInto(CONTENT, 3) }, { memoryBytesMax: 4 })
    expect(upload.buffer).toBeUndefined()
    for (let time = 1; time <= 2; time++) {
      expect(Buffer.concat(await all(uploadChunks(upload)))).toEqual(CONTENT)
    }
    await upload.close()
  })

  it('refuses a service that ignores conditions, and only once something is to be put', async () => {
    server.ignoresConditions = true
    const store = openStore(freshUrl())
    expect(await store.status('x')).toBeUndefined()
    expect(await all(store.list(''))).toEqual([])
    await expect(store.put('x', CONTENT)).rejects.toThrow(failing('ARCHIVE_STORE_UNSAFE'))
    expect(await store.status('x')).toBeUndefined()
    // A bucket that was mended meanwhile is taken at the next try.
    server.ignoresConditions = false
    expect(await store.put('x', CONTENT)).toBe('created')
  })

  it('probes once, and reads without a right to write', async () => {
    const url = freshUrl()
    const store = openStore(url)
    await Promise.all(['a', 'b', 'c'].map((name) => store.put(name, CONTENT)))
    await store.put('d', CONTENT)
    expect(server.requests.filter(({ key }) => key === `archive-${String(number)}/.probe`)).toHaveLength(2)
    server.fault = ({ method }) => (method === 'PUT' ? '403' : undefined)
    expect(await openStore(url).get('a')).toEqual(CONTENT)
    await expect(store.put('e', CONTENT)).rejects.toThrow(failing('ARCHIVE_STORE_FAILED'))
  })

  it('does not take a missing bucket for an empty archive', async () => {
    const store = openStore(freshUrl().replace('s3://bucket', 's3://mistyped'))
    await expect(all(store.list(''))).rejects.toThrow(failing('ARCHIVE_STORE_FAILED'))
    await expect(store.get('x')).rejects.toThrow(failing('ARCHIVE_STORE_FAILED'))
  })

  it.each(PASSING)(
    'neither loses nor doubles an object when any request of a put meets %s',
    async (fault) => {
      const before = server.overwriteCount
      for (const index of [1, 2, 3, 4]) {
        const store = openStore(freshUrl())
        const begin = server.requests.length
        server.fault = (request) => (request.index === begin + index ? fault : undefined)
        const outcome = await store.put('x', CONTENT).catch((error: unknown) => error)
        server.fault = () => undefined
        const stored = await store.get('x').catch((error: unknown) => error)
        const isPromised = outcome === 'created' || outcome === 'exists-same'
        expect(isPromised ? stored : outcome).toEqual(isPromised ? CONTENT : failing('ARCHIVE_STORE_FAILED'))
        expect(['created', 'exists-same']).toContain(await store.put('x', CONTENT))
        expect(await store.get('x')).toEqual(CONTENT)
      }
      expect(server.overwriteCount).toBe(before)
    },
  )

  it('takes its own content for stored when the answer was lost, and other content for a conflict', async () => {
    const store = openStore(freshUrl())
    await store.put('first', CONTENT)
    server.fault = ({ method }) => (method === 'PUT' ? 'drop-reply' : undefined)
    expect(await store.put('x', CONTENT)).toBe('exists-same')
    await expect(store.put('x', Buffer.from('other'))).rejects.toThrow(failing('ARCHIVE_CONFLICT'))
    server.fault = ({ method }) => (method === 'PUT' ? '409' : undefined)
    expect(await store.put('x', CONTENT)).toBe('exists-same')
    await expect(store.put('new', CONTENT)).rejects.toThrow(failing('ARCHIVE_STORE_FAILED'))
  })

  it.each(['500', '503', 'cut', 'half-body'] as const)('tells of %s in every reading', async (fault) => {
    const store = openStore(freshUrl())
    await store.put('x', CONTENT)
    server.fault = ({ method }) => (method === 'HEAD' && fault === 'half-body' ? 'cut' : fault)
    const refused = failing('ARCHIVE_STORE_FAILED')
    await expect(store.get('x')).rejects.toThrow(refused)
    await expect(store.getRange('x', { position: 0, bytes: 10 })).rejects.toThrow(refused)
    await expect(all(store.getStream('x'))).rejects.toThrow(refused)
    await expect(store.status('x')).rejects.toThrow(refused)
    await expect(all(store.list(''))).rejects.toThrow(refused)
  })

  it('goes on where an answer was cut, and asks for the rest of the same content', async () => {
    const store = openStore(freshUrl())
    const content = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251))
    await store.put('x', content)
    const begin = server.requests.length
    server.fault = ({ index }) => (index <= begin + 3 ? 'half-body' : undefined)
    expect(Buffer.concat(await all(store.getStream('x'))).equals(content)).toBe(true)
    const ranges = server.requests.slice(begin).map(({ range }) => range?.replace(/\d+-/, 'N-'))
    expect(ranges).toEqual([undefined, 'bytes=N-2999999', 'bytes=N-2999999', 'bytes=N-2999999'])
  })

  it('mixes no two contents into one when an object is exchanged under a reading', async () => {
    const url = freshUrl()
    const store = openStore(url)
    await store.put('x', Buffer.alloc(3_000_000, 'a'))
    const begin = server.requests.length
    server.fault = ({ index }) => {
      // Once the first answer is on its way.
      if (index > begin + 1) server.objects.set(`archive-${String(number)}/x`, Buffer.alloc(3_000_000, 'b'))
      return index === begin + 1 ? 'half-body' : undefined
    }
    await expect(all(store.getStream('x'))).rejects.toMatchObject({
      code: 'ARCHIVE_STORE_FAILED',
      details: { status: 412 },
    })
  })

  it('gives a reading up that is cut again and again', async () => {
    const store = openStore(freshUrl())
    await store.put('x', Buffer.alloc(3_000_000, 'a'))
    const begin = server.requests.length
    server.fault = () => 'half-body'
    await expect(all(store.getStream('x'))).rejects.toThrow(failing('ARCHIVE_STORE_FAILED'))
    expect(server.requests.length - begin).toBe(1 + 8)
  })

  it('keeps secrets out of what it throws', async () => {
    const store = openStore(freshUrl())
    server.fault = () => '403'
    const error: unknown = await store.get('x').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'ARCHIVE_STORE_FAILED',
      kind: 'unavailable',
      details: { status: 403 },
    })
    const { inspect } = await import('node:util')
    expect(inspect(error, { depth: 20, showHidden: true })).not.toMatch(/secret-of-test|Signature=/)
  })

  it('refuses addresses that mean nothing, and repeats no credentials', () => {
    const odd = [
      's3:',
      's3://',
      's3://b',
      's3://UP_/x',
      's3://bucket/a//b',
      's3://bucket/.x',
      's3://bucket:1/x',
    ]
    const parameters = [
      'regio=x',
      'path-style=yes',
      'endpoint=ftp://x',
      'endpoint=x',
      'region=a%20b',
      'region=a&region=b',
    ]
    const secrets = ['s3://me:hidden@bucket/x', 's3://bucket/x?endpoint=http://me:hidden@host']
    for (const url of [...odd, ...parameters.map((text) => `s3://bucket/x?${text}`), ...secrets]) {
      expect(() => openStore(url), url).toThrow(failing('ARCHIVE_URL_UNKNOWN'))
    }
    for (const url of secrets) {
      expect(() => openStore(url)).toThrow(
        expect.objectContaining({ message: expect.not.stringMatching('hidden') }),
      )
    }
    expect(openStore('s3://bucket').url).toBe('s3://bucket')
  })
})

describe('a shipper over S3', () => {
  it('ends with a whole archive, whatever every fourth of its requests meets for a while', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    const archive = await archiveOn(openStore(freshUrl()))
    const faults: readonly S3Fault[] = [...PASSING, 'slow', 'half-body']
    const overwritten = server.overwriteCount
    let metCount = 0
    // For a while: an operation of more than four requests would never get through otherwise.
    const isDue = (index: number): boolean => index % 4 === 0 && metCount < 3 * faults.length
    server.fault = ({ index }) => (isDue(index) ? faults[metCount++ % faults.length] : undefined)
    const { shipper, stop } = ship(disk, archive)
    for (let round = 1; round <= 4; round++) {
      await appendRecords(log, 10)
      if (round % 2 === 0) await log.roll()
      await shipper.flush()
    }
    expect(await shipper.flushWhole()).toBe(log.durableLsn)
    expect(metCount).toBe(3 * faults.length)
    await stop()
    server.fault = () => undefined
    const records = await archivedRecords(archive)
    expect(records.map(({ lsn }) => lsn)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
    expect(await all(verifyArchive(archive, { strays: true }))).toEqual([])
    expect(server.overwriteCount).toBe(overwritten)
    await log.close()
  })
})

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

async function* cutInto(content: Buffer, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += bytes) yield content.subarray(at, at + bytes)
}

it.each([9, 11])(
  'an answer of %i bytes that said 10 is refused, though its connection ended well',
  async (length) => {
    const stream = Readable.from([Buffer.alloc(length)], { objectMode: false })
    await expect(all(bodyChunks({ bytes: 10, stream }))).rejects.toThrow('another length')
  },
)
