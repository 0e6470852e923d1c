import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBackupManifest, encodeBackupManifest } from '@timberline/archive'
import type { BackupManifest } from '@timberline/archive'
import type { CheckpointManifest, TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unchangedTables } from '../src/sink/backup-base.ts'
import { estimateBackup, hotbackup, verifyBackup } from '../src/index.ts'
import type { HotbackupEvent } from '../src/index.ts'
import { chunkBuffers } from '../src/chunk-buffers.ts'
import { rateLimit } from '../src/pace/rate-limit.ts'
import { SMALL, copyOf, interrupted, makeFolder, openHome, openUsedHome, restored, write } from './fixture.ts'
import { Model, difference } from './history.ts'

const N = 60

let folder = ''
let home = ''
let monday = ''
let tuesday = ''
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  monday = join(folder, 'monday')
  tuesday = join(folder, 'tuesday')
  db = await openUsedHome(home, N)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** Commits more, and brings it into tables of its own. */
async function change(n: number): Promise<void> {
  await write(db, n)
  await db.checkpoint()
}

async function holds(backup: string): Promise<number> {
  expect(await verifyBackup(backup)).toEqual([])
  const { n, state } = await restored(backup)
  expect(difference(state, new Model(SMALL).at(n))).toBeUndefined()
  return n
}

const tablesOf = ({ files }: BackupManifest): BackupManifest['files'] =>
  files.filter(({ name }) => name.startsWith('checkpoint/tables/'))

async function sharedWith(set: string, base: string, { files }: BackupManifest): Promise<string[]> {
  const inodeOf = async (path: string): Promise<number | undefined> =>
    (await stat(path).catch(() => undefined))?.ino
  const shared: string[] = []
  for (const { name } of files) {
    if ((await inodeOf(join(set, name))) === (await inodeOf(join(base, name)))) shared.push(name)
  }
  return shared
}

