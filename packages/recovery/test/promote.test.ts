/**
 * Promotion: what was told to be archived is in the new home, whoever else writes, ships, promotes or dies in the same moment, and of
 * all who would go on from the same line the archive lets one.
 */
import { cp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Archive, type ArchiveStore, openArchive } from '@timberline/archive'
import { BULK_LOAD_MARK, homeLayout, lockHome, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { nodeFileSystem, readConfirmations } from '@timberline/wal'
import { describe, expect, onTestFinished, test } from 'vitest'
import { expire, openStandby, planRecovery, promote, readStandbyLabel, recover } from '../src/index.ts'
import { backupInto, contentOf, Environment, ship } from './environment.ts'
import { promoteUnderLoad } from './promotion-load.ts'
import { elsewhere, followed, isAt, shipAdopted, shipperOf } from './standby-scene.ts'

const endsOf = async (archive: Archive): Promise<readonly unknown[]> =>
  (await archive.catalogue()).timelines.flatMap(({ ended }) => (ended === undefined ? [] : [ended]))

describe('a promoted standby', () => {
  test('is a home that begins where the archive ends, and archives on', async () => {
    const made = await followed()
    const { env, archive, home } = made
    await env.writeMany(4)
    await ship(env, archive)
    const report = await promote({ archive, home })
    expect(report).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: 14 },
      records: 4,
      alreadyDone: false,
    })
    expect(await contentOf(home)).toEqual(env.content(14))
    expect(await readHomeIdentity(home)).toMatchObject({ timeline: 2, parent: { timeline: 1, forkLsn: 14 } })
    // No log goes before the first shipper has run.
    expect(await readConfirmations(homeLayout(home).logDirectory)).toMatchObject([
      { name: 'archive', segmentNumber: 0, lsn: 0, timeline: 2 },
    ])
    const next = await Environment.recovered(home, env)
    await next.writeMany(3)
    const shipper = shipperOf(next, archive)
    await shipper.flush()
    const plan = planRecovery(await archive.catalogue(), { type: 'latest' })
    expect(plan).toMatchObject({ possible: true, timeline: 2, throughLsn: 18 })
    await next.close()
  })

  test('opens as a database that has every key and goes on', async () => {
    const { env, archive, home } = await followed()
    await promote({ archive, home })
    const db = new TimberLevel(home)
    expect(new Map(await db.iterator().all())).toEqual(env.content(10))
    await db.put('after', 'promotion')
    await db.close()
    expect((await contentOf(home)).get('after')).toBe('promotion')
  })

  test('is refused by name, and stays a standby, where retention let go the timeline that it followed', async () => {
    const { env, archive, folder, home } = await followed()
    const homeAfter = join(folder, 'after')
    await recover({ from: { archive }, home: homeAfter })
    const next = await Environment.recovered(homeAfter, env)
    onTestFinished(() => next.close())
    await next.writeMany(2)
    await backupInto(next, archive, { label: 'b12' })
    await ship(next, archive)
    const options = { archive, promise: { instantsUs: 0, bases: [] }, now: () => 4e15 }
    await expire({ ...options, apply: true })
    expect((await archive.catalogue()).retiredTimelines).toEqual([1])
    await expect(promote({ archive, home })).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_BEHIND' })
    expect(await readStandbyLabel(home, nodeFileSystem)).toMatchObject({ phase: 'follow' })
  })

  test('holds also what only a backup brought into the archive', async () => {
    const { env, archive, home } = await followed()
    const checkpoint = await env.checkpoint()
    await env.writeMany(2)
    await backupInto(env, archive, { label: 'b12', checkpoint })
    expect(await promote({ archive, home })).toMatchObject({ parent: { forkLsn: 12 } })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('has also what was archived while it began', async () => {
    const { env, archive, home, store } = await followed()
    let isBegun = false
    // The old primary is quicker than the claim.
    const late: ArchiveStore = {
      ...store,
      put: async (name, content) => {
        if (!isBegun) {
          isBegun = true
          await env.writeMany(2)
          await ship(env, archive)
        }
        return store.put(name, content)
      },
    }
    expect(await promote({ archive: await openArchive(late), home })).toMatchObject({
      parent: { forkLsn: 12 },
    })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('never holds damaged log: it is named, and what was archived is in once the archive is mended', async () => {
    const made = await followed()
    const { env, archive, home, store } = made
    await env.writeMany(2)
    await ship(env, archive)
    const name = (await archive.listPieces()).at(-1)?.name ?? ''
    const whole = await store.get(name)
    const damaged = Buffer.from(whole)
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 20) ^ 1, damaged.length - 20)
    await store.delete(name)
    await store.put(name, damaged)
    await expect(promote({ archive, home })).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
    expect(await endsOf(archive)).toEqual([])
    await store.delete(name)
    await store.put(name, whole)
    await promote({ archive: await elsewhere(made), home })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('that another owner comes in between of stops with one error, and follows on or is promoted again', async () => {
    const made = await followed()
    const { env, archive, home, store } = made
    let claims = 0
    const between: ArchiveStore = {
      ...store,
      list: async function* (prefix, options) {
        const { owner } = await archive.catalogue()
        const isOurs = owner?.description.startsWith('promotion') === true
        // The old primary's shipper was started again just after the claim.
        if (isOurs && claims++ === 0) await ship(env, archive)
        yield* store.list(prefix, options)
      },
    }
    await expect(promote({ archive: await openArchive(between), home })).rejects.toMatchObject({
      code: 'ARCHIVE_FENCED',
    })
    expect(await endsOf(archive)).toEqual([])
    const standby = await made.open()
    await standby.caughtUp()
    await standby.close()
    expect(await promote({ archive, home })).toMatchObject({ timeline: 2, parent: { forkLsn: 10 } })
  })

  test('that died after it had ended the line follows nobody any more: it is to be finished', async () => {
    const made = await followed()
    const { env, archive, home, store } = made
    let isEnded = false
    const dead = (): never => {
      throw Object.assign(new Error('the process is dead'), { code: 'ECONNRESET' })
    }
    const dying: ArchiveStore = {
      ...store,
      put: async (name, content) => {
        const put = await store.put(name, content)
        isEnded = (await endsOf(await openArchive(store))).length > 0
        return isEnded ? dead() : put
      },
      status: (name) => (isEnded ? dead() : store.status(name)),
    }
    await expect(promote({ archive: await openArchive(dying), home })).rejects.toBeInstanceOf(Error)
    expect(isEnded).toBe(true)
    await expect(openStandby({ archive, home })).rejects.toMatchObject({
      code: 'RECOVERY_PROMOTION_UNFINISHED',
    })
    expect(await promote({ archive, home })).toMatchObject({ timeline: 2, parent: { forkLsn: 10 } })
    expect(await contentOf(home)).toEqual(env.content(10))
  })

  test('is followed by the other standbys, which can be promoted after it', async () => {
    const made = await followed()
    const { env, archive, home, folder } = made
    await cp(home, join(folder, 'other'), { recursive: true })
    await promote({ archive, home })
    const other = join(folder, 'other')
    await expect(promote({ archive, home: other })).rejects.toMatchObject({
      code: 'ARCHIVE_TIMELINE_ENDED',
      details: { timeline: 1, endedAfterLsn: 10, successor: 2 },
    })
    const next = await Environment.recovered(home, env)
    await next.writeMany(2)
    await shipAdopted(next, archive)
    const standby = await made.open({ home: other })
    await standby.caughtUp()
    expect(standby.status()).toMatchObject({ timeline: 2, lsn: 13 })
    expect(await isAt(standby, next, 13)).toBe(true)
    await standby.close()
    expect(await promote({ archive, home: other })).toMatchObject({
      timeline: 3,
      parent: { timeline: 2, forkLsn: 13 },
    })
    expect(await contentOf(other)).toEqual(next.content(13))
    await next.close()
  })

  test('whose home is lost before it shipped anything does not end the line: another standby goes on from there', async () => {
    const made = await followed()
    const { env, archive, home, folder } = made
    const other = join(folder, 'other')
    await cp(home, other, { recursive: true })
    await promote({ archive, home })
    await rm(home, { recursive: true })
    const standby = await made.open({ home: other })
    await standby.caughtUp()
    await standby.close()
    expect(await promote({ archive, home: other })).toMatchObject({ timeline: 3, parent: { forkLsn: 10 } })
    expect(await contentOf(other)).toEqual(env.content(10))
  })

  test('that is promoted again has been already; what is no standby is refused', async () => {
    const { env, archive, home, folder } = await followed()
    await promote({ archive, home })
    expect(await promote({ archive, home })).toMatchObject({ timeline: 2, alreadyDone: true })
    expect(await endsOf(archive)).toHaveLength(1)
    await expect(promote({ archive, home, archiveName: 'a/b' })).rejects.toMatchObject({
      code: 'RECOVERY_OPTION_INVALID',
    })
    for (const wrong of [env.home, folder, join(folder, 'nothing')]) {
      await expect(promote({ archive, home: wrong })).rejects.toMatchObject({
        code: 'RECOVERY_STANDBY_MISSING',
      })
    }
    expect(await readdir(folder)).not.toContain('nothing')
  })

  test('that runs is asked to let go, and what it had not applied yet is in', async () => {
    const made = await followed()
    const { env, archive, home } = made
    const events: string[] = []
    const standby = await made.open({ onEvent: ({ type }) => events.push(type) })
    await standby.caughtUp()
    await env.writeMany(2)
    await ship(env, archive)
    expect(await promote({ archive: await elsewhere(made), home })).toMatchObject({
      parent: { forkLsn: 12 },
      records: 2,
    })
    // It has ended in peace, and nobody listens any more.
    await standby.done
    expect(events.at(-1)).toBe('standby.left')
    expect(await readdir(home)).not.toContain('control.sock')
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('is refused while somebody has it who cannot be asked', async () => {
    const { archive, home } = await followed()
    const lock = await lockHome(home)
    await expect(promote({ archive, home })).rejects.toMatchObject({ code: 'ENGINE_HOME_LOCKED' })
    await lock.release()
  })

  test('is refused before data that came in beside the log', async () => {
    const made = await followed()
    const { env, archive, home } = made
    await env.mark(BULK_LOAD_MARK)
    await ship(env, archive)
    await expect(promote({ archive, home })).rejects.toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
    // Nobody was stopped for it.
    const { owner } = await archive.catalogue()
    expect(owner?.description).toBe('test')
    const again = await made.open()
    expect(again.status()).toMatchObject({ lsn: 10 })
  })

  test('ends where a segment was still under way, whatever of the next one had gone ahead of it', async () => {
    const { env, archive, home } = await followed()
    await env.writeMany(2)
    await ship(env, archive)
    // Sealed before its last pieces went; they come with the whole segment, which the old primary never brought in.
    await env.writeMany(2)
    await env.log.roll()
    await env.writeMany(2)
    const active = env.log.activeSegment
    await ship(env, archive, { only: (number) => number === active })
    expect(await promote({ archive, home })).toMatchObject({ parent: { forkLsn: 12 } })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('leaves out nothing that was archived: a hole before the end is named', async () => {
    const { env, archive, home } = await followed()
    await env.log.roll()
    await env.writeMany(2)
    await env.log.roll()
    await env.writeMany(2)
    await env.log.roll()
    await ship(env, archive, { only: (number) => number !== 3 })
    const refused = { code: 'RECOVERY_LOG_GAP', details: { missingFromLsn: 11 } }
    await expect(promote({ archive, home })).rejects.toMatchObject(refused)
    // Nobody was stopped for it.
    expect(await endsOf(archive)).toEqual([])
    expect((await archive.catalogue()).owner?.description).toBe('test')
    await ship(env, archive, { only: (number) => number === 3 })
    await promote({ archive, home })
    expect(await contentOf(home)).toEqual(env.content(14))
  })
})

describe('the old primary', () => {
  test('that ships stops, and is refused by name when it comes back, whatever it wrote meanwhile', async () => {
    const made = await followed()
    const { env, home } = made
    const shipper = shipperOf(env, made.archive)
    await env.writeMany(2)
    await shipper.flush()
    await promote({ archive: await elsewhere(made), home })
    await env.writeMany(5)
    await expect(shipper.flush()).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    await env.log.roll()
    await env.writeMany(5)
    const { sequence } = await made.archive.catalogue()
    const back = shipperOf(env, await elsewhere(made))
    await expect(back.done).rejects.toMatchObject({
      code: 'ARCHIVE_TIMELINE_ENDED',
      details: { timeline: 1, endedAfterLsn: 12, successor: 2 },
    })
    expect((await made.archive.catalogue()).sequence).toBe(sequence)
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('joins again as a standby of the new line, and its folder is kept aside', async () => {
    const made = await followed()
    const { env, archive, home } = made
    await promote({ archive, home })
    const next = await Environment.recovered(home, env)
    await next.writeMany(3)
    await backupInto(next, archive, { label: 'b14' })
    await shipAdopted(next, archive)
    await env.writeMany(6)
    await env.checkpoint()
    await env.close()
    await Promise.all(homeLayout(env.home).recordPaths.map((path) => writeFile(path, '{}')))
    await expect(openStandby({ archive, home: env.home })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_IS_HOME',
    })
    const standby = await made.open({ home: env.home, rejoin: true })
    await standby.caughtUp()
    expect(standby.status()).toMatchObject({ timeline: 2, lsn: 14 })
    expect(await isAt(standby, next, 14)).toBe(true)
    const { aside = '' } = standby.status()
    expect(await readdir(aside)).toEqual(expect.arrayContaining(['backup-due.json', 'volumes.json']))
    // What it wrote after the end is there, for whoever wants to look.
    expect(await contentOf(aside)).toEqual(env.content(16))
    await next.close()
  })
})

describe('a promotion', () => {
  test.each([1, 2, 3])('of two standbys in one moment is won by one (%i)', async () => {
    const made = await followed()
    const { env, archive, home, folder } = made
    const other = join(folder, 'other')
    await cp(home, other, { recursive: true })
    await env.writeMany(3)
    await ship(env, archive)
    const homes = [home, other]
    const outcomes = await Promise.allSettled(
      homes.map(async (one) => promote({ archive: await elsewhere(made), home: one })),
    )
    const won = homes.filter((_, index) => outcomes[index]?.status === 'fulfilled')
    expect(won).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toMatchObject({
        code: expect.stringMatching(/^ARCHIVE_(FENCED|TIMELINE_ENDED)$/),
      })
    }
    expect(await endsOf(archive)).toHaveLength(1)
    expect(await contentOf(won[0] ?? '')).toEqual(env.content(13))
    // The other one follows on.
    const standby = await made.open({ home: homes.find((one) => !won.includes(one)) ?? '' })
    await standby.caughtUp()
    expect(standby.status()).toMatchObject({ timeline: 2, lsn: 13 })
  })

  test.each([0, 1, 2, 3, 4])(
    'under load keeps everything that was told to be archived (%i)',
    async (round) => {
      const { stopped, ...kept } = await promoteUnderLoad(round)
      expect(kept).toEqual({ lost: 0, isEqual: true })
      expect(stopped).toMatchObject({ code: 'ARCHIVE_FENCED' })
    },
  )
})
