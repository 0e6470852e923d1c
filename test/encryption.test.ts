/**
 * A home shipped and copied hot into an encrypted archive by processes that hold no key, then recovered by one that does. Nothing
 * that the user wrote may stand in the archive in the clear: not in an object, not in a name, not compressed.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import {
  type Archive,
  createArchive,
  memoryStore,
  openArchive,
  parseIdentityFile,
  runShipper,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { compactLog, recover } from '@timberline/recovery'
import { afterAll, beforeAll, expect, test } from 'vitest'

// Made by age-keygen, for this test alone.
const IDENTITY_FILE = `# created: 2026-11-26T05:00:00Z
# public key: age15q8xmnsuz8wx22skgwl8hflk8rn6z5zrezpcv2e8kfzyxpynkgfqmxqphe
AGE-SECRET-KEY-1GT5WSWHM46LDAR8JZLSHQVL0D6S84QX96XSN07ZWL22R4NUW3ZUSHQ3WZ0
`
const RECIPIENT = 'age15q8xmnsuz8wx22skgwl8hflk8rn6z5zrezpcv2e8kfzyxpynkgfqmxqphe'
const SECRET_KEY = 'customer-4711-zebra'
const SECRET_VALUE = 'iban-of-a-customer-zebra'

const store = memoryStore()
let folder = ''
let home = ''
let deltaCount = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-encryption-'))
  home = join(folder, 'home')
  const db = new TimberLevel(home, { log: { segmentBytesMax: 8192, preallocateBytes: 0 } })
  const archive = await createArchive(store, await prepared(db))
  await archive.setRecipients([RECIPIENT])
  const stop = new AbortController()
  const shipper = runShipper({
    logDirectory: homeLayout(home).logDirectory,
    archive,
    identity: await readHomeIdentity(home),
    name: 'main',
    intervalMs: 100,
    signal: stop.signal,
  })
  await fill(db, 0)
  await shipper.flush()
  // The boundary keys of its tables are in the manifest of the backup.
  await hotbackup({ home, target: { archive }, checkpoint: true })
  await fill(db, 200)
  await shipper.flushWhole()
  stop.abort()
  await shipper.done
  await db.close()
  const { outcomes } = await compactLog({ archive: await reader(), blockSegments: 2 })
  deltaCount = outcomes.length
})

afterAll(() => rm(folder, { recursive: true, force: true }))

const reader = (): Promise<Archive> => openArchive(store, { identities: parseIdentityFile(IDENTITY_FILE) })

async function prepared(db: TimberLevel): Promise<{ environmentId: string }> {
  await db.open()
  return readHomeIdentity(home)
}

async function fill(db: TimberLevel, from: number): Promise<void> {
  for (let index = from; index < from + 200; index++) await db.put(`${SECRET_KEY}-${index}`, SECRET_VALUE)
}

async function entriesOf(location: string): Promise<readonly string[]> {
  const db = new TimberLevel(location)
  const entries: string[] = []
  for await (const [key, value] of db.iterator()) entries.push(`${key}=${value}`)
  await db.close()
  return entries
}

test('it comes back whole, with the digest that the backup recorded', async () => {
  const archive = await reader()
  const copy = join(folder, 'copy')
  const report = await recover({ from: { archive }, home: copy })
  const digest = createHash('sha256')
    .update((await entriesOf(copy)).join('\n'))
    .digest('hex')
  const expected = createHash('sha256')
    .update((await entriesOf(home)).join('\n'))
    .digest('hex')
  expect(digest).toBe(expected)
  expect((await entriesOf(copy)).length).toBe(400)
  expect(report.proofs.length).toBeGreaterThan(0)
})

test('without a key it is refused by one error, and the same folder takes the recovery once the key is there', async () => {
  const copy = join(folder, 'refused')
  const refused = recover({ from: { archive: await openArchive(store) }, home: copy })
  await expect(refused).rejects.toMatchObject({ code: 'ARCHIVE_KEY_MISSING' })
  const archive = await reader()
  await recover({ from: { archive }, home: copy })
  expect(await entriesOf(copy)).toEqual(await entriesOf(home))
})

test('nothing that was written stands in it in the clear', async () => {
  const names: string[] = []
  const clear: string[] = []
  for await (const { name } of store.list('')) {
    names.push(name)
    const content = await store.get(name)
    for (const text of [content.toString('latin1'), decompressed(content), name]) {
      expect(text.includes('zebra'), name).toBe(false)
    }
    if (content.toString('latin1', 0, 21) !== 'age-encryption.org/v1') clear.push(name)
  }
  // Pages repeat the journal.
  expect(clear.filter((name) => !/^(journal|page)\//.test(name))).toEqual(['archive.json'])
  expect(deltaCount).toBeGreaterThan(0)
  for (const kind of ['backup/', 'segment/', 'piece/', 'delta/']) {
    expect(
      names.some((name) => name.startsWith(kind)),
      kind,
    ).toBe(true)
  }
})

test('a search like that finds it in a clear archive', async () => {
  const clear = memoryStore()
  const archive = await createArchive(clear, { environmentId: 'ab'.repeat(16) })
  await archive.putObject('file/x', Buffer.from(SECRET_KEY))
  expect(decompressed(await clear.get('file/x'))).toContain('zebra')
})

/** What a reader without a key could unpack. */
function decompressed(content: Buffer): string {
  try {
    return gunzipSync(content.subarray(64)).toString('latin1')
  } catch {
    return ''
  }
}
