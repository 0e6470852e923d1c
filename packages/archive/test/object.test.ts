import { createHash, randomBytes } from 'node:crypto'
import { gunzipSync as inflatePortably, gzipSync as deflatePortably } from 'fflate'
import { TimberlineError } from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'
import fc from 'fast-check'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { directoryStore, type GzipCodec, memoryStore, nativeGzip, portableGzip } from '../src/index.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../src/objects/checked-json.ts'
import { decodeObject } from '../src/objects/object-codec.ts'
import { decodeEnvelope, encodeEnvelope } from '../src/objects/object-envelope.ts'
import { ObjectShelf } from '../src/objects/object-shelf.ts'
import { collectSpoiling } from './support/spoilt-memory.ts'

const NATIVE = nativeGzip()
const PORTABLE = portableGzip()

async function* chunked(content: Uint8Array, chunkBytes = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += chunkBytes) yield content.subarray(at, at + chunkBytes)
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

const CONTENTS = [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2_500_000].map((bytes) =>
  Buffer.alloc(bytes, 'a line of JSON {"key":"value"}\n'),
)

describe.each([
  ['native', NATIVE, PORTABLE],
  ['portable', PORTABLE, NATIVE],
] as const)('the %s gzip codec', (_, codec: GzipCodec, other: GzipCodec) => {
  it('is read by itself, by the other one and by plain gunzip', async () => {
    for (const content of CONTENTS) {
      const stored = await collect(codec.compress(chunked(content, 77_777)))
      expect((await collect(codec.decompress(chunked(stored, 10_001)))).equals(content)).toBe(true)
      expect((await collect(other.decompress(chunked(stored)))).equals(content)).toBe(true)
    }
    const oneMember = await collect(codec.compress(chunked(Buffer.from('abc'))))
    expect(Buffer.from(inflatePortably(oneMember)).toString()).toBe('abc')
  })

  it('gives the same bytes for the same content, whatever its chunks', async () => {
    const content = Buffer.alloc(2_100_000, 'abc')
    const stored = await collect(codec.compress(chunked(content, 997)))
    expect((await collect(codec.compress(chunked(content, 999_999)))).equals(stored)).toBe(true)
  })

  it('reads what zlib and fflate make elsewhere', async () => {
    const content = Buffer.alloc(100_000, 'elsewhere ')
    for (const stored of [
      gzipSync(content, { level: 9 }),
      Buffer.from(deflatePortably(content, { level: 6 })),
    ]) {
      expect((await collect(codec.decompress(chunked(stored)))).equals(content)).toBe(true)
    }
  })

  it('round-trips any content', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 5000 }),
        fc.integer({ min: 1, max: 6000 }),
        async (content, step) => {
          const stored = await collect(codec.compress(chunked(content, step)))
          expect(await collect(other.decompress(chunked(stored, step)))).toEqual(Buffer.from(content))
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('the native gzip codec', () => {
  it('ends in an error for every truncation', async () => {
    const stored = await collect(NATIVE.compress(chunked(Buffer.from('some content to cut'))))
    for (let bytes = 0; bytes < stored.length; bytes++) {
      const read = collect(NATIVE.decompress(chunked(stored.subarray(0, bytes))))
      await expect(read, String(bytes)).rejects.toBeInstanceOf(Error)
    }
  })
})

describe.each([
  ['native', NATIVE],
  ['portable', PORTABLE],
] as const)('objects with the %s codec', (_, gzip) => {
  const shelf = (): ObjectShelf => new ObjectShelf(memoryStore(), gzip)

  it('come back as they were put, compressed or not', async () => {
    for (const content of CONTENTS) {
      for (const codec of ['gzip', 'none'] as const) {
        const objects = shelf()
        const result = await objects.put('n', content, { codec })
        expect(result).toMatchObject({ outcome: 'created', bytes: content.length, sha256: sha256(content) })
        expect((await objects.get('n')).equals(content)).toBe(true)
        expect((await objects.put('n', content, { codec })).outcome).toBe('exists-same')
      }
    }
  })

  it('come back also in memory that is lent in small pieces and spoilt once the next is asked for', async () => {
    const objects = new ObjectShelf(directoryStore('/archive', new CrashFileSystem()), gzip)
    for (const codec of ['gzip', 'none'] as const) {
      for (const [at, content] of CONTENTS.entries()) {
        const name = `${codec}/${String(at)}`
        await objects.put(name, content, { codec })
        // Shorter than what an object begins with, longer than it, and longer than most objects.
        for (const bytes of [13, 70, 50_000, 3_000_000]) {
          if (content.length > bytes * 10_000) continue
          const read = await collectSpoiling((memory) => objects.read(name, {}, { memory }), bytes)
          expect(read.content.equals(content), `${name}, ${String(bytes)} bytes`).toBe(true)
        }
      }
    }
    // What is stored as it is comes in the memory that it was read into.
    const { spoilt } = await collectSpoiling((memory) => objects.read('none/5', {}, { memory }), 50_000)
    expect(spoilt).toBe(51)
  })

  it('end in a typed error for any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const read = collect(decodeObject('n', chunked(bytes), { gzip }))
        await expect(read).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
      }),
    )
  })

  it('end in a typed error for any body behind a true header', async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 200 }).map((content) => gzipSync(content)),
    )
    await fc.assert(
      fc.asyncProperty(body, fc.nat({ max: 400 }), async (bytes, length) => {
        const header = encodeEnvelope('n', { codec: 'gzip', bytes: length, sha256: 'cd'.repeat(32) })
        const read = collect(decodeObject('n', chunked(Buffer.concat([header, bytes])), { gzip }))
        await expect(read).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
      }),
    )
  })

  it('stop a bomb at the length that their header states', async () => {
    const bomb = Buffer.concat(Array.from({ length: 20 }, () => gzipSync(Buffer.alloc(8 * 1024 * 1024))))
    const header = encodeEnvelope('n', { codec: 'gzip', bytes: 1000, sha256: sha256(Buffer.alloc(1000)) })
    let seen = 0
    const read = async (): Promise<void> => {
      for await (const chunk of decodeObject('n', chunked(Buffer.concat([header, bomb])), { gzip }))
        seen += chunk.length
    }
    await expect(read()).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
    expect(seen).toBeLessThanOrEqual(1000)
  })

  it('are refused by name for a flipped byte at every place, or come back right', async () => {
    const store = memoryStore()
    const content = Buffer.from('the content of a small object, the content of a small object')
    await new ObjectShelf(store, gzip).put('n', content)
    const whole = await store.get('n')
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
      expect(await outcomeOf(collect(decodeObject('n', chunked(damaged), { gzip })), content)).toMatch(
        /^(right|ARCHIVE_OBJECT_DAMAGED)$/,
      )
    }
    for (let bytes = 0; bytes < whole.length; bytes++) {
      expect(
        await outcomeOf(collect(decodeObject('n', chunked(whole.subarray(0, bytes)), { gzip })), content),
      ).toMatch(/^(right|ARCHIVE_OBJECT_DAMAGED)$/)
    }
  })
})

