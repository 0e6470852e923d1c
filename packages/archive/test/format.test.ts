import { readFile, readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32, gunzipSync } from 'node:zlib'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  type ArchiveStore,
  decodeBackupManifest,
  memoryStore,
  openArchive,
  parseIdentityFile,
} from '../src/index.ts'
import { decodeEnvelope, encodeEnvelope } from '../src/objects/object-envelope.ts'
import { parsePieceName, pieceName } from '../src/layout.ts'
import { archiveOn, archivedRecords } from './support/archive-scene.ts'

const GOLDEN = new URL('golden/v1/', import.meta.url)

describe('the format', () => {
  it('gives the bytes of the worked example', async () => {
    const archive = await archiveOn(memoryStore())
    await archive.putObject('a/b', Buffer.from('hello\n'), { codec: 'none' })
    const text = await readFile(new URL('../FORMAT.md', import.meta.url), 'utf8')
    const example = text.slice(text.indexOf('## Worked example'))
    const hex = [...example.matchAll(/^0000\w{4}((?: {1,2}[0-9a-f]{2})+)/gm)].map((line) => line[1]).join('')
    expect((await archive.store.get('a/b')).toString('hex')).toBe(hex.replaceAll(' ', ''))
  })

  it('is read by a program that shares no code with ours', async () => {
    const archive = await archiveOn(memoryStore())
    const content = Buffer.alloc(3_000_000, 'some content ')
    await archive.putObject('x/y', content)
    const object = await archive.store.get('x/y')
    expect(object.toString('latin1', 0, 8)).toBe('TLOBJECT')
    expect(object.readUInt32LE(28)).toBe(crc32(object.subarray(32, 64), crc32(object.subarray(0, 28))))
    const body = gunzipSync(object.subarray(64))
    expect(body.equals(content)).toBe(true)
    expect(object.toString('hex', 32, 64)).toBe(createHash('sha256').update(body).digest('hex'))
    const lines = (await archive.store.get('archive.json')).toString().split('\n')
    const sum = createHash('sha256').update(lines.slice(0, -3).join('\n').replace(/,$/, '')).digest('hex')
    expect(lines.at(-3)).toBe(`  "sha256": "${sum}"`)
  })

  it('says all of a piece in its name', () => {
    const place = { timeline: 3, segmentNumber: 12, position: 96, endPosition: 4096, epoch: 7 }
    const piece = { ...place, firstLsn: 100, lastLsn: 99, lastCommittedAtUs: 1_764_012_345_678_901 }
    const name = pieceName(piece)
    expect(parsePieceName({ name, bytes: 500 })).toEqual({ ...piece, name, storedBytes: 500 })
    expect(parsePieceName({ name: `${name}0`, bytes: 1 })).toBeUndefined()
    expect(parsePieceName({ name: pieceName({ ...piece, endPosition: 96 }), bytes: 1 })).toBeUndefined()
  })

  it('refuses a newer version by name, and a flipped version as damage', () => {
    const envelope = { codec: 'gzip', bytes: 5, sha256: 'ab'.repeat(32) } as const
    const header = encodeEnvelope('n', envelope)
    expect(decodeEnvelope('n', header)).toEqual(envelope)
    header.writeUInt16LE(2, 8)
    expect(() => decodeEnvelope('n', header)).toThrow(
      expect.objectContaining({ code: 'ARCHIVE_OBJECT_DAMAGED' }),
    )
    header.writeUInt32LE(crc32(header.subarray(32, 64), crc32(header.subarray(0, 28))), 28)
    expect(() => decodeEnvelope('n', header)).toThrow(expect.objectContaining({ code: 'ARCHIVE_FORMAT' }))
  })

  it('reads the golden page of version 1 as the journal that it repeats', async () => {
    const archive = await openArchive(await goldenStore())
    const pages = await archive.journal.pages.list()
    expect(pages.map(({ name }) => name)).toEqual(['page/0000000000000001-0000000000000007'])
    const journal: unknown[] = []
    for await (const entry of archive.journal.entries()) journal.push(entry)
    expect(journal).toHaveLength(7)
    for (const page of pages) expect(await archive.journal.pages.entries(page)).toEqual(journal)
  })

  it('reads the golden object that the age program encrypted', async () => {
    const golden = (name: string): Promise<Buffer> =>
      readFile(new URL(`golden/v1-encrypted/${name}`, import.meta.url))
    const store = memoryStore()
    await archiveOn(store)
    await store.put('file/greeting', await golden('file/greeting'))
    const identities = parseIdentityFile((await golden('identity.txt')).toString())
    const archive = await openArchive(store, { identities })
    expect((await archive.getObject('file/greeting')).toString()).toBe('hello, whoever holds the key\n')
  })

  it('reads the golden archive of version 1', async () => {
    const store = await goldenStore()
    const archive = await openArchive(store)
    const { segments, pieces, backups, marks } = await archive.catalogue()
    expect([segments.length, pieces.length, backups.length]).toEqual([2, 2, 1])
    expect(marks.map(({ name, lsn }) => `${name} ${lsn}`)).toEqual(['before-lunch 5', 'in-a-piece 23'])
    expect((await archivedRecords(archive)).map(({ lsn }) => lsn)).toEqual(
      Array.from({ length: 24 }, (_, index) => index + 1),
    )
    const manifest = await archive.backupManifest('20261124-190507F')
    expect(manifest).toEqual(decodeBackupManifest(await store.get('backup/20261124-190507F/manifest.json')))
    const chunks: Buffer[] = []
    for (const file of manifest.files) {
      for await (const chunk of archive.fetchBackupFile(file)) chunks.push(chunk)
    }
    expect(Buffer.concat(chunks).toString()).toBe('a table')
  })
})

async function goldenStore(): Promise<ArchiveStore> {
  const store = memoryStore()
  for (const entry of await readdir(GOLDEN, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    await store.put(relative(fileURLToPath(GOLDEN), path), await readFile(path))
  }
  return store
}