/** Makes a table of a backup another one of the same number and length, as a backup of a rebuilt database has. */
async function withOtherTable(backup: string): Promise<string> {
  const path = join(backup, 'backup.json')
  const manifest = decodeBackupManifest(await readFile(path))
  const name = tablesOf(manifest)[0]?.name ?? ''
  const content = await readFile(join(backup, name))
  content[0] = (content[0] ?? 0) ^ 1
  await writeFile(join(backup, name), content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  const files = manifest.files.map((file) => (file.name === name ? { ...file, sha256 } : file))
  await writeFile(path, encodeBackupManifest({ ...manifest, files }))
  return name
}

describe('an incremental backup to a folder', () => {
  it('links the tables that its base has, copies the rest, and tells how much of each', async () => {
    const full = await hotbackup({ home, target: monday })
    await change(N + 10)
    const events: HotbackupEvent[] = []
    const next = await hotbackup({
      home,
      target: tuesday,
      base: monday,
      onEvent: (event) => events.push(event),
    })
    expect(next.manifest).toMatchObject({ kind: 'incremental', base: full.manifest.label })
    expect(next.manifest.label).toMatch(/^\d{8}-\d{6}I$/)
    const shared = await sharedWith(tuesday, monday, next.manifest)
    expect(shared.length).toBeGreaterThan(0)
    expect(shared.length).toBeLessThan(tablesOf(next.manifest).length)
    expect(events.flatMap((event) => (event.type === 'file.reused' ? event.name : [])).toSorted()).toEqual(
      shared,
    )
    const reused = next.manifest.files.filter(({ name }) => shared.includes(name))
    expect(next.reusedBytes).toBe(reused.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(await holds(tuesday)).toBe(N + 10)
    expect(await holds(monday)).toBe(N)
  })

  it('is whole by itself: its base may go, and so may it', async () => {
    await hotbackup({ home, target: monday })
    await change(N + 10)
    await hotbackup({ home, target: tuesday, base: monday })
    await copyOf(tuesday, join(folder, 'kept'))
    await rm(monday, { recursive: true })
    expect(await holds(tuesday)).toBe(N + 10)
    await change(N + 20)
    await hotbackup({ home, target: monday, base: tuesday })
    await rm(tuesday, { recursive: true })
    expect(await holds(monday)).toBe(N + 20)
    expect(await holds(join(folder, 'kept'))).toBe(N + 10)
  })

  it('is made against the backup that it replaces when no other is named', async () => {
    const full = await hotbackup({ home, target: monday })
    await change(N + 10)
    const next = await hotbackup({ home, target: monday, incremental: true })
    expect(next.manifest.base).toBe(full.manifest.label)
    expect(next.reusedBytes).toBeGreaterThan(0)
    expect(await holds(monday)).toBe(N + 10)
    expect((await readdir(folder)).toSorted()).toEqual(['home', 'monday'])
  })

  it('copies everything, as a full one, when there is nothing to be made against', async () => {
    const { manifest, reusedBytes } = await hotbackup({ home, target: monday, incremental: true })
    expect({ kind: manifest.kind, base: manifest.base, reusedBytes }).toEqual({
      kind: 'full',
      base: undefined,
      reusedBytes: 0,
    })
    expect(await holds(monday)).toBe(N)
  })

  it('copies a table that has the number and the length of another one in the base', async () => {
    await hotbackup({ home, target: monday })
    const name = await withOtherTable(monday)
    const { manifest } = await hotbackup({ home, target: tuesday, base: monday, digest: false })
    expect(await sharedWith(tuesday, monday, manifest)).not.toContain(name)
    expect(await holds(tuesday)).toBe(N)
  })

  it('copies what its base has lost, or has with another length', async () => {
    const { manifest } = await hotbackup({ home, target: monday })
    const [lost, cut] = tablesOf(manifest)
    await rm(join(monday, lost?.name ?? ''))
    if (cut !== undefined) await truncate(join(monday, cut.name), cut.bytes - 1)
    await hotbackup({ home, target: tuesday, base: monday })
    expect(await holds(tuesday)).toBe(N)
  })

  it('copies everything where no link leads', async () => {
    await hotbackup({ home, target: monday })
    const far: FileSystem = {
      ...nodeFileSystem,
      link: async (existing, path) => {
        if (path.includes('tuesday')) throw Object.assign(new Error('another file system'), { code: 'EXDEV' })
        await nodeFileSystem.link(existing, path)
      },
    }
    const { manifest, reusedBytes } = await hotbackup({
      home,
      target: tuesday,
      base: monday,
      fileSystem: far,
      digest: false,
    })
    expect(reusedBytes).toBe(0)
    expect(await sharedWith(tuesday, monday, manifest)).toEqual([])
    expect(await holds(tuesday)).toBe(N)
  })

  it('after a backup on which recovery was run copies the tables that are of that backup alone', async () => {
    await hotbackup({ home, target: monday })
    await write(db, N + 10)
    await hotbackup({ home, target: monday, update: true, recover: true })
    await change(N + 20)
    await hotbackup({ home, target: tuesday, base: monday })
    expect(await holds(tuesday)).toBe(N + 20)
  })

  it('is refused when its base is replaced meanwhile, and leaves nothing', async () => {
    await hotbackup({ home, target: monday })
    await change(N + 10)
    await hotbackup({ home, target: join(folder, 'newer') })
    const swapped = interrupted(/monday.*tables/, 'link', async () => {
      await rename(monday, join(folder, 'old'))
      await rename(join(folder, 'newer'), monday)
    })
    await expect(
      hotbackup({ home, target: tuesday, base: monday, fileSystem: swapped }),
    ).rejects.toMatchObject({ code: 'HOTBACKUP_BASE' })
    expect((await readdir(folder)).toSorted()).toEqual(['home', 'monday', 'old'])
  })

  it('is refused for a base that is none', async () => {
    const notBase = { code: 'HOTBACKUP_BASE' }
    await expect(hotbackup({ home, target: tuesday, base: monday })).rejects.toMatchObject(notBase)
    await mkdir(monday)
    await writeFile(join(monday, 'notes.txt'), 'mine')
    await expect(hotbackup({ home, target: tuesday, base: monday })).rejects.toMatchObject(notBase)
    const other = await openHome(join(folder, 'other'))
    await other.close()
    await hotbackup({ home: join(folder, 'other'), target: join(folder, 'of-other') })
    await expect(hotbackup({ home, target: tuesday, base: join(folder, 'of-other') })).rejects.toMatchObject(
      notBase,
    )
    await expect(hotbackup({ home, target: tuesday, base: monday, update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
    expect(await readdir(folder)).not.toContain('tuesday')
  })

  it('shares damage with its base: each of the two names the table', async () => {
    await hotbackup({ home, target: monday })
    const { manifest } = await hotbackup({ home, target: tuesday, base: monday })
    const [shared = ''] = (await sharedWith(tuesday, monday, manifest)).filter((name) =>
      name.includes('tables'),
    )
    const content = await readFile(join(monday, shared))
    content[9] = (content[9] ?? 0) ^ 1
    await writeFile(join(monday, shared), content)
    for (const set of [monday, tuesday]) {
      expect(await verifyBackup(set)).toMatchObject([{ code: 'BACKUP_FILE_CHECKSUM', name: shared }])
      await expect(restored(set)).rejects.toMatchObject({ code: 'ENGINE_TABLE_DAMAGED' })
    }
  })

  it('is estimated with what it would reuse', async () => {
    await hotbackup({ home, target: monday })
    await change(N + 10)
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const estimate = await estimateBackup({ home, target: tuesday, base: monday })
    const { copiedBytes, reusedBytes } = await hotbackup({ home, target: tuesday, base: monday })
    expect(estimate).toMatchObject({ copyBytes: copiedBytes, reusedBytes })
  })
})

describe('a table is unchanged', () => {
  const place = async (): Promise<{ path: string; bytes: number; sha256: string }> => {
    const content = Buffer.from('a table')
    await writeFile(join(folder, '000005.ldb'), content)
    return {
      path: folder,
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
    }
  }
  const context = {
    fileSystem: nodeFileSystem,
    limit: rateLimit({ bytesPerS: undefined }),
    buffers: chunkBuffers(),
    onBytes: () => undefined,
  }

  it.each([
    ['with its checksum recorded', {}, {}, 1],
    ['with its checksum still to be computed', { sha256: undefined }, {}, 1],
    ['but not when the base has another checksum', {}, { sha256: 'f'.repeat(64) }, 0],
    [
      'but not when the base has another checksum than the one computed',
      { sha256: undefined },
      { sha256: 'f'.repeat(64) },
      0,
    ],
    ['but not when the base has another length', {}, { bytes: 8 }, 0],
    ['but not when the base has another number', {}, { name: 'checkpoint/tables/000006.ldb' }, 0],
  ])('%s', async (_, ofTable, ofFile, count) => {
    const { path, bytes, sha256 } = await place()
    const { sha256: _known, ...bare } = { name: '000005.ldb', bytes, sha256 }
    const table = 'sha256' in ofTable ? bare : { ...bare, sha256 }
    const file = { name: 'checkpoint/tables/000005.ldb', bytes, sha256, ...ofFile }
    const checkpoint = { tables: [table] } as unknown as CheckpointManifest
    const base = { label: 'base', files: new Map([[file.name, file]]) }
    expect((await unchangedTables({ checkpoint, tablesDirectory: path }, base, context)).size).toBe(count)
  })
})
