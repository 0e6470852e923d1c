/**
 * Pages repeat the journal. Fault model: any page may be missing, damaged at any byte, of another copy of the archive, or made up;
 * a put of one may fail. Expected: the catalogue is always that of the journal's own entries, an append never fails for a
 * page's sake, and a verification names each page that says something else.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Archive,
  type ArchiveStore,
  type Catalogue,
  countingStore,
  createArchive,
  memoryStore,
  openArchive,
  verifyArchive,
} from '../src/index.ts'
import { CatalogueFold } from '../src/catalogue/catalogue-fold.ts'
import { decodeJournalEntry, encodeJournalEntry } from '../src/catalogue/catalogue-event.ts'
import { PAGE_ENTRY_COUNT } from '../src/catalogue/journal-pages.ts'
import { journalName, pageName } from '../src/layout.ts'
import { archiveOn, IDENTITY } from './support/archive-scene.ts'

const FIRST = pageName(1, PAGE_ENTRY_COUNT)
const SECOND = pageName(PAGE_ENTRY_COUNT + 1, 2 * PAGE_ENTRY_COUNT)
const THIRD = pageName(2 * PAGE_ENTRY_COUNT + 1, 3 * PAGE_ENTRY_COUNT)

async function append(archive: Archive, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await archive.beginTimeline({})
}

async function storeWith(count: number): Promise<ArchiveStore> {
  const store = memoryStore()
  await append(await archiveOn(store), count)
  return store
}

/** The catalogue by the journal's entries alone. */
async function truth(store: ArchiveStore): Promise<Catalogue> {
  const archive = await openArchive(store)
  const fold = new CatalogueFold()
  for await (const entry of archive.journal.entries()) fold.apply(entry)
  return fold.catalogue(archive.identity, [])
}

async function copyOf(store: ArchiveStore): Promise<ArchiveStore> {
  const copy = memoryStore()
  for await (const { name } of store.list('')) await copy.put(name, await store.get(name))
  return copy
}

async function replace(store: ArchiveStore, name: string, content: Buffer): Promise<void> {
  await store.delete(name)
  await store.put(name, content)
}

async function pagesOf(store: ArchiveStore): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { name } of store.list('page/')) names.push(name)
  return names
}

async function findings(store: ArchiveStore): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(await openArchive(store), { strays: true })) {
    found.push(`${code} ${name}`)
  }
  return found
}

describe('a page', () => {
  it('is written once its last entry is appended, and holds the bytes of its entries', async () => {
    const store = await storeWith(2 * PAGE_ENTRY_COUNT + 5)
    expect(await pagesOf(store)).toEqual([FIRST, SECOND])
    const contents: Buffer[] = []
    for (let sequence = 1; sequence <= PAGE_ENTRY_COUNT; sequence++) {
      contents.push(await store.get(journalName(sequence)))
    }
    const archive = await openArchive(store)
    expect((await archive.getObject(FIRST)).equals(Buffer.concat(contents))).toBe(true)
    expect(await findings(store)).toEqual([])
  })

  it('lets an archive of 2,000 events be opened by few requests', async () => {
    const store = countingStore(await storeWith(2000))
    const { sequence } = await (await openArchive(store)).catalogue()
    expect(sequence).toBe(2000)
    const { get, status, list, getStream, getRange, put } = store.counts
    // Identity, 15 pages with the entries that they end with, 80 entries after them; the next entry is asked for by name.
    expect({ get, status, list, getStream, getRange, put }).toEqual({
      get: 1 + 15 + 80,
      getStream: 15,
      status: 2,
      list: 3,
      getRange: 0,
      put: 0,
    })
  })

  it('costs an append one request more, and no entry is read again for it', async () => {
    const store = countingStore(memoryStore())
    const archive = await archiveOn(store)
    await append(archive, PAGE_ENTRY_COUNT - 1)
    const before = { ...store.counts }
    await append(archive, 1)
    expect(store.counts.put - before.put).toBe(2)
    expect(store.counts.get - before.get).toBe(0)
  })
})

