import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createArchive,
  decideRetention,
  finishRetention,
  memoryStore,
  openArchive,
} from '@timberline/archive'
import type { Archive, ArchiveStore } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { liveHolds, nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup } from '../src/index.ts'
import { makeFolder, openUsedHome, refusing, write } from './fixture.ts'

let folder = ''
let home = ''
let db: TimberLevel<string, string>
let store: ArchiveStore
let archive: Archive

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  db = await openUsedHome(home)
  store = memoryStore()
  archive = await createArchive(store, await readHomeIdentity(home))
})

afterEach(async () => {
  await archive.close()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

async function objects(): Promise<string[]> {
  const names: string[] = []
  for await (const object of store.list('backup/')) names.push(object.name)
  return names
}

describe('a backup into an archive', () => {
  it('is in the catalogue with all its files, each of them what the manifest says', async () => {
    const backup = await hotbackup({ home, target: { archive } })
    const { backups } = await archive.catalogue()
    expect(backups).toMatchObject([{ label: backup.manifest.label, endLsn: backup.lsn, bytes: backup.bytes }])
    const manifest = await archive.backupManifest(backup.manifest.label)
    expect(manifest).toEqual(backup.manifest)
    expect(manifest.digest).toMatchObject({ lsn: backup.lsn })
    for (const file of manifest.files) {
      const content = await archive.getObject(file.object ?? '')
      expect(createHash('sha256').update(content).digest('hex'), file.name).toBe(file.sha256)
    }
    const named = manifest.files.map((file) => file.object ?? '')
    expect((await objects()).toSorted()).toEqual(
      [...named, `backup/${manifest.label}/manifest.json`].toSorted(),
    )
  })

  describe('whose recipients are changed meanwhile', () => {
    const RECIPIENT = 'age1xmjecr8mw2y5fmh69fcfprx37zznmlyrhsr42v2n4tn9fsllvcmsf7jv2s'

    /** Another process encrypts the archive, each time that the data files are copied, so often. */
    const encrypting = (times: number): FileSystem => {
      let changes = 0
      return {
        ...nodeFileSystem,
        open: async (path, mode) => {
          const begins = /log\.\d{10}$/.test(path) && changes < times
          if (begins && (await objects()).some((name) => name.includes('/tables/'))) {
            changes += 1
            await (await openArchive(store)).setRecipients([RECIPIENT])
          }
          return nodeFileSystem.open(path, mode)
        },
      }
    }

    it('begins anew, and leaves nothing for the readers of before', async () => {
      const options = { home, target: { archive }, digest: false, fileSystem: encrypting(1) }
      const { manifest, restarts } = await hotbackup(options)
      expect(restarts).toEqual(['recipients'])
      const names = await objects()
      expect(names).toHaveLength(manifest.files.length + 1)
      for (const name of names)
        expect((await store.get(name)).toString('latin1'), name).toMatch(/^age-encryption/)
    })

    it('is refused by name when they are changed each time, and leaves nothing', async () => {
      const options = { home, target: { archive }, digest: false, fileSystem: encrypting(99) }
      await expect(hotbackup(options)).rejects.toMatchObject({ code: 'ARCHIVE_RECIPIENTS_CHANGED' })
      expect(await objects()).toEqual([])
      expect((await archive.catalogue()).backups).toEqual([])
    })
  })

  it('has the digest that a backup to a folder has', async () => {
    const there = await hotbackup({ home, target: { archive } })
    const here = await hotbackup({ home, target: join(folder, 'backup') })
    expect(there.manifest.digest).toEqual(here.manifest.digest)
  })

  it('gets a label of its own, also when several begin in the same second', async () => {
    const backups = await Promise.all(
      [1, 2, 3].map(() => hotbackup({ home, target: { archive }, digest: false })),
    )
    expect(new Set(backups.map((backup) => backup.manifest.label)).size).toBe(3)
    expect((await archive.catalogue()).backups).toHaveLength(3)
    expect(await liveHolds(join(home, 'log'))).toEqual([])
  })

  it('never gets the label of one that retention let go, though no object has it any more', async () => {
    const backUp = (): Promise<unknown> => hotbackup({ home, target: { archive }, digest: false })
    // Labels of these seconds and of the next ones.
    await Promise.all([1, 2, 3, 4, 5].map(backUp))
    await decideRetention(archive, ({ backups }) => ({
      backups: backups.map(({ label }) => label),
      segments: [],
      timelines: [],
    }))
    await finishRetention(archive)
    expect(await objects()).toEqual([])
    await backUp()
    expect((await archive.catalogue()).backups).toHaveLength(1)
  })

  it('is there whole or leaves nothing, at whatever change the store refuses', async () => {
    const identity = await readHomeIdentity(home)
    const counting = refusing(store, 0)
    await hotbackup({
      home,
      target: { archive: await createArchive(counting.store, identity) },
      digest: false,
    })
    const before = [...(await archive.catalogue()).backups]
    let failed = 0
    for (let nth = 1; nth <= counting.changes(); nth += 1) {
      await write(db, 60 + nth)
      const refused = await createArchive(refusing(store, nth).store, identity)
      const result = await hotbackup({ home, target: { archive: refused }, digest: false }).catch(
        () => undefined,
      )
      const { backups } = await archive.catalogue()
      const label = result?.manifest.label
      const added = backups
        .filter((each) => !before.some((old) => old.label === each.label))
        .map((each) => each.label)
      expect(added, `change ${nth}`).toEqual(label === undefined ? [] : [label])
      const strangers = (await objects()).filter(
        (name) => !backups.some((each) => name.startsWith(`backup/${each.label}/`)),
      )
      expect(strangers, `change ${nth}`).toEqual([])
      failed += result === undefined ? 1 : 0
      if (label !== undefined) before.push(...backups.filter((each) => each.label === label))
    }
    expect(failed).toBeGreaterThan(3)
  })

  it('is refused for the archive of another database', async () => {
    const other = await createArchive(memoryStore(), { environmentId: 'f'.repeat(32) })
    await expect(hotbackup({ home, target: { archive: other } })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_FOREIGN',
    })
  })

  it('cannot be updated: the shipper continues it', async () => {
    await expect(hotbackup({ home, target: { archive }, update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_UPDATE_ARCHIVE',
    })
  })

  it('aborted on the way leaves nothing', async () => {
    const abort = new AbortController()
    const onEvent = (event: { type: string }): void => {
      if (event.type === 'log.begun') abort.abort()
    }
    await expect(
      hotbackup({ home, target: { archive }, signal: abort.signal, onEvent }),
    ).rejects.toMatchObject({
      code: 'HOTBACKUP_ABORTED',
    })
    expect(await objects()).toEqual([])
  })
})
