/** Fault model: the power fails right after a recovery; of names, only those in synced folders survive (the stricter POSIX reading). */
import { mkdirSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { MirrorFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { recover, recoverHome } from '../src/index.ts'
import { createArchive, directoryStore } from '@timberline/archive'
import { backupInto, backupTo, contentOf, Environment, scratchFolder } from './environment.ts'

test('a home recovered into folders that had to be made is not lost with their names', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(5)
  await backupTo(env, join(folder, 'backup'))
  await env.close()
  const root = join(folder, 'disk')
  mkdirSync(root)
  await cp(join(folder, 'backup'), join(root, 'backup'), { recursive: true })
  const mirror = await MirrorFileSystem.over(root)
  const home = join(root, 'homes/of-this-year/restored')
  await recover({ from: { backup: join(root, 'backup') }, home, fileSystem: mirror })
  const image = mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'synced' })
  image.writeTo(join(folder, 'after'))
  const after = join(folder, 'after/homes/of-this-year/restored')
  await recoverHome(after)
  expect(await contentOf(after)).toEqual(env.content(5))
})

test('a home recovered out of an archive is durable to its last table', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(5)
  const { environmentId } = env.identity
  const archive = await createArchive(directoryStore(join(folder, 'archive')), { environmentId })
  const { files } = await backupInto(env, archive, { label: '20261124-120000F' })
  expect(files.some(({ name }) => name.startsWith('checkpoint/tables/'))).toBe(true)
  await env.close()
  const root = join(folder, 'disk')
  mkdirSync(root)
  const mirror = await MirrorFileSystem.over(root)
  await recover({ from: { archive }, home: join(root, 'restored'), fileSystem: mirror })
  mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'synced' }).writeTo(join(folder, 'after'))
  await recoverHome(join(folder, 'after/restored'))
  expect(await contentOf(join(folder, 'after/restored'))).toEqual(env.content(5))
})
