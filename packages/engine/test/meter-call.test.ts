import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ControlConnection } from '../src/control/control-connection.ts'
import { meterCommits } from '../src/control/meter-call.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

describe('commits metered over the control socket', () => {
  test('are those since it was asked for, and each who asks has figures of its own', async () => {
    const home = join(folder, 'home')
    const db = new TimberLevel<string, string>(home)
    await db.put('before', '1')
    const first = await meterCommits(home)
    await db.put('a', '1')
    const second = await meterCommits(home)
    await db.batch([{ type: 'put', key: 'b', value: '2' }])
    await db.del('a')
    expect(await first.report()).toMatchObject({ commitCount: 3 })
    const { commitCount, longestWaitMs, ms } = await second.report()
    expect(commitCount).toBe(2)
    expect(longestWaitMs).toBeGreaterThan(0)
    expect(ms).toBeGreaterThan(longestWaitMs)
    first.close()
    second.close()
    await db.close()
    await expect(meterCommits(home)).rejects.toMatchObject({ code: 'ENGINE_NOT_RUNNING' })
  })

  test('are nothing to a connection that has not asked', async () => {
    const home = join(folder, 'other')
    const db = new TimberLevel<string, string>(home)
    await db.open()
    const connection = await ControlConnection.open(home)
    await expect(connection.call({ type: 'metered' })).rejects.toMatchObject({
      code: 'ENGINE_CONTROL_REQUEST',
    })
    connection.close()
    await db.close()
  })
})
