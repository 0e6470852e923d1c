import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, memoryStore } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { listSegments } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import { SMALL, interrupted, makeFolder, openUsedHome, restored, write } from './fixture.ts'
import { Model, difference } from './history.ts'

const N = 60

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home, N)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The last LSN in the log of the home. */
async function lastLsn(): Promise<number> {
  return (await listSegments(join(home, 'log'))).at(-1)?.lastLsn ?? 0
}

/** A file system that lets something happen when the first table is about to be copied. */
function whileCopying(happening: () => Promise<void>): { fileSystem: FileSystem } {
  return { fileSystem: interrupted(/tables/, 'open', happening) }
}

/** What the set restores to, checked against the history. */
async function holds(backup: string): Promise<number> {
  expect(await verifyBackup(backup)).toEqual([])
  const { n, state } = await restored(backup)
  expect(difference(state, new Model(SMALL).at(n))).toBeUndefined()
  return n
}

describe('a backup as of the start', () => {
  it('ends where the log was durable when it began, though commits go on all the while', async () => {
    const endLsn = await lastLsn()
    const meanwhile = whileCopying(() => write(db, N + 30))
    const { manifest, lsn } = await hotbackup({
      home,
      target,
      asOf: 'start',
      ...meanwhile,
    })
    expect(await lastLsn()).toBeGreaterThan(endLsn)
    expect(lsn).toBe(endLsn)
    expect(manifest).toMatchObject({ asOf: 'start', endLsn, digest: { lsn: endLsn } })
    expect(await holds(target)).toBe(N)
    expect((await restored(target)).lsn).toBe(endLsn)
  })

  it('is not harmed by a checkpoint and a new segment in the middle of it', async () => {
    const meanwhile = whileCopying(async () => {
      await write(db, N + 30)
      await db.checkpoint()
      await write(db, N + 40)
      await db.checkpoint()
    })
    await hotbackup({ home, target, asOf: 'start', ...meanwhile })
    expect(await holds(target)).toBe(N)
  })

  it('begins after the checkpoint that was asked for', async () => {
    const { manifest } = await hotbackup({ home, target, asOf: 'start', checkpoint: true })
    expect(manifest.checkpoint.lsn).toBeGreaterThanOrEqual(N)
    expect(manifest.endLsn).toBeGreaterThanOrEqual(manifest.checkpoint.lsn)
    expect(await holds(target)).toBe(N)
  })

  it('in an archive ends there too, with the digest that a folder gets', async () => {
    const archive = await createArchive(memoryStore(), await readHomeIdentity(home))
    const here = await hotbackup({ home, target, asOf: 'start' })
    const meanwhile = whileCopying(() => write(db, N + 30))
    const there = await hotbackup({
      home,
      target: { archive },
      asOf: 'start',
      ...meanwhile,
    })
    expect(there.manifest).toMatchObject({ asOf: 'start', endLsn: here.lsn, digest: here.manifest.digest })
    expect(await archive.backupManifest(there.manifest.label)).toEqual(there.manifest)
    await archive.close()
  })

  it('is moved to the moment of an update, which then says so', async () => {
    await hotbackup({ home, target, asOf: 'start' })
    await write(db, N + 5)
    const { manifest } = await hotbackup({ home, target, update: true })
    expect(manifest.asOf).toBe('end')
    expect(await holds(target)).toBe(N + 5)
  })

  it('is no choice of an update, whose log is listed once', async () => {
    await hotbackup({ home, target })
    for (const asOf of ['start', 'end'] as const) {
      await expect(hotbackup({ home, target, update: true, asOf })).rejects.toMatchObject({
        code: 'HOTBACKUP_OPTIONS',
      })
    }
  })
})

describe('a backup as of the end, which is the default', () => {
  it('holds what was committed while its data were copied', async () => {
    const meanwhile = whileCopying(() => write(db, N + 30))
    const { manifest } = await hotbackup({ home, target, ...meanwhile })
    expect(manifest.asOf).toBe('end')
    expect(await holds(target)).toBe(N + 30)
  })
})
