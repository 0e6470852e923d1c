/**
 * Which line a standby follows, and what it does where there is none, where another one is beside it, or where the archive goes over to
 * another one in the middle of a look. A store that ships while it lists takes the place of a race.
 */
import { join } from 'node:path'
import { type Archive, type ArchiveStore, createArchive, memoryStore, openArchive } from '@timberline/archive'
import { expect, test } from 'vitest'
import { openStandby, recover } from '../src/index.ts'
import { lookAhead } from '../src/standby/standby-outlook.ts'
import { backupInto, Environment, scratchFolder } from './environment.ts'
import { isAt, scene, type Scene, shipAdopted } from './standby-scene.ts'

/** A recovery to record 10 that has written records on a line of its own, the second, and shipped nothing yet. */
async function secondLine({ folder, env, archive }: Scene, records: number): Promise<Environment> {
  const home = join(folder, 'second')
  await recover({ from: { archive }, home, target: { type: 'lsn', edge: 'through', lsn: 10 } })
  const second = await Environment.recovered(home, env)
  await second.writeMany(records)
  return second
}

/** The archive through a store that does something before each listing of pieces. */
function listingAfter(store: ArchiveStore, before: () => Promise<void>): Promise<Archive> {
  return openArchive({
    ...store,
    list: async function* (prefix, options) {
      if (prefix.startsWith('piece/')) await before()
      yield* store.list(prefix, options)
    },
  })
}

test('an archive without any line, or without the line that is asked for, has none to follow', async () => {
  const folder = await scratchFolder()
  const environmentId = 'e'.repeat(32)
  const empty = await createArchive(memoryStore(), { environmentId })
  const refused = { code: 'RECOVERY_NO_BASE', message: expect.stringContaining('no line to follow') }
  await expect(openStandby({ archive: empty, home: join(folder, 'standby') })).rejects.toMatchObject(refused)
  const { open } = await scene()
  await expect(open({ timeline: 7 })).rejects.toMatchObject({ ...refused, details: { timeline: 7 } })
})

test('a backup that no shipper has told of is a line to begin on', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const { environmentId } = env.identity
  const archive = await createArchive(memoryStore(), { environmentId })
  await env.writeMany(4)
  await backupInto(env, archive, { label: 'b04' })
  const standby = await openStandby({ archive, home: join(folder, 'standby'), pollMs: 3_600_000 })
  await standby.caughtUp()
  expect(standby.status()).toMatchObject({ timeline: 1, lsn: 4 })
  expect(await isAt(standby, env, 4)).toBe(true)
  await standby.close()
  await env.close()
})

test('segments of another line are nothing that a standby of one line alone lacks', async () => {
  const made = await scene()
  const standby = await made.open({ timeline: 1 })
  await standby.caughtUp()
  const second = await secondLine(made, 3)
  await second.log.roll()
  await shipAdopted(second, made.archive)
  const { segments } = await made.archive.catalogue()
  expect(segments.filter(({ timeline }) => timeline === 2)).toMatchObject([{ lastLsn: 14 }])
  expect(await standby.caughtUp()).toMatchObject({ timeline: 1, lsn: 10, knownLsn: 10 })
  expect(await isAt(standby, made.env, 10)).toBe(true)
  await second.close()
})

test('a look that the archive goes over to another line under is taken again, and has that line', async () => {
  const made = await scene()
  const second = await secondLine(made, 3)
  let isArmed = false
  const archive = await listingAfter(made.store, async () => {
    if (!isArmed) return
    isArmed = false
    await shipAdopted(second, made.archive)
  })
  const standby = await made.open({ archive })
  const { looks } = await standby.caughtUp()
  isArmed = true
  expect(await standby.caughtUp()).toMatchObject({ timeline: 2, lsn: 14, looks: looks + 1 })
  expect(await isAt(standby, second, 14)).toBe(true)
  await second.close()
})

test('a look ends though the archive goes over to another line during each listing', async () => {
  const made = await scene()
  const second = await secondLine(made, 1)
  await shipAdopted(second, made.archive)
  const { owner } = await made.archive.catalogue()
  let epoch = owner?.epoch ?? 0
  let listings = 0
  const archive = await listingAfter(made.store, async () => {
    listings++
    epoch++
    const claim = { ownerId: 'a'.repeat(32), description: 'in turn', timeline: listings % 2 === 1 ? 1 : 2 }
    await made.archive.appendEvent({ type: 'owner.claimed', epoch, ...claim })
    await made.archive.appendEvent({ type: 'owner.adopted', epoch, segmentNumber: 1, endPosition: 0 })
  })
  const outlook = await lookAhead(archive, { timeline: 1, appliedLsn: 10 })
  expect(listings).toBe(9)
  // What is not listed of that line is left to the next look.
  expect(outlook).toMatchObject({ timeline: 1, reachLsn: 10 })
  await second.close()
})
