/** What a look costs: the catalogue is folded once where something is new, and not at all where nothing is. */
import { expect, test } from 'vitest'
import { ship } from './environment.ts'
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
