/**
 * An update changes the backup where it stands. Fault model: its process dies at any one operation on a file, or the power fails there and
 * takes whatever was not synced. Then the old set or the new one stands, by the manifest that is there; with the old one, the log may
 * already go on behind its end, which belongs to no set. `faults.test.ts` has the matrix of all kinds of backup.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { appendFile, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBackupManifest } from '@timberline/archive'
import { TimberLevel } from '@timberline/engine'
import { listSegments } from '@timberline/wal'
import {
  FaultFileSystem,
  MirrorFileSystem,
  failOn,
  immediateFileSystem,
  type CrashImage,
} from '@timberline/wal/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { contents, copyOf, interrupted, makeFastFolder, openUsedHome, restored, write } from './fixture.ts'

const N = 60

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>
let full: BackupResult

beforeEach(async () => {
  folder = await makeFastFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home, N)
  // Committed after the owner sealed its file for the backup: the last log of the set is one that goes on.
  const fileSystem = interrupted(/log\.\d+$/, 'open', () => write(db, N + 2))
  full = await hotbackup({ home, target, fileSystem, digest: false })
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

async function endLsnOf(backup: string): Promise<number> {
  return decodeBackupManifest(await readFile(join(backup, 'backup.json'))).endLsn
}

/** Dies when the new manifest is about to take its place: all of the new log is there by then. */
async function cutOff(): Promise<void> {
  const faulty = new FaultFileSystem(
    immediateFileSystem,
    failOn({ kind: 'rename', path: /backup\.json$/ }, 'crash', { once: false }),
  )
  await expect(hotbackup({ home, target, update: true, digest: false, fileSystem: faulty })).rejects.toThrow(
    /crash/i,
  )
  await faulty.releaseHandles()
}

