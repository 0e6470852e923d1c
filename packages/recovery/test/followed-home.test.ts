import { join } from 'node:path'
import { type FileSystem } from '@timberline/wal'
import { immediateFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { identityOf } from '../src/standby/followed-home.ts'
import { Environment, scratchFolder } from './environment.ts'

const failingWith = (code: string): FileSystem => ({
  ...immediateFileSystem,
  open: () => Promise.reject(Object.assign(new Error(`${code}: as the test wants it`), { code })),
})

test('a home that goes away between two looks at it is away; another failure is what it is', async () => {
  const env = await Environment.create(join(await scratchFolder(), 'home'))
  await env.close()
  const { home } = env
  const there = await identityOf({ home, fileSystem: immediateFileSystem })
  expect(there.environmentId).toBe(env.identity.environmentId)
  const gone = identityOf({ home, fileSystem: failingWith('ENOENT') })
  await expect(gone).rejects.toMatchObject({ code: 'RECOVERY_PRIMARY_AWAY' })
  await expect(identityOf({ home, fileSystem: failingWith('EIO') })).rejects.toMatchObject({ code: 'EIO' })
})

/** A home whose identity is there, or not, look by look; then it is as it is. */
const changing = (identity: boolean[]): FileSystem => ({
  ...immediateFileSystem,
  status: async (path) => {
    const there = path.endsWith('timberline.json') ? (identity.shift() ?? true) : true
    return there ? immediateFileSystem.status(path) : undefined
  },
})

test('a home that moves while it is looked at is refused for nothing that it lacked for a moment', async () => {
  const env = await Environment.create(join(await scratchFolder(), 'home'))
  await env.writeMany(1)
  await env.close()
  const { home } = env
  // Each look asks once whether the identity is there, and once more before it is read.
  const comesBack = await identityOf({ home, fileSystem: changing([false]) })
  expect(comesBack.environmentId).toBe(env.identity.environmentId)
  const goes = identityOf({ home, fileSystem: changing([true, false, true, false]) })
  await expect(goes).rejects.toMatchObject({ code: 'RECOVERY_PRIMARY_AWAY' })
  const lost = identityOf({ home, fileSystem: changing([false, false]) })
  await expect(lost).rejects.toMatchObject({ code: 'ENGINE_HOME_DAMAGED' })
})
