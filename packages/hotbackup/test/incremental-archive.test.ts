import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, memoryStore, openArchive } from '@timberline/archive'
import type { Archive, ArchiveStore, BackupManifest } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { estimateBackup, hotbackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { interrupted, makeFolder, openUsedHome, refusing, write } from './fixture.ts'

const N = 60
/** A key of age. */
const RECIPIENT = 'age1fpkeudkllxkx5zpt5ypcugm6663q8qhv5qp3z35l8rt23dn4gv2snd4fxf'
const AGE_IDENTITY = 'AGE-SECRET-KEY-1Y69N564YCL3UKN7XJXYMYHAXKKMUG3VQRYUUZPD2S8W2Q2HSZKRS79U479'

let folder = ''
let home = ''
let db: TimberLevel<string, string>
let store: ArchiveStore
let archive: Archive

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  db = await openUsedHome(home, N)
  store = memoryStore()
  archive = await createArchive(store, await readHomeIdentity(home))
})

afterEach(async () => {
  await archive.close()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

async function change(n: number): Promise<void> {
  await write(db, n)
  await db.checkpoint()
}

const incremental = (): ReturnType<typeof hotbackup> =>
  hotbackup({ home, target: { archive }, incremental: true })

const isOf = (label: string) => (file: BackupManifest['files'][number]) =>
  file.object?.startsWith(`backup/${label}/`) === true

async function objects(): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('backup/')) names.push(name)
  return names
}

async function readsWhole(manifest: BackupManifest): Promise<void> {
  for (const file of manifest.files) {
    const hash = createHash('sha256')
    for await (const chunk of archive.fetchBackupFile(file)) hash.update(chunk)
    expect(hash.digest('hex'), file.name).toBe(file.sha256)
  }
}

describe('an incremental backup in an archive', () => {
  it('names the tables that an earlier one has put there, lists all its files, and is put with the rest', async () => {
    const full = await hotbackup({ home, target: { archive } })
    await change(N + 10)
    const before = await objects()
    const next = await incremental()
    const { label, files } = next.manifest
    expect(next.manifest).toMatchObject({ kind: 'incremental', base: full.manifest.label })
    const reused = files.filter(isOf(full.manifest.label))
    expect(reused.length).toBeGreaterThan(0)
    expect(next.reusedBytes).toBe(reused.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(next.bytes).toBeGreaterThan(next.reusedBytes + next.copiedBytes - 1)
    const added = (await objects()).filter((name) => !before.includes(name))
    const own = files.filter(isOf(label)).map(({ object = '' }) => object)
    expect(added.toSorted()).toEqual([...own, `backup/${label}/manifest.json`].toSorted())
    await readsWhole(await archive.backupManifest(label))
    const { backups } = await archive.catalogue()
    expect(backups.find((each) => each.label === label)).toMatchObject({
      kind: 'incremental',
      references: [full.manifest.label],
      bytes: next.bytes,
    })
    const folderSet = await hotbackup({ home, target: join(folder, 'backup') })
    expect(next.manifest.digest).toEqual(folderSet.manifest.digest)
  })

  it('refers to the backup that put a table, also behind another incremental one', async () => {
    const full = await hotbackup({ home, target: { archive } })
    await change(N + 5)
    const second = await incremental()
    await change(N + 10)
    const third = await incremental()
    expect(third.manifest.base).toBe(second.manifest.label)
    const { backups } = await archive.catalogue()
    expect(backups.at(-1)?.references).toEqual([full.manifest.label, second.manifest.label])
    await readsWhole(third.manifest)
  })

  it('copies everything when the archive has no backup yet', async () => {
    const { manifest, reusedBytes } = await incremental()
    expect([manifest.kind, reusedBytes]).toEqual(['full', 0])
    expect((await archive.catalogue()).backups[0]?.references).toBeUndefined()
  })

  it('puts anew what the archive has lost', async () => {
    const full = await hotbackup({ home, target: { archive } })
    const lost = full.manifest.files.find(({ name }) => name.includes('tables'))
    await store.delete(lost?.object ?? '')
    const next = await incremental()
    expect(next.manifest.files.find(({ name }) => name === lost?.name)?.object).toBe(
      `backup/${next.manifest.label}/${lost?.name ?? ''}`,
    )
    await readsWhole(next.manifest)
  })

  it('is there whole or leaves nothing, and harms no earlier one, at whatever change the store refuses', async () => {
    const full = await hotbackup({ home, target: { archive }, digest: false })
    await change(N + 10)
    const before = await objects()
    let result: BackupResult | undefined
    let failed = 0
    for (; result === undefined; failed += 1) {
      const under = await openArchive(refusing(store, failed + 1).store)
      const options = { home, target: { archive: under }, incremental: true, digest: false }
      result = await hotbackup(options).catch(() => undefined)
      await readsWhole(full.manifest)
      if (result !== undefined) break
      expect(await objects(), `change ${failed + 1}`).toEqual(before)
      expect((await archive.catalogue()).backups).toHaveLength(1)
    }
    await readsWhole(result?.manifest ?? full.manifest)
    expect(failed).toBeGreaterThan(3)
  })

  it('is refused when retention lets its base go meanwhile, and leaves nothing', async () => {
    const full = await hotbackup({ home, target: { archive } })
    await hotbackup({ home, target: { archive } })
    const base = (await archive.catalogue()).backups.at(-1)?.label ?? ''
    const before = await objects()
    const letGo = { backups: [base], segments: [], timelines: [] }
    const fileSystem = interrupted(/log\.\d{10}$/, 'open', async () => {
      await archive.appendEvent({ type: 'retention.decided', decision: letGo })
    })
    await expect(
      hotbackup({ home, target: { archive }, incremental: true, fileSystem }),
    ).rejects.toMatchObject({ code: 'HOTBACKUP_BASE', cause: { code: 'ARCHIVE_CONFLICT' } })
    expect(await objects()).toEqual(before)
    await readsWhole(full.manifest)
  })

  it('keeps its base from retention', async () => {
    const full = await hotbackup({ home, target: { archive } })
    await incremental()
    const decision = { backups: [full.manifest.label], segments: [], timelines: [] }
    await expect(archive.appendEvent({ type: 'retention.decided', decision })).rejects.toMatchObject({
      code: 'ARCHIVE_CONFLICT',
    })
    expect((await archive.catalogue()).backups).toHaveLength(2)
  })

  it('is refused a base folder: the archive knows its own', async () => {
    await expect(hotbackup({ home, target: { archive }, base: folder })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
  })

  it('is estimated with what it would name', async () => {
    await hotbackup({ home, target: { archive } })
    await change(N + 10)
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const estimate = await estimateBackup({ home, target: { archive }, incremental: true })
    const { copiedBytes, reusedBytes } = await incremental()
    expect(estimate).toMatchObject({ copyBytes: copiedBytes, reusedBytes })
  })

  it('in an encrypted archive needs a key, and is a full one after the recipients have changed', async () => {
    await archive.setRecipients([RECIPIENT])
    await hotbackup({ home, target: { archive }, digest: false })
    await expect(incremental()).rejects.toMatchObject({ code: 'ARCHIVE_KEY_MISSING' })
    const reading = await openArchive(store, { identities: [AGE_IDENTITY] })
    const options = { home, target: { archive: reading }, incremental: true, digest: false }
    expect((await hotbackup(options)).manifest.kind).toBe('incremental')
    await reading.setRecipients([RECIPIENT])
    expect((await hotbackup(options)).manifest.kind).toBe('full')
    expect((await hotbackup(options)).manifest.kind).toBe('incremental')
  })
})
