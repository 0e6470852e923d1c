import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, directoryStore, memoryStore } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { liveHolds } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { estimateBackup, hotbackup } from '../src/index.ts'
import { contents, makeFolder, openUsedHome, write } from './fixture.ts'

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

describe('an estimate', () => {
  it('tells the bytes that the backup then copies, and copies none', async () => {
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const before = await contents(home)
    const estimate = await estimateBackup({ home, target })
    expect(await contents(home)).toEqual(before)
    expect(await readdir(folder)).toEqual(['home'])
    expect(await liveHolds(join(home, 'log'))).toEqual([])
    const { manifest, copiedBytes } = await hotbackup({ home, target })
    const tables = manifest.files.filter(({ name }) => name.startsWith('checkpoint/tables/'))
    expect(estimate.dataBytes).toBe(tables.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(estimate.copyBytes).toBe(copiedBytes)
    expect(estimate).toMatchObject({ target, reusedBytes: 0, rate: 'measured', fits: true })
    expect(estimate.copyBytes).toBe(estimate.dataBytes + estimate.logBytes)
    expect(estimate.freeBytes).toBeGreaterThan(estimate.copyBytes)
    expect(estimate.seconds).toBeCloseTo(estimate.copyBytes / estimate.bytesPerS)
  })

  it('takes the limit for its rate where there is one', async () => {
    const { bytesPerS, copyBytes, rate, seconds } = await estimateBackup({ home, target, maxMbPerS: 0.001 })
    expect({ bytesPerS, rate }).toEqual({ bytesPerS: 1000, rate: 'limit' })
    expect(seconds).toBe(copyBytes / 1000)
  })

  it('of an update counts the new log alone, and the rest as reused', async () => {
    await hotbackup({ home, target })
    await write(db, 70)
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const before = await contents(target)
    const estimate = await estimateBackup({ home, target, update: true })
    expect(await contents(target)).toEqual(before)
    const updated = await hotbackup({ home, target, update: true })
    expect(estimate).toMatchObject({ dataBytes: 0, logBytes: updated.copiedBytes })
    expect(estimate.reusedBytes + estimate.copyBytes).toBe(updated.bytes)
  })

  it('is of a folder that is still to be made, of an archive in a folder, and of a store whose room nobody knows', async () => {
    const identity = await readHomeIdentity(home)
    expect((await estimateBackup({ home, target: join(folder, 'a/b/c') })).freeBytes).toBeGreaterThan(0)
    const inFolder = await createArchive(directoryStore(join(folder, 'archive')), identity)
    expect(await estimateBackup({ home, target: { archive: inFolder } })).toMatchObject({ fits: true })
    const elsewhere = await createArchive(memoryStore(), identity)
    const unknown = await estimateBackup({ home, target: { archive: elsewhere } })
    expect([unknown.freeBytes, unknown.fits]).toEqual([undefined, undefined])
  })

  it('of a call of volumes tells its pages, its volumes and their folders, and begins no series', async () => {
    const dirs = ['a', 'b', 'c'].map((name) => join(folder, name))
    for (const directory of dirs) await mkdir(directory)
    const volumes = { prefix: 'z', volumePages: 100, dirs, parity: 2 }
    for (const call of [1, 2, 3]) {
      // What the backup would have sealed is sealed, so that both see the same log.
      await db.switchSegment()
      const before = await contents(folder)
      const estimate = await estimateBackup({ home, target: { volumes } })
      expect(await contents(folder)).toEqual(before)
      const made = await hotbackup({ home, target: { volumes } })
      const { copyBytes, dataBytes, reusedBytes } = estimate
      const content = made.manifest.files.filter(({ name }) => /^(log|checkpoint\/tables)\//.test(name))
      expect(copyBytes + reusedBytes).toBe(content.reduce((sum, { bytes }) => sum + bytes, 0))
      expect(dataBytes > 0).toBe(call !== 2)
      const { paths = [], parityPaths = [], pages = 0 } = made.volumes ?? {}
      expect(estimate).toMatchObject({
        fits: true,
        volumes: { call, pages, volumeCount: paths.length, parityCount: parityPaths.length },
      })
      const places = [...paths, ...parityPaths].map((path) => join(path, '..')).toSorted()
      const told = estimate.volumes?.folders.flatMap(({ directory, volumeCount, parityCount }) =>
        Array.from({ length: volumeCount + parityCount }, () => directory),
      )
      expect(told).toEqual(places)
      await write(db, 60 + 10 * call)
      if (call === 2) await db.checkpoint()
    }
    const other = { ...volumes, volumePages: 200 }
    await expect(estimateBackup({ home, target: { volumes: other } })).rejects.toMatchObject({
      code: 'HOTBACKUP_SERIES_CHANGED',
    })
  })

  it('refuses what the backup would refuse, and changes nothing of it', async () => {
    await mkdir(target)
    await writeFile(join(target, 'notes.txt'), 'mine')
    await expect(estimateBackup({ home, target })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_NOT_BACKUP',
    })
    await expect(estimateBackup({ home, target: join(home, 'backup') })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_OVERLAPS',
    })
    await expect(estimateBackup({ home, target: join(folder, 'new'), update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_UPDATE_MISSING',
    })
    await expect(estimateBackup({ home: join(folder, 'mistyped'), target })).rejects.toMatchObject({
      code: 'ENGINE_HOME_MISSING',
    })
    expect(await readdir(target)).toEqual(['notes.txt'])
  })
})
