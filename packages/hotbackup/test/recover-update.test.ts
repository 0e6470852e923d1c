import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult, HotbackupEvent } from '../src/index.ts'
import { SMALL, contents, makeFolder, openUsedHome, restored, write } from './fixture.ts'
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

function update(
  more: { readonly digest?: boolean; readonly onEvent?: (event: HotbackupEvent) => void } = {},
) {
  return hotbackup({ home, target, update: true, recover: true, ...more })
}

async function standsAt(n: number): Promise<void> {
  expect(await verifyBackup(target)).toEqual([])
  const found = await restored(target)
  expect(found.n).toBe(n)
  expect(difference(found.state, new Model(SMALL).at(n))).toBeUndefined()
  expect((await readdir(folder)).toSorted()).toEqual(['backup', 'home'])
}

describe('an update with recovery', () => {
  it('brings the data files to the end of the backup, round after round', async () => {
    for (let round = 1; round <= 4; round += 1) {
      await write(db, N + round * 20)
      await db.switchSegment()
      await write(db, N + round * 20 + 3)
      const events: HotbackupEvent[] = []
      const { manifest, lsn } = await update({ onEvent: (event) => events.push(event) })
      expect(manifest.checkpoint.lsn).toBe(lsn)
      expect(manifest.endLsn).toBe(lsn)
      expect(manifest.digest).toEqual(await db.digest())
      expect(events).toContainEqual({ type: 'data.forwarded', lsn, tableCount: expect.any(Number) })
      await standsAt(N + round * 20 + 3)
      // What only the older data files needed has left.
      expect(await readdir(join(target, 'log'))).toHaveLength(1)
      expect(await readdir(join(target, 'checkpoint'))).toHaveLength(2)
    }
    for (const file of (await readdir(target, { recursive: true })).filter((name) => name.endsWith('.ldb')))
      expect((await stat(join(target, file))).nlink, file).toBe(1)
  })

  it('goes on with a plain update, and with recovery after that', async () => {
    await write(db, N + 10)
    await update()
    await write(db, N + 20)
    const plain = await hotbackup({ home, target, update: true })
    expect(plain.manifest.checkpoint.lsn).toBeLessThan(plain.lsn)
    await standsAt(N + 20)
    const { manifest, lsn } = await update()
    expect(manifest.checkpoint.lsn).toBe(lsn)
    await standsAt(N + 20)
  })

  it('goes on after a log that was sealed at its end', async () => {
    await write(db, N + 10)
    await db.switchSegment()
    await update()
    await write(db, N + 15)
    const { manifest, lsn } = await update()
    expect(manifest.checkpoint.lsn).toBe(lsn)
    await standsAt(N + 15)
  })

  it('needs no digest', async () => {
    await write(db, N + 10)
    const { manifest, lsn } = await update({ digest: false })
    expect({ digest: manifest.digest, lsn: manifest.checkpoint.lsn }).toEqual({ digest: undefined, lsn })
    await standsAt(N + 10)
  })

  it('is refused over a damaged data file, and the backup stays what it was', async () => {
    const table = full.manifest.files.find(({ name }) => name.startsWith('checkpoint/tables/'))?.name ?? ''
    const content = await readFile(join(target, table))
    content[40] = (content[40] ?? 0) ^ 1
    await writeFile(join(target, table), content)
    const before = await contents(target)
    await write(db, N + 10)
    await expect(update()).rejects.toMatchObject({ code: 'ENGINE_TABLE_DAMAGED' })
    expect(await contents(target)).toEqual(before)
    expect((await readdir(folder)).toSorted()).toEqual(['backup', 'home'])
  })

  it('is an option of updates only', async () => {
    await expect(hotbackup({ home, target, recover: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
  })
})