describe('an update in place', () => {
  it('touches no data file, however many there are', async () => {
    await write(db, N + 10)
    const counting = new FaultFileSystem(immediateFileSystem)
    await hotbackup({ home, target, update: true, digest: false, fileSystem: counting })
    const touched = counting.operations.filter(({ path, to }) => `${path} ${String(to)}`.includes('.ldb'))
    expect(touched).toEqual([])
    expect((await restored(target)).n).toBe(N + 10)
  })

  it('that was cut off leaves the old backup, whose log goes on behind its end, and the next one goes on from there', async () => {
    const last = full.manifest.files.findLast(({ name }) => name.startsWith('log/'))
    await write(db, N + 10)
    await db.switchSegment()
    await write(db, N + 20)
    await cutOff()
    expect(await endLsnOf(target)).toBe(full.lsn)
    expect((await stat(join(target, last?.name ?? ''))).size).toBeGreaterThan(last?.bytes ?? 0)
    expect(await verifyBackup(target)).toEqual([])
    for (const digest of [false, true]) {
      const again = await copyOf(target, join(folder, 'again'))
      const { lsn } = await hotbackup({ home, target: again, update: true, digest })
      expect(await verifyBackup(again)).toEqual([])
      expect(await endLsnOf(again)).toBe(lsn)
      expect(await restored(again)).toMatchObject({ n: N + 20, lsn })
      rmSync(again, { recursive: true })
    }
    // Recovery of the backup takes its files over by links, which a file that goes on is not fit for.
    const { lsn } = await hotbackup({ home, target, update: true, recover: true })
    expect(await verifyBackup(target)).toEqual([])
    expect(await restored(target)).toMatchObject({ n: N + 20, lsn })
    expect((await readdir(folder)).toSorted()).toEqual(['backup', 'home'])
  })

  it('that was cut off is told from a log that is damaged behind the end of the backup', async () => {
    await write(db, N + 10)
    await db.switchSegment()
    await write(db, N + 20)
    await cutOff()
    const names = (await readdir(join(target, 'log'))).toSorted()
    const stray = names.at(-1) ?? ''
    const content = await readFile(join(target, 'log', stray))
    content[content.length - 30] = (content[content.length - 30] ?? 0) ^ 1
    await writeFile(join(target, 'log', stray), content)
    expect((await verifyBackup(target)).map(({ code }) => code)).toContain('BACKUP_FILE_UNLISTED')
    await rm(join(target, 'log', stray))
    expect(await verifyBackup(target)).toEqual([])
    await appendFile(join(target, 'log', names.at(-2) ?? ''), Buffer.alloc(8))
    expect((await verifyBackup(target)).map(({ code }) => code)).toContain('BACKUP_FILE_LENGTH')
  })

  it('goes on with a backup whose log an older version took over file by file', async () => {
    // What an update made until now: a new folder, the files in it links to those of the folder before.
    await write(db, N + 10)
    await hotbackup({ home, target, update: true, recover: true, digest: false })
    await write(db, N + 20)
    const { lsn } = await hotbackup({ home, target, update: true })
    expect(await verifyBackup(target)).toEqual([])
    expect(await restored(target)).toMatchObject({ n: N + 20, lsn })
  })

  it.each(['backup.json', 'log'])(
    'is refused when the disk cannot make its new %s durable, and leaves what is there as it was',
    async (name) => {
      await write(db, N + 10)
      const before = await contents(target)
      const path = new RegExp(`partial-\\d+/${name}`)
      const fileSystem = new FaultFileSystem(immediateFileSystem, failOn({ kind: 'sync', path }, 'EIO'))
      await expect(
        hotbackup({ home, target, update: true, digest: false, fileSystem }),
      ).rejects.toMatchObject({ cause: { code: 'EIO' } })
      expect(fileSystem.injected).toHaveLength(1)
      expect(await contents(target)).toEqual(before)
    },
  )

  it('is refused when the backup has lost a data file, and leaves what is there as it was', async () => {
    const table = full.manifest.files.find(({ name }) => name.endsWith('.ldb'))?.name ?? ''
    await rm(join(target, table))
    const before = await contents(target)
    await write(db, N + 10)
    await expect(hotbackup({ home, target, update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_COPY_DAMAGED',
      details: { file: table },
    })
    expect(await contents(target)).toEqual(before)
  })

  it('is refused when the log of the home is damaged where it is new', async () => {
    await write(db, N + 10)
    await db.switchSegment()
    const { header } = (await listSegments(join(home, 'log'))).at(-2) ?? {}
    const path = join(home, 'log', `log.${String(header?.segmentNumber).padStart(10, '0')}`)
    const sound = await readFile(path)
    const content = Buffer.from(sound)
    const at = Math.floor(content.length / 2)
    content[at] = (content[at] ?? 0) ^ 1
    await writeFile(path, content)
    const before = await contents(target)
    await expect(hotbackup({ home, target, update: true, digest: false })).rejects.toMatchObject({
      kind: 'corruption',
    })
    expect(await contents(target)).toEqual(before)
    await writeFile(path, sound)
  })

  it('leaves the old backup or the new one after a power loss at any operation on a file', async () => {
    const root = join(folder, 'disk')
    mkdirSync(root)
    const mirror = new MirrorFileSystem(root, { real: immediateFileSystem })
    const [home, target] = [join(root, 'home'), join(root, 'backup')]
    const db = new TimberLevel(home, { fileSystem: mirror })
    await db.put('a', '1')
    await db.checkpoint()
    const older = await hotbackup({ home, target, digest: false, fileSystem: mirror })
    for (const key of ['b', 'c', 'd']) await db.put(key, '2')
    const images = new Map<string, CrashImage>()
    const watched = new FaultFileSystem(mirror)
    watched.inject(({ index }) => {
      for (const loss of [{ writes: 'lost', names: 'lost' }, { seed: index }] as const) {
        const image = mirror.capture({ seed: index, leveldb: 'promised', ownLog: 'gone', ...loss })
        images.set(image.fingerprint, image)
      }
      return undefined
    })
    const newer = await hotbackup({ home, target, update: true, digest: false, fileSystem: watched })
    watched.inject(undefined)
    const worst = mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'promised', ownLog: 'gone' })
    await db.close()
    const place = join(folder, 'after')
    const stands = async (image: CrashImage): Promise<number> => {
      image.writeTo(place)
      expect(await verifyBackup(join(place, 'backup')), image.loss).toEqual([])
      const lsn = await endLsnOf(join(place, 'backup'))
      rmSync(place, { recursive: true })
      return lsn
    }
    const seen = new Set<number>()
    for (const image of images.values()) seen.add(await stands(image))
    console.log(`power loss: ${String(images.size)} states of the disk`)
    expect([...seen].toSorted((a, b) => a - b)).toEqual([older.lsn, newer.lsn])
    expect(await stands(worst)).toBe(newer.lsn)
  })
})
