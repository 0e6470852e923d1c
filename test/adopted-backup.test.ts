/** The way in, as one walks it: a plain Level folder is adopted, and the full backup that is then due is made at once. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { Level } from 'level'
import { expect, test } from 'vitest'

test('an adopted folder can be backed up and recovered before its application opens it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-adopted-'))
  const [home, backup, recovered] = [join(folder, 'home'), join(folder, 'backup'), join(folder, 'recovered')]
  const plain = new Level<string, string>(home)
  await plain.put('a', '1')
  await plain.close()
  await TimberLevel.adopt(home)
  await hotbackup({ home, target: backup })
  await recover({ from: { backup }, home: recovered })
  const db = new TimberLevel<string, string>(recovered)
  expect(await db.get('a')).toBe('1')
  await db.close()
  await rm(folder, { recursive: true })
})
