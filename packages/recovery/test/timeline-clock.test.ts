import { join } from 'node:path'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { openLog, readLog } from '@timberline/wal'
import { expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { backupTo, Environment, scratchFolder } from './environment.ts'

test('commit times go on after those of the line that was left, when the clock of the new machine is behind', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(5)
  const backup = join(folder, 'backup')
  await backupTo(env, backup)
  await env.close()
  const home = join(folder, 'restored')
  const report = await recover({ from: { backup }, home })
  const { logDirectory } = homeLayout(home)
  const log = await openLog({ directory: logDirectory, identity: await readHomeIdentity(home), now: () => 1 })
  const { lsn, committedAtUs } = await log.commit(Buffer.from('x'))
  await log.close()
  expect(lsn).toBe(report.lsn + 2)
  expect(committedAtUs).toBeGreaterThan(report.committedAtUs)
  const records = []
  for await (const group of readLog({ directory: logDirectory, fromLsn: report.lsn + 1 }))
    records.push(...group)
  expect(JSON.parse(records[0]?.payload.toString() ?? '')).toEqual({
    type: 'timeline',
    timeline: 2,
    parent: 1,
    forkLsn: 5,
  })
})
