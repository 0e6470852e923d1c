// What a recovery knows of the new home when it ends, its first open need not find out once more.
import { join } from 'node:path'
import { newestCheckpoint, TimberLevel } from '@timberline/engine'
import { expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { backupTo, Environment, scratchFolder } from './environment.ts'

async function recovered(): Promise<{ home: string; lsn: number; backedUp: ReadonlyMap<string, string> }> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(20)
  const backup = join(folder, 'backup')
  const { files } = await backupTo(env, backup)
  await env.close()
  const home = join(folder, 'restored')
  const { lsn } = await recover({ from: { backup }, home })
  return { home, lsn, backedUp: new Map(files.map(({ name, sha256 }) => [name, sha256])) }
}

test('the tables of the base have the hashes in the first checkpoint that the backup proved them by', async () => {
  const { home, backedUp } = await recovered()
  const tables = (await newestCheckpoint(home))?.tables ?? []
  const known = tables.filter(({ name }) => backedUp.has(`checkpoint/tables/${name}`))
  expect(known.length).toBeGreaterThan(0)
  for (const { name, sha256 } of known) expect(sha256).toBe(backedUp.get(`checkpoint/tables/${name}`))
})

test('a home that was opened and closed keeps its first checkpoint: only the note that begins the timeline stands behind it', async () => {
  const { home, lsn } = await recovered()
  const db = new TimberLevel(home)
  await db.open()
  await db.close()
  expect((await newestCheckpoint(home))?.lsn).toBe(lsn)
  const again = new TimberLevel(home)
  await again.put('key', 'value')
  await again.close()
  expect((await newestCheckpoint(home))?.lsn).toBeGreaterThan(lsn + 1)
})
