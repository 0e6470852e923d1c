// Fault model: one bit of a table in a backup has changed and its length has not. LevelDB serves such a table as if it were
// right, and its MANIFEST knows lengths alone, so that nothing but the checksum in the backup's manifest can tell.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, directoryStore } from '@timberline/archive'
import { expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { backupInto, backupTo, Environment, exists, scratchFolder } from './environment.ts'

test.each([
  ['when it is copied into a new home', false],
  ['when the backup becomes the home where it lies', true],
])('a table that differs in one bit is refused %s, without a digest to compare', async (_, inPlace) => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(30)
  const backup = join(folder, 'backup')
  await backupTo(env, backup, { checkpoint: await env.checkpoint() })
  const tables = join(backup, 'checkpoint/tables')
  const [name = ''] = await readdir(tables)
  const content = await readFile(join(tables, name))
  const home = inPlace ? backup : join(folder, 'restored')
  let positions = 0
  for (let position = 0; position < content.length; position += Math.ceil(content.length / 8)) {
    const changed = Buffer.from(content)
    changed[position] = (changed[position] ?? 0) ^ 1
    await writeFile(join(tables, name), changed)
    await expect(recover({ from: { backup }, home, digest: false })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_DAMAGED',
    })
    // Nothing that an ordinary open would take for a database.
    expect(await exists(join(home, 'recovery.json'))).toBe(true)
    positions += 1
  }
  console.log(`one bit changed at ${String(positions)} positions of a table, each refused`)
  expect(positions).toBe(8)
})

test('a sound object that holds another table of the same length is refused, without a digest to compare', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const place = join(folder, 'archive')
  const { environmentId } = env.identity
  const archive = await createArchive(directoryStore(place), { environmentId })
  await env.writeMany(30)
  const { files } = await backupInto(env, archive, { label: 'b1', digest: false })
  const object = files.find(({ name }) => name.startsWith('checkpoint/tables/'))?.object ?? ''
  const chunks: Buffer[] = []
  for await (const chunk of archive.readObject(object)) chunks.push(chunk)
  const content = Buffer.concat(chunks)
  content.writeUInt8(content.readUInt8(0) ^ 1, 0)
  await rm(join(place, object))
  await archive.putObject(object, content)
  const attempt = recover({ from: { archive }, home: join(folder, 'restored'), digest: false })
  await expect(attempt).rejects.toMatchObject({ code: 'RECOVERY_SOURCE_DAMAGED' })
})
