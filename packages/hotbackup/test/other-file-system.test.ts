import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import { hotCopies } from './hot-copies.ts'
import { openUsedHome, restored, withFolder, write } from './fixture.ts'

/** In memory, and on the disk of the checkout: one of them is another device than the temporary folder, which may be either. */
const PLACES = ['/dev/shm', import.meta.dirname]

/** A folder on another device than the temporary folder, or why there is none. */
async function otherFolder(beside: string): Promise<string | { reason: string }> {
  for (const place of PLACES) {
    const status = await stat(place).catch(() => undefined)
    if (status === undefined || status.dev === (await stat(beside)).dev) continue
    return mkdtemp(join(place, '.other-device-'))
  }
  return { reason: 'there is no second file system to write to' }
}

it(
  'a backup, its update and its exchange go to another file system',
  { timeout: 60_000 },
  async (context) => {
    await withFolder(async (folder) => {
      const other = await otherFolder(folder)
      if (typeof other !== 'string') return context.skip(other.reason)
      const home = join(folder, 'home')
      const target = join(other, 'backup')
      const db = await openUsedHome(home)
      try {
        const { manifest } = await hotbackup({ home, target })
        expect(manifest.digest).toBeDefined()
        await write(db, 70)
        await hotbackup({ home, target, update: true })
        expect(await verifyBackup(target)).toEqual([])
        expect((await restored(target)).n).toBe(70)
        await hotbackup({ home, target })
        expect(await verifyBackup(target)).toEqual([])
        expect(await readdir(other)).toEqual(['backup'])
      } finally {
        await db.close()
        await rm(other, { recursive: true })
      }
      return undefined
    })
  },
)

it('10 hot copies under kills go to another file system', { timeout: 120_000 }, async (context) => {
  await withFolder(async (folder) => {
    const other = await otherFolder(folder)
    if (typeof other !== 'string') return context.skip(other.reason)
    try {
      const report = await hotCopies({ copies: 10, targetFolder: other, killEveryMs: 700 })
      expect(report.failures).toEqual([])
    } finally {
      await rm(other, { recursive: true })
    }
    return undefined
  })
})
