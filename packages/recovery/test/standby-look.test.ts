/**
 * What a look costs: the catalogue is folded once where something is new, and not at all where nothing is. And how far a look goes where a
 * backup's own log goes further than what a shipper told of, or ends where pieces are lost.
 */
import { join } from 'node:path'
import { readCheckpoint } from '@timberline/engine'
import { expect, onTestFinished, test } from 'vitest'
import { recover } from '../src/index.ts'
import { lookAhead } from '../src/standby/standby-outlook.ts'
import { backupInto, Environment, ship } from './environment.ts'
import { isAt, scene } from './standby-scene.ts'

test('a standby folds the catalogue once for what is new, and does not for nothing', async () => {
  const { env, archive, open } = await scene()
  const { fold } = archive.journal
  const catalogue = fold.catalogue.bind(fold)
  let folds = 0
  fold.catalogue = (...found) => {
    folds += 1
    return catalogue(...found)
  }
  const standby = await open()
  await standby.caughtUp()
  // The position has moved since the look before.
  await standby.caughtUp()
  folds = 0
  for (let looks = 0; looks < 5; looks++) await standby.caughtUp()
  expect(folds).toBe(0)
  // An event more: the lines of the history, and what there is to read.
  await archive.appendEvent({
    type: 'mark.noted',
    epoch: 1,
    mark: { timeline: 1, name: 'm', lsn: 10, committedAtUs: 100 },
  })
  folds = 0
  await standby.caughtUp()
  expect(folds).toBe(2)
  const before = await archive.listPieces()
  await env.writeMany(2)
  await ship(env, archive)
  expect((await archive.listPieces()).length).toBeGreaterThan(before.length)
  await standby.caughtUp(12)
  expect(await isAt(standby, env, 12)).toBe(true)
})

test('pieces behind a hole are missing log, also where a backup’s own log ends right before them', async () => {
  const { env, archive } = await scene()
  const checkpoint = await env.checkpoint()
  await env.writeMany(2)
  await backupInto(env, archive, { checkpoint, label: 'b10' })
  await env.writeMany(1)
  await ship(env, archive)
  const place = { timeline: 1, appliedLsn: 10 }
  const whole = await lookAhead(archive, place)
  expect(whole).toMatchObject({ reachLsn: 13, knownLsn: 13 })
  expect(whole.blocked).toBeUndefined()
  const lost = (await archive.listPieces(1)).filter(
    ({ firstLsn, lastLsn }) => firstLsn === 11 && lastLsn === 12,
  )
  expect(lost).toHaveLength(1)
  for (const { name } of lost) await archive.store.delete(name)
  expect(await lookAhead(archive, place)).toMatchObject({
    reachLsn: 12,
    knownLsn: 13,
    blocked: { afterLsn: 12, by: 'missing' },
  })
})

test('what a parent archived beyond the fork does not tell of a line that nobody has shipped', async () => {
  const { folder, env, archive } = await scene()
  await env.writeMany(10)
  await ship(env, archive)
  const home = join(folder, 'second')
  await recover({ from: { archive }, home, target: { type: 'lsn', edge: 'through', lsn: 12 } })
  const second = await Environment.recovered(home, env)
  onTestFinished(() => second.close())
  // That of the recovery, so that the backup has all of this line's log.
  const checkpoint = await readCheckpoint(home, 12)
  await second.writeMany(2)
  await backupInto(second, archive, { ...(checkpoint === undefined ? {} : { checkpoint }), label: 'b12' })
  const outlook = await lookAhead(archive, { timeline: 1, appliedLsn: 10, pinned: 2 })
  expect(outlook).toMatchObject({ timeline: 2, reachLsn: 12, knownLsn: 15 })
})
