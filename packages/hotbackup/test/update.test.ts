import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeHomeIdentity, readHomeIdentity } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { liveHolds } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import {
  SMALL,
  contents,
  copyOf,
  interrupted,
  makeFolder,
  openHome,
  openUsedHome,
  restored,
  write,
} from './fixture.ts'
import { Model, difference } from './history.ts'

const N = 60

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>
let full: BackupResult

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home, N)
  full = await hotbackup({ home, target })
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

function update(): Promise<BackupResult> {
  return hotbackup({ home, target, update: true })
}

async function standsAt(n: number): Promise<void> {
  expect(await verifyBackup(target)).toEqual([])
  const found = await restored(target)
  expect(found.n).toBe(n)
  expect(difference(found.state, new Model(SMALL).at(n))).toBeUndefined()
  expect((await readdir(folder)).toSorted()).toEqual(['backup', 'home'])
  expect(await liveHolds(join(home, 'log'))).toEqual([])
}

describe('an update', () => {
  it('brings a backup to the present by its log alone', async () => {
    await write(db, N + 10)
    const updated = await update()
    expect(updated.manifest.checkpoint).toEqual(full.manifest.checkpoint)
    expect(updated.lsn).toBeGreaterThanOrEqual(full.lsn + 10)
    expect(updated.manifest.digest).toMatchObject({ lsn: updated.lsn })
    await standsAt(N + 10)
  })

  it('can be repeated, across segments and checkpoints of the home, as long as the log is there', async () => {
    for (let round = 1; round <= 4; round += 1) {
      await write(db, N + round * 10)
      await db.switchSegment()
      await write(db, N + round * 10 + 3)
      await update()
      await standsAt(N + round * 10 + 3)
    }
    expect((await readdir(join(target, 'log'))).length).toBeGreaterThan(4)
  })

  it('without anything new changes nothing but the manifest', async () => {
    const before = await contents(target)
    const { lsn, copiedBytes } = await update()
    expect({ lsn, copiedBytes }).toEqual({ lsn: full.lsn, copiedBytes: 0 })
    const after = await contents(target)
    delete before['backup.json']
    delete after['backup.json']
    expect(after).toEqual(before)
  })

  it('copies no data again, and shares nothing with anybody once it stands', async () => {
    await write(db, N + 1)
    const { copiedBytes, bytes, manifest } = await update()
    expect(copiedBytes).toBeLessThan(bytes)
    for (const file of manifest.files) expect((await stat(join(target, file.name))).nlink, file.name).toBe(1)
  })

  it('goes on in a log whose end was torn by a crash of the owner', async () => {
    await write(db, N + 5)
    const crashed = await copyOf(home, join(folder, 'crashed'))
    await db.close()
    await rm(home, { recursive: true })
    await copyOf(crashed, home)
    await rm(crashed, { recursive: true })
    await rm(join(home, 'lock.json'), { force: true })
    db = await openHome(home)
    await write(db, N + 9)
    expect((await update()).lsn).toBeGreaterThan(full.lsn)
    await standsAt(N + 9)
  })

  it('needs a backup to begin with', async () => {
    await expect(hotbackup({ home, target: join(folder, 'none'), update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_UPDATE_MISSING',
    })
    expect((await readdir(folder)).toSorted()).toEqual(['backup', 'home'])
  })

  it('is refused by name when segments between are gone, and leaves the backup as it was', async () => {
    const before = await contents(target)
    await write(db, N + 10)
    await db.checkpoint()
    await write(db, N + 20)
    await db.checkpoint()
    const names = (await readdir(join(home, 'log'))).filter((name) => name.startsWith('log.')).toSorted()
    for (const name of names.slice(0, -1)) await rm(join(home, 'log', name), { force: true })
    await expect(update()).rejects.toMatchObject({ code: 'HOTBACKUP_UPDATE_GAP', kind: 'gap' })
    expect(await contents(target)).toEqual(before)
  })

  it('is refused for a home of another timeline or with another history', async () => {
    const identity = await readHomeIdentity(home)
    await writeHomeIdentity(home, { ...identity, timeline: 2 })
    await expect(update()).rejects.toMatchObject({ code: 'HOTBACKUP_UPDATE_DIVERGED' })
    await writeHomeIdentity(home, identity)
    await standsAt(N)
  })

  it('heals damage in the last log of the backup, which it copies anew', async () => {
    // Committed after the owner sealed its file for the backup: the last log of it is one that goes on.
    const fileSystem = interrupted(/log\.\d+$/, 'open', () => write(db, N + 2))
    await hotbackup({ home, target, fileSystem })
    await damage((await readdir(join(target, 'log'))).toSorted().at(-1) ?? '')
    expect(await verifyBackup(target)).toHaveLength(1)
    await write(db, N + 5)
    await update()
    await standsAt(N + 5)
  })

  it('is refused when a log that it would take over is damaged', async () => {
    const name = (await readdir(join(target, 'log'))).toSorted().at(-1) ?? ''
    await write(db, N + 3)
    await db.switchSegment()
    await write(db, N + 5)
    await update()
    const content = await damage(name)
    await expect(update()).rejects.toMatchObject({ kind: 'corruption' })
    expect(await readFile(join(target, 'log', name))).toEqual(content)
  })
})

/** Flips a bit near the end of a log in the backup; resolves with what is there now. */
async function damage(name: string): Promise<Buffer> {
  const path = join(target, 'log', name)
  const content = await readFile(path)
  const at = content.length - 100
  content[at] = (content[at] ?? 0) ^ 1
  await writeFile(path, content)
  return content
}