describe('an archive is what its journal says', () => {
  const count = 3 * PAGE_ENTRY_COUNT + 3

  it.each([FIRST, SECOND, THIRD])('without the page %s, which the next appends write again', async (name) => {
    const store = await storeWith(count)
    await store.delete(name)
    const counting = countingStore(store)
    const archive = await openArchive(counting)
    expect(await archive.catalogue()).toEqual(await truth(store))
    for (let tries = 0; tries < 3; tries++) await append(archive, 1)
    // Three events and the page; those that are there are not put again.
    expect(counting.counts.put).toBe(4)
    expect(await pagesOf(store)).toEqual([FIRST, SECOND, THIRD])
    expect(await findings(store)).toEqual([])
  })

  it.each([FIRST, SECOND, THIRD])(
    'with the page %s damaged, cut or exchanged, and verify names it',
    async (name) => {
      const whole = await storeWith(count)
      const content = await whole.get(name)
      const flipped = Buffer.from(content)
      flipped.writeUInt8(flipped.readUInt8(200) ^ 4, 200)
      const other = await whole.get(name === FIRST ? SECOND : FIRST)
      for (const damaged of [flipped, content.subarray(0, 300), Buffer.alloc(0), other]) {
        const store = await copyOf(whole)
        await replace(store, name, damaged)
        expect(await (await openArchive(store)).catalogue()).toEqual(await truth(store))
        expect(await findings(store)).toEqual([`ARCHIVE_OBJECT_DAMAGED ${name}`])
      }
    },
  )

  it('with a page whose entries are cut, too many or of another place, though the object is whole', async () => {
    const whole = await storeWith(count)
    const content = await (await openArchive(whole)).getObject(SECOND)
    const last = await whole.get(journalName(2 * PAGE_ENTRY_COUNT))
    const changed = [content.subarray(0, -last.length), Buffer.concat([content, last]), Buffer.alloc(0)]
    for (const entries of changed) {
      const store = await copyOf(whole)
      await store.delete(SECOND)
      await (await openArchive(store)).putObject(SECOND, entries)
      expect(await (await openArchive(store)).catalogue()).toEqual(await truth(store))
      expect(await findings(store)).toEqual([`ARCHIVE_JOURNAL_DAMAGED ${SECOND}`])
    }
  })

  it('with pages of another copy of it that went its own way', async () => {
    const store = await storeWith(PAGE_ENTRY_COUNT - 10)
    const copy = await copyOf(store)
    await append(await openArchive(store), 20)
    await (await openArchive(copy)).beginTimeline({ timeline: 5000 })
    await append(await openArchive(copy), 20)
    await replace(store, FIRST, await copy.get(FIRST))
    expect(await (await openArchive(store)).catalogue()).toEqual(await truth(store))
    expect(await findings(store)).toEqual([`ARCHIVE_OBJECT_DAMAGED ${FIRST}`])
  })

  it('with made-up pages, of which none is expected to be written', async () => {
    const store = await storeWith(PAGE_ENTRY_COUNT + 1)
    const far = pageName(9_007_199_254_740_000, 9_007_199_254_740_100)
    for (const name of [far, pageName(1, 60_000)]) await store.put(name, Buffer.from('x'))
    await store.put('page/odd', Buffer.from('x'))
    await store.put('page/0000000000000001-9999999999999999', Buffer.from('x'))
    const archive = await openArchive(store)
    expect(await archive.catalogue()).toEqual(await truth(store))
    await append(archive, 2)
    expect((await archive.catalogue()).sequence).toBe(PAGE_ENTRY_COUNT + 3)
    expect(await findings(store)).toEqual([
      `ARCHIVE_OBJECT_DAMAGED ${pageName(1, 60_000)}`,
      `ARCHIVE_OBJECT_DAMAGED ${far}`,
      'ARCHIVE_STRAY page/0000000000000001-9999999999999999',
      'ARCHIVE_STRAY page/odd',
    ])
  })

  it('with a page that tells one event otherwise, as far as verify is concerned', async () => {
    const store = await storeWith(PAGE_ENTRY_COUNT)
    const archive = await openArchive(store)
    const { environmentId } = archive.identity
    const contents: Buffer[] = []
    for (let sequence = 1; sequence <= PAGE_ENTRY_COUNT; sequence++) {
      const entry = decodeJournalEntry(await store.get(journalName(sequence)), { sequence, environmentId })
      contents.push(encodeJournalEntry(sequence === 7 ? { ...entry, atUs: entry.atUs + 1 } : entry))
    }
    await store.delete(FIRST)
    await archive.putObject(FIRST, Buffer.concat(contents))
    expect(await findings(store)).toEqual([`ARCHIVE_OBJECT_DAMAGED ${FIRST}`])
  })

  it('and is refused where an entry is missing that no page tells', async () => {
    const store = await storeWith(count)
    await store.delete(journalName(PAGE_ENTRY_COUNT + 5))
    // The second page tells it.
    expect((await (await openArchive(store)).catalogue()).sequence).toBe(count)
    expect(await findings(store)).toEqual([expect.stringMatching('^ARCHIVE_JOURNAL_DAMAGED ')])
    await store.delete(SECOND)
    await expect((await openArchive(store)).catalogue()).rejects.toMatchObject({
      code: 'ARCHIVE_JOURNAL_DAMAGED',
    })
  })
})

