// What every store must do, as checks that any test runner can run; a third party's store is held to the same.
import assert from 'node:assert/strict'
import { TimberlineError } from '@timberline/wal'
import type { ArchiveStore, ListOptions, StoredObject } from './archive-store.ts'

/** One sentence about stores, and the proof of it on an empty store. @throws AssertionError */
export interface StoreCheck {
  readonly title: string
  run(store: ArchiveStore): Promise<void>
}

const MIB = 1024 * 1024

/** The conformance suite of `ArchiveStore`: each check wants an empty store. */
export const storeConformance: readonly StoreCheck[] = [
  {
    title: 'an object is read back as it was put',
    async run(store) {
      assert.equal(await store.put('a/b/c', text('hello')), 'created')
      assert.deepEqual(await store.get('a/b/c'), text('hello'))
      assert.deepEqual(await store.status('a/b/c'), { bytes: 5 })
      assert.deepEqual(await collect(store.getStream('a/b/c')), text('hello'))
    },
  },
  {
    title: 'an empty object is an object',
    async run(store) {
      assert.equal(await store.put('empty', text('')), 'created')
      assert.deepEqual(await store.get('empty'), text(''))
      assert.deepEqual(await store.status('empty'), { bytes: 0 })
      assert.deepEqual(await collect(store.getStream('empty')), text(''))
    },
  },
  {
    title: 'a stream is stored as a whole, whatever its chunks',
    async run(store) {
      const content = Buffer.alloc(3 * MIB + 17, 'abcdefg')
      assert.equal(await store.put('big', streamOf(content, 70_001)), 'created')
      assert.deepEqual(await collect(store.getStream('big')), content)
      assert.deepEqual(await store.get('big'), content)
      assert.equal(await store.put('big', streamOf(content, MIB)), 'exists-same')
    },
  },
  {
    title: 'a stream into lent memory is the same, though each chunk is forgotten once the next is asked for',
    async run(store) {
      const content = Buffer.alloc(100_000, 'abcdefg')
      await store.put('lent', content)
      const memory = { take: (bytesMax: number) => Buffer.allocUnsafe(Math.min(bytesMax, 7_001)) }
      const copies: Buffer[] = []
      for await (const chunk of store.getStream('lent', memory)) {
        copies.push(Buffer.from(chunk))
        chunk.fill(0xdb)
      }
      assert.deepEqual(Buffer.concat(copies), content)
      assert.deepEqual(await store.get('lent'), content)
    },
  },
  {
    title: 'the same content twice is fine',
    async run(store) {
      await store.put('twice', text('same'))
      assert.equal(await store.put('twice', text('same')), 'exists-same')
    },
  },
  {
    title: 'other content under a taken name is a conflict and changes nothing',
    async run(store) {
      await store.put('name', text('first'))
      for (const other of ['other', 'firs', 'first and more', '']) {
        await refuses('ARCHIVE_CONFLICT', store.put('name', text(other)))
        await refuses('ARCHIVE_CONFLICT', store.put('name', streamOf(text(other), 3)))
      }
      assert.deepEqual(await store.get('name'), text('first'))
    },
  },
  {
    title: 'of writers who race for a name exactly one wins',
    async run(store) {
      const puts = Array.from({ length: 8 }, (_, index) => store.put('race', text(`writer ${index}`)))
      const outcomes = await Promise.allSettled(puts)
      const winners = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [index] : []))
      assert.equal(winners.length, 1)
      assert.deepEqual(await store.get('race'), text(`writer ${winners[0]}`))
    },
  },
  {
    title: 'a stream that fails leaves nothing',
    async run(store) {
      const failing = {
        async *read(): AsyncGenerator<Uint8Array> {
          yield text('half')
          throw new Error('the source broke')
        },
      }
      await assert.rejects(store.put('failed', failing), /the source broke/)
      assert.equal(await store.status('failed'), undefined)
      assert.deepEqual(await listed(store, ''), [])
      assert.equal(await store.put('failed', text('whole')), 'created')
    },
  },
  {
    title: 'a stream of another length than announced is refused',
    async run(store) {
      await refuses('ARCHIVE_SOURCE_CHANGED', store.put('short', { ...streamOf(text('12345'), 2), bytes: 6 }))
      assert.equal(await store.status('short'), undefined)
    },
  },
  {
    title: 'a missing object is named as missing',
    async run(store) {
      await store.put('folder/there', text('x'))
      assert.equal(await store.status('folder/none'), undefined)
      assert.equal(await store.status('folder'), undefined)
      await refuses('ARCHIVE_OBJECT_MISSING', store.get('folder/none'))
      await refuses('ARCHIVE_OBJECT_MISSING', store.get('none/at/all'))
      await refuses('ARCHIVE_OBJECT_MISSING', store.getRange('none', { position: 0, bytes: 1 }))
      await refuses('ARCHIVE_OBJECT_MISSING', collect(store.getStream('none')))
    },
  },
  {
    title: 'ranges are cut at the end of the object',
    async run(store) {
      await store.put('digits', text('0123456789'))
      const range = (position: number, bytes: number): Promise<Buffer> =>
        store.getRange('digits', { position, bytes })
      assert.deepEqual(await range(0, 3), text('012'))
      assert.deepEqual(await range(4, 3), text('456'))
      assert.deepEqual(await range(8, 100), text('89'))
      assert.deepEqual(await range(10, 5), text(''))
      assert.deepEqual(await range(50, 5), text(''))
    },
  },
  {
    title: 'an object beyond the bound is not taken into memory',
    async run(store) {
      await store.put('large', Buffer.alloc(1000))
      await refuses('ARCHIVE_OBJECT_TOO_LARGE', store.get('large', { bytesMax: 999 }))
      assert.equal((await store.get('large', { bytesMax: 1000 })).length, 1000)
    },
  },
  {
    title: 'listings are ascending by whole name, with prefix, start and limit',
    async run(store) {
      const names = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a0', 'b/1', 'b/10', 'b/2', 'c']
      // On a file system a name cannot be both a file and a folder.
      const usable = names.filter((name) => !names.some((other) => other.startsWith(`${name}/`)))
      for (const name of usable.toReversed()) await store.put(name, text(name))
      assert.deepEqual(await listed(store, ''), usable.toSorted())
      for (const prefix of ['a', 'a/', 'a/b', 'b', 'b/', 'b/1', 'z', 'a-']) {
        for (const startAfter of [undefined, '', 'a', 'a/b/c', 'b', 'b/1', 'b/2', 'b0']) {
          const expected = usable
            .filter((name) => name.startsWith(prefix) && name > (startAfter ?? ''))
            .toSorted()
          assert.deepEqual(
            await listed(store, prefix, { startAfter }),
            expected,
            `${prefix} after ${startAfter}`,
          )
          assert.deepEqual(await listed(store, prefix, { startAfter, limit: 2 }), expected.slice(0, 2))
        }
      }
      for await (const { name, bytes } of store.list('')) assert.equal(bytes, name.length)
    },
  },
  {
    title: 'a deleted object is gone, and its name is free',
    async run(store) {
      await store.put('x/gone', text('1'))
      await store.delete('x/gone')
      assert.equal(await store.status('x/gone'), undefined)
      assert.deepEqual(await listed(store, ''), [])
      await store.delete('x/gone')
      await store.delete('never/there')
      assert.equal(await store.put('x/gone', text('2')), 'created')
    },
  },
  {
    title: 'an object that grows, where objects can, has each part once it was appended',
    async run(store) {
      const object = await store.grow?.('grown/one')
      if (object === undefined) return
      assert.deepEqual(await listed(store, ''), ['grown/one'])
      let whole = ''
      for (const part of ['first', 'and a longer second', 'x'.repeat(MIB)]) {
        assert.equal(object.position, whole.length)
        await object.append(text(part))
        whole += part
        assert.deepEqual(await store.getRange('grown/one', { position: 0, bytes: whole.length }), text(whole))
        const { length } = await collect(store.getStream('grown/one'))
        assert.ok(length >= whole.length)
      }
      await object.close()
      await object.close()
      const rest = (await store.get('grown/one')).subarray(whole.length)
      assert.ok(rest.every((byte) => byte === 0))
    },
  },
  {
    title: 'an object grows only under a name that was free',
    async run(store) {
      await store.put('taken', text('x'))
      if (store.grow === undefined) return
      await refuses('ARCHIVE_CONFLICT', store.grow('taken'))
      const object = await store.grow('grown')
      await refuses('ARCHIVE_CONFLICT', store.grow('grown'))
      await object.append(text('part'))
      await object.close()
      assert.deepEqual(await store.get('taken'), text('x'))
      await refuses('ARCHIVE_CONFLICT', store.put('grown', text('other')))
      await refuses(
        'ARCHIVE_NAME_INVALID',
        attempt(async () => store.grow?.('../away')),
      )
    },
  },
  {
    title: 'an object that grows and is deleted does not come back by an append',
    async run(store) {
      const object = await store.grow?.('grown')
      await object?.append(text('part'))
      await store.delete('grown')
      await object?.append(text('part'))
      await object?.close()
      assert.equal(await store.status('grown'), undefined)
    },
  },
  {
    title: 'names that could leave the store are refused',
    async run(store) {
      const bad = [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '..',
        '../a',
        'a/../b',
        './a',
        'a/.',
        '.hidden',
        'a/.tmp',
        'a\\b',
        'a\0b',
        'ä',
      ]
      for (const name of [...bad, 'a b', 'a'.repeat(513)]) {
        await refuses(
          'ARCHIVE_NAME_INVALID',
          attempt(() => store.put(name, text('x'))),
        )
        await refuses(
          'ARCHIVE_NAME_INVALID',
          attempt(() => store.get(name)),
        )
        await refuses(
          'ARCHIVE_NAME_INVALID',
          attempt(() => store.status(name)),
        )
        await refuses(
          'ARCHIVE_NAME_INVALID',
          attempt(() => store.delete(name)),
        )
        await refuses(
          'ARCHIVE_NAME_INVALID',
          attempt(() => collect(store.getStream(name))),
        )
      }
    },
  },
]

function text(content: string): Buffer {
  return Buffer.from(content)
}

function streamOf(content: Buffer, chunkBytes: number): { read: () => AsyncGenerator<Uint8Array> } {
  return {
    async *read() {
      for (let at = 0; at < content.length; at += chunkBytes) yield content.subarray(at, at + chunkBytes)
    },
  }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function listed(store: ArchiveStore, prefix: string, options?: ListOptions): Promise<string[]> {
  const names: StoredObject[] = []
  for await (const object of store.list(prefix, options)) names.push(object)
  return names.map(({ name }) => name)
}

/** A refusal may be thrown or rejected. */
async function attempt<T>(work: () => Promise<T>): Promise<T> {
  return work()
}

async function refuses(code: string, work: Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error) => error instanceof TimberlineError && error.code === code)
}
