/**
 * Programs from the Level world, as their users write them: each fills a database through a real module, and answers questions about
 * it through the same module. Whatever stands in Level's place must give the same answers.
 */
import type { ClassicLevel } from 'classic-level'
import { LevelDatastore } from 'datastore-level'
import { EntryStream, KeyStream, ValueStream } from 'level-read-stream'
import * as Y from 'yjs'

/** A class with classic-level's constructor. */
export type LevelClass = typeof ClassicLevel

/** A program that works on a database at a location. */
export interface LevelProgram {
  readonly name: string
  /** Fills the database; closes it at the end. */
  fill(Level: LevelClass, location: string): Promise<void>
  /** What the program finds in it; plain values. */
  answers(Level: LevelClass, location: string): Promise<unknown>
}

type Key = Parameters<LevelDatastore['get']>[0]

/** libp2p's and Helia's store of blocks and settings. */
const datastore: LevelProgram = {
  name: 'datastore-level',
  async fill(Level, location) {
    const store = await openDatastore(Level, location)
    const keyOf = await keyMaker(store)
    for (let index = 0; index < 150; index += 1) {
      await store.put(keyOf(`/blocks/${index % 70}`), Buffer.from(`block ${index}`.repeat(index)))
    }
    const batch = store.batch()
    for (let index = 0; index < 40; index += 1) batch.put(keyOf(`/pins/${index}`), Buffer.from([index]))
    for (let index = 0; index < 20; index += 1) batch.delete(keyOf(`/blocks/${index}`))
    await batch.commit()
    await store.delete(keyOf('/pins/7'))
    await store.close()
  },
  async answers(Level, location) {
    const store = await openDatastore(Level, location)
    const keyOf = await keyMaker(store)
    const found: unknown[] = []
    for (const prefix of ['/blocks', '/pins/1', '/none']) {
      for await (const { key, value } of store.query({ prefix })) {
        found.push([key.toString(), Buffer.from(value).toString('base64')])
      }
    }
    const keys: string[] = []
    const limited = store.queryKeys({ prefix: '/pins', limit: 5, orders: [(a, b) => (a < b ? 1 : -1)] })
    for await (const key of limited) keys.push(key.toString())
    const has = [await store.has(keyOf('/pins/7')), await store.has(keyOf('/pins/8'))]
    const missing = await store.get(keyOf('/pins/7')).then(
      () => 'found',
      (error: Error) => error.name,
    )
    await store.close()
    return { found, keys, has, missing }
  },
}

/** Keys of the class that the store itself makes: its package is not among ours. */
async function keyMaker(store: LevelDatastore): Promise<(text: string) => Key> {
  const probe = { toString: () => '/probe' } as Key
  await store.put(probe, new Uint8Array())
  let made: Key | undefined
  for await (const key of store.queryKeys({ prefix: '/probe' })) made = key
  await store.delete(probe)
  if (made === undefined) throw new Error('the store does not give back what was put into it')
  const KeyClass = made.constructor as new (text: string) => Key
  return (text) => new KeyClass(text)
}

async function openDatastore(Level: LevelClass, location: string): Promise<LevelDatastore> {
  const level = new Level<string, Uint8Array>(location, { keyEncoding: 'utf8', valueEncoding: 'view' })
  const store = new LevelDatastore(level as unknown as ConstructorParameters<typeof LevelDatastore>[0])
  await store.open()
  return store
}

/** Node streams over a database with sublevels and JSON. */
const readStream: LevelProgram = {
  name: 'level-read-stream',
  async fill(Level, location) {
    const db = new Level<string, unknown>(location, { valueEncoding: 'json' })
    const people = db.sublevel<string, unknown>('people', { valueEncoding: 'json' })
    await db.open()
    const chained = db.batch()
    for (let index = 0; index < 2500; index += 1)
      chained.put(`item${index}`, { index, text: 'ü'.repeat(index % 9) })
    await chained.write()
    await people.batch(['ada', 'grace', 'edsger'].map((key) => ({ type: 'put', key, value: { key } })))
    await db.clear({ gte: 'item1000', lt: 'item1100' })
    await db.close()
  },
  async answers(Level, location) {
    const db = new Level<string, unknown>(location, { valueEncoding: 'json' })
    const people = db.sublevel<string, unknown>('people', { valueEncoding: 'json' })
    const entries = await gather(
      new EntryStream(db as never, { gte: 'item1', lt: 'item2', highWaterMark: 7 } as never),
    )
    const keys = await gather(new KeyStream(db as never, { reverse: true, limit: 100 }))
    const values = await gather(new ValueStream(people as never))
    await db.close()
    return { entries, keys, values }
  },
}

async function gather(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

/** The part of y-leveldb that is used; it comes without declarations. */
interface Persistence {
  storeUpdate(name: string, update: Uint8Array): Promise<number>
  setMeta(name: string, key: string, value: unknown): Promise<void>
  getMeta(name: string, key: string): Promise<unknown>
  flushDocument(name: string): Promise<void>
  clearDocument(name: string): Promise<void>
  getAllDocNames(): Promise<string[]>
  getYDoc(name: string): Promise<Y.Doc>
  getStateVector(name: string): Promise<Uint8Array>
  destroy(): Promise<void>
}

async function openPersistence(Level: LevelClass, location: string): Promise<Persistence> {
  const { LeveldbPersistence } = (await import('y-leveldb' as string)) as {
    LeveldbPersistence: new (location: string, options: { Level: LevelClass }) => Persistence
  }
  return new LeveldbPersistence(location, { Level })
}

/** Shared documents of collaborative editors. */
const yLeveldb: LevelProgram = {
  name: 'y-leveldb',
  async fill(Level, location) {
    const persistence = await openPersistence(Level, location)
    for (const name of ['minutes', 'roadmap']) {
      const document = new Y.Doc()
      // One client, so that the bytes are the same on every run.
      document.clientID = name.length
      const pending: Promise<unknown>[] = []
      document.on('update', (update: Uint8Array) => pending.push(persistence.storeUpdate(name, update)))
      const text = document.getText('text')
      for (let index = 0; index < 60; index += 1) text.insert(index % 5, `${name}${index} `)
      document.getMap('settings').set('title', name)
      await Promise.all(pending)
      await persistence.setMeta(name, 'owner', { name: 'ada', size: pending.length })
    }
    await persistence.flushDocument('minutes')
    await persistence.storeUpdate('gone', Y.encodeStateAsUpdate(new Y.Doc()))
    await persistence.clearDocument('gone')
    await persistence.destroy()
  },
  async answers(Level, location) {
    const persistence = await openPersistence(Level, location)
    const names = await persistence.getAllDocNames()
    const documents: unknown[] = []
    for (const name of names) {
      const document = await persistence.getYDoc(name)
      documents.push({
        name,
        text: document.getText('text').toJSON(),
        settings: document.getMap('settings').toJSON(),
        meta: await persistence.getMeta(name, 'owner'),
        vector: Buffer.from(await persistence.getStateVector(name)).toString('hex'),
      })
    }
    await persistence.destroy()
    return documents
  },
}

/** The programs. */
export const levelPrograms: readonly LevelProgram[] = [datastore, readStream, yLeveldb]
