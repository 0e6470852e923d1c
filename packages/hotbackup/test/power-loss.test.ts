/** Fault model: the power fails right after a backup; of names, only those in synced folders survive (the stricter POSIX reading). */
import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { MirrorFileSystem } from '@timberline/wal/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import { makeFastFolder } from './fixture.ts'

let folder = ''
beforeAll(async () => {
  folder = await makeFastFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('a backup into folders that it had to make is not lost with their names', async () => {
  const root = join(folder, 'disk')
  mkdirSync(root)
  const mirror = new MirrorFileSystem(root)
  const home = join(root, 'home')
  const db = new TimberLevel(home, { fileSystem: mirror })
  await db.put('a', '1')
  await db.checkpoint()
  const target = join(root, 'backups/of-this-year/today')
  await hotbackup({ home, target, fileSystem: mirror })
  const image = mirror.capture({ writes: 'lost', names: 'lost' })
  await db.close()
  image.writeTo(join(folder, 'after'))
  expect(await verifyBackup(join(folder, 'after/backups/of-this-year/today'))).toEqual([])
})