describe('an append', () => {
  it('does not fail with its page, and the next one writes it', async () => {
    const store = memoryStore()
    let refusals = 0
    const refusing: ArchiveStore = {
      ...store,
      put(name, content) {
        if (!name.startsWith('page/') || refusals === 2) return store.put(name, content)
        refusals++
        return Promise.reject(new Error('refused'))
      },
    }
    const archive = await archiveOn(refusing)
    await append(archive, PAGE_ENTRY_COUNT + 1)
    expect([refusals, await pagesOf(store)]).toEqual([2, []])
    await append(archive, 1)
    expect(await pagesOf(store)).toEqual([FIRST])
    expect(await findings(store)).toEqual([])
  })

  it('of many writers at once leaves the pages that one would', async () => {
    const store = memoryStore()
    const writers = await Promise.all(Array.from({ length: 4 }, () => archiveOn(store)))
    await Promise.all(writers.map((archive) => append(archive, (3 * PAGE_ENTRY_COUNT) / 4)))
    for (const archive of writers) await append(archive, 1)
    expect(await pagesOf(store)).toEqual([FIRST, SECOND, THIRD])
    expect(await findings(store)).toEqual([])
  })

  it('begins the pages of an archive that has none, one by one', async () => {
    const store = await storeWith(2 * PAGE_ENTRY_COUNT + 1)
    for (const name of [FIRST, SECOND]) await store.delete(name)
    const archive = await openArchive(store)
    await append(archive, 1)
    expect(await pagesOf(store)).toEqual([FIRST])
    await append(archive, 1)
    expect(await pagesOf(store)).toEqual([FIRST, SECOND])
    expect(await findings(store)).toEqual([])
  })
})

describe('the local index', () => {
  it('is filled from pages, and then asks for none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-pages-'))
    try {
      const plain = await storeWith(2 * PAGE_ENTRY_COUNT + 5)
      const gets: number[] = []
      for (let time = 1; time <= 2; time++) {
        const store = countingStore(plain)
        await using archive = await createArchive(store, {
          ...IDENTITY,
          indexDirectory: join(folder, 'index'),
        })
        expect(await archive.catalogue()).toEqual(await truth(plain))
        gets.push(store.counts.get + store.counts.getStream)
      }
      expect(gets).toEqual([1 + 4 + 5, 1])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('is read again when the store failed in the middle of opening', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-pages-'))
    try {
      const plain = await storeWith(PAGE_ENTRY_COUNT + 5)
      const options = { ...IDENTITY, indexDirectory: join(folder, 'index') }
      await (await createArchive(plain, options)).close()
      let isDown = true
      const store: ArchiveStore = {
        ...plain,
        list(prefix, bounds) {
          if (isDown && prefix === 'journal/') throw new Error('no answer')
          return plain.list(prefix, bounds)
        },
      }
      await using archive = await createArchive(store, options)
      await expect(archive.catalogue()).rejects.toThrow('no answer')
      isDown = false
      expect(await archive.catalogue()).toEqual(await truth(plain))
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