/** `right`, the code of the refusal, or `WRONG`. */
async function outcomeOf(read: Promise<Buffer>, content: Buffer): Promise<string> {
  try {
    return (await read).equals(content) ? 'right' : 'WRONG'
  } catch (error) {
    return error instanceof TimberlineError ? error.code : String(error)
  }
}

describe('objects', () => {
  it('are refused under another name', async () => {
    const store = memoryStore()
    await new ObjectShelf(store, NATIVE).put('a', Buffer.from('x'))
    await store.put('b', await store.get('a'))
    await expect(new ObjectShelf(store, NATIVE).get('b')).rejects.toMatchObject({
      code: 'ARCHIVE_OBJECT_DAMAGED',
    })
  })

  it('of equal content from another codec are the same, of other content a conflict', async () => {
    const store = memoryStore()
    const content = Buffer.alloc(10_000, 'abcabd')
    await new ObjectShelf(store, NATIVE).put('n', content)
    const other = new ObjectShelf(store, portableGzip(6))
    expect((await other.put('n', content)).outcome).toBe('exists-same')
    expect((await other.put('n', content, { codec: 'none' })).outcome).toBe('exists-same')
    await expect(other.put('n', Buffer.from('y'))).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
  })

  it('are stored as they are when they are long and hardly compress', async () => {
    const store = memoryStore()
    const objects = new ObjectShelf(store, NATIVE)
    const random = randomBytes(256 * 1024)
    const withZeros = (bytes: number): Buffer =>
      Buffer.concat(Array.from({ length: 300 }, () => [randomBytes(1000), Buffer.alloc(bytes)]).flat())
    // A third of zeros is just worth it, a fifth is not.
    const kept = { random, third: withZeros(500), fifth: withZeros(250), short: random.subarray(1) }
    for (const [name, content] of Object.entries(kept)) {
      await objects.put(name, content)
      expect((await objects.get(name)).equals(content)).toBe(true)
    }
    const codecs = new Map<string, string>()
    for (const name of Object.keys(kept)) codecs.set(name, decodeEnvelope(name, await store.get(name)).codec)
    expect(Object.fromEntries(codecs)).toEqual({
      random: 'none',
      third: 'gzip',
      fifth: 'none',
      short: 'gzip',
    })
    // Tells nothing of the bytes: other codecs' objects of the same content are the same.
    expect((await new ObjectShelf(store, portableGzip()).put('random', random)).outcome).toBe('exists-same')
  })

  it('are not held in memory beyond the bound', async () => {
    const objects = new ObjectShelf(memoryStore(), NATIVE)
    await objects.put('n', Buffer.alloc(5000))
    await expect(objects.get('n', 4999)).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_TOO_LARGE' })
  })

  it('are refused when their source changes between hashing and upload', async () => {
    let reads = 0
    const read = (): AsyncIterable<Uint8Array> => chunked(Buffer.from(`version ${++reads}`))
    const objects = new ObjectShelf(memoryStore(), NATIVE)
    await expect(objects.put('n', { read })).rejects.toMatchObject({ code: 'ARCHIVE_SOURCE_CHANGED' })
    await expect(objects.get('n')).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_MISSING' })
  })

  it('that the store gives back otherwise are refused and not left behind', async () => {
    const store = memoryStore()
    const lying = {
      ...store,
      async *getStream(name: string) {
        const content = await store.get(name)
        content[70] = (content[70] ?? 0) ^ 1
        yield content
      },
    }
    const objects = new ObjectShelf(lying, NATIVE)
    await expect(objects.put('n', Buffer.from('x'))).rejects.toMatchObject({ code: 'ARCHIVE_UPLOAD_DAMAGED' })
    expect(await store.status('n')).toBeUndefined()
  })
})

describe('checked JSON', () => {
  it('round-trips, and is refused for every flipped, missing or additional byte', () => {
    const content = encodeCheckedJson({ format: 1, name: 'ünïcode', nested: { list: [1, 2, 3] } })
    expect(decodeCheckedJson(content)).toMatchObject({ type: 'whole', value: { name: 'ünïcode' } })
    for (let at = 0; at < content.length; at++) {
      const damaged = Buffer.from(content)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
      expect(decodeCheckedJson(damaged).type, String(at)).toBe('damaged')
      expect(decodeCheckedJson(content.subarray(0, at)).type).toBe('damaged')
    }
    expect(decodeCheckedJson(Buffer.concat([content, Buffer.from(' ')])).type).toBe('damaged')
  })

  it('never throws on any bytes', () => {
    const property = fc.property(
      fc.uint8Array({ maxLength: 200 }),
      (bytes) => decodeCheckedJson(bytes).type === 'damaged',
    )
    expect(fc.check(property).failed).toBe(false)
  })

  it('reads an empty object', () => {
    expect(decodeCheckedJson(encodeCheckedJson({ only: null })).type).toBe('whole')
  })
})
