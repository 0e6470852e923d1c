import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { offlineBackup, verifyBackup } from '../src/index.ts'
import { makeFolder, openHome, openUsedHome, restored, write } from './fixture.ts'

let folder = ''
let home = ''
let target = ''

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

describe('an offline backup', () => {
  it('holds everything, behind a checkpoint that leaves no log to replay', async () => {
    const db = await openUsedHome(home)
    await db.close()
    const backup = await offlineBackup({ home, target })
    expect(await verifyBackup(target)).toEqual([])
    expect((await restored(target)).n).toBe(60)
    expect(backup.manifest.checkpoint.lsn).toBeGreaterThanOrEqual(60)
  })

  it('is refused while the home is open, with the pid of its owner', async () => {
    const db = await openUsedHome(home)
    await expect(offlineBackup({ home, target })).rejects.toMatchObject({
      code: 'ENGINE_HOME_LOCKED',
      details: { pid: process.pid },
    })
    await db.close()
    expect(await readdir(folder)).toEqual(['home'])
  })

  it('keeps everybody out while it runs, and lets them in afterwards', async () => {
    const db = await openUsedHome(home)
    await db.close()
    let second: unknown
    const opened: Promise<void>[] = []
    await offlineBackup({
      home,
      target,
      onEvent: (event) => {
        if (event.type !== 'log.begun') return
        opened.push(
          openHome(home).then(
            (other) => other.close(),
            (error: unknown) => {
              second = error
            },
          ),
        )
      },
    })
    await Promise.all(opened)
    expect(JSON.stringify(second, ['code', 'cause'])).toContain('LOCKED')
    const after = await openHome(home)
    await write(after, 70)
    await after.close()
  })

  it('is refused for a home that is not there, and makes none', async () => {
    await expect(offlineBackup({ home: join(folder, 'hoem'), target })).rejects.toMatchObject({
      code: 'ENGINE_HOME_MISSING',
    })
    expect(await readdir(folder)).toEqual([])
  })
})
