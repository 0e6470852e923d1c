// A commit time names one record. Whether that record itself is kept is all that an edge says, so both edges are tried at one
// commit time inside a segment, where only reading the records tells which one it is.
import { join } from 'node:path'
import { createArchive, memoryStore } from '@timberline/archive'
import { expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { backupInto, contentOf, Environment, scratchFolder, ship } from './environment.ts'

test('a commit at just the named time is kept by through and dropped by before', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(2)
  await backupInto(env, archive, { label: 'b1', digest: false })
  await env.writeMany(6)
  await env.log.roll()
  await env.writeMany(2)
  await ship(env, archive)
  await env.close()
  for (const [edge, lsn] of [
    ['before', 4],
    ['through', 5],
  ] as const) {
    const home = join(folder, edge)
    const target = { type: 'time', atUs: env.times[5] ?? 0, edge } as const
    expect(await recover({ from: { archive }, home, target, digest: false })).toMatchObject({
      lsn,
      lastApplied: { lsn },
      firstDropped: { lsn: lsn + 1 },
    })
    expect(await contentOf(home)).toEqual(env.content(lsn))
  }
})
