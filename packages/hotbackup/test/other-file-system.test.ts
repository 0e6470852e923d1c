import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import { hotCopies } from './hot-copies.ts'
import { openUsedHome, restored, withFolder, write } from './fixture.ts'

/** A folder in memory on another device than the temporary folder, or why there is none. */
async function otherFolder(beside: string): Promise<string | { reason: string }> {
  try {
    const path = await mkdtemp('/dev/shm/timberline-hotbackup-')
    if ((await stat(path)).dev !== (await stat(beside)).dev) return path
    await rm(path, { recursive: true })
    return { reason: 'the temporary folder is in memory too' }
  } catch (error) {
    return { reason: `there is no second file system to write to: ${String(error)}` }
  }
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

it('30 hot copies under kills go to another file system', { timeout: 120_000 }, async (context) => {
  await withFolder(async (folder) => {
    const other = await otherFolder(folder)
    if (typeof other !== 'string') return context.skip(other.reason)
    try {
      const report = await hotCopies({ copies: 30, targetFolder: other, killEveryMs: 700 })
      expect(report.failures).toEqual([])
    } finally {
      await rm(other, { recursive: true })
    }
    return undefined
  })
})
