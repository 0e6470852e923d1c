import { join } from 'node:path'
import { type FileSystem } from '@timberline/wal'
import { immediateFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { identityOf } from '../src/followed-home.ts'
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
