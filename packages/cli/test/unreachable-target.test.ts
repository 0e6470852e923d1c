/** A target in a hole of the log, by command lines: it is refused with the nearest points on both sides, and both can be had. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-hole-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function write(count: number): Promise<void> {
  await using db = new TimberLevel<string, string>(at('home'), { log: { segmentBytesMax: 4096 } })
  for (let index = 0; index < count; index++) await db.put(`k${String(index)}`, 'v'.repeat(500))
  await db.checkpoint()
}

const ship = (): Promise<unknown> =>
  outcome(['archive', 'run', '-h', at('home'), '-a', at('archive'), '--once'])
const backUp = (): Promise<unknown> => outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])

test('a target that no log reaches names the nearest points before and after it', async () => {
  await write(10)
  await ship()
  await backUp()
  // The home forgets its archive, so that its checkpoints let log go that was never shipped.
  await rm(join(at('home'), 'log', 'confirmed.archive.json'))
  await write(40)
  await write(10)
  await ship()
  await backUp()
  const window = await timberline(['archive', 'window', '-a', at('archive'), '--json'])
  expect(window.code).toBe(1)
  const { holes } = JSON.parse(window.out) as {
    holes: { fromLsn: number; throughLsn: number; reason: string }[]
  }
  const hole = holes.find(({ reason }) => reason === 'log-missing')
  if (hole === undefined) throw new Error('a hole was expected')
  const { fromLsn, throughLsn } = hole
  const recover = (lsn: number, home: string) =>
    timberline(['recover', '--from', at('archive'), '-h', at(home), '--until-lsn', String(lsn), '--through'])
  const refused = await recover(fromLsn + 1, 'none')
  expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('RECOVERY_LOG_GAP') })
  expect(refused.err).toContain(`nearest before: lsn ${String(fromLsn - 1)}`)
  expect(refused.err).toContain(`nearest after: lsn ${String(throughLsn + 1)}`)
  expect(await recover(fromLsn - 1, 'before')).toMatchObject({ code: 0 })
  expect(await recover(throughLsn + 1, 'after')).toMatchObject({ code: 0 })
})
