import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { homeLayout } from '../src/home/home-layout.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

test('a home of which only the identity is left does not open as a new, empty one', async () => {
  const home = join(folder, 'home')
  const db = new TimberLevel<string, string>(home)
  await db.put('a', '1')
  await db.close()
  const { dataDirectory, logDirectory, checkpointDirectory } = homeLayout(home)
  for (const part of [dataDirectory, logDirectory, checkpointDirectory]) await rm(part, { recursive: true })
  await expect(new TimberLevel(home).open()).rejects.toMatchObject({ cause: { code: 'ENGINE_LOG_LOST' } })
})
