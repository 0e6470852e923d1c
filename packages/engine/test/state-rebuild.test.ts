import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

test('what a rebuild left that was cut short by a full disk goes with the next open that succeeds', async () => {
  const home = join(folder, 'home')
  const db = new TimberLevel(home)
  await db.put('a', '1')
  await db.close()
  for (const name of ['data.rebuilding', 'data.replaced']) {
    await mkdir(join(home, name))
    await writeFile(join(home, name, '000005.ldb'), 'half a table')
  }
  const again = new TimberLevel(home)
  expect(await again.get('a')).toBe('1')
  await again.close()
  expect(existsSync(join(home, 'data.rebuilding'))).toBe(false)
  expect(existsSync(join(home, 'data.replaced'))).toBe(false)
})
