/**
 * A promotion without an archive: of a standby that follows a home. The lock of that home decides; whoever dies on the way, there is never
 * a moment in which both homes open, and no commit of the old one is missing in the new.
 */
import { cp, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, memoryStore, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { crashAt, FaultFileSystem, immediateFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { openStandby, promote } from '../src/index.ts'
import { readStandbyLabel } from '../src/standby/standby-label.ts'
import { followed } from './standby-scene.ts'
import { type FollowedScene, followedScene, isSame, lastLsnOf, openDb, write } from './followed-home-scene.ts'

const codeOfOpen = (home: string): Promise<unknown> => {
  const db = new TimberLevel(home)
  return db.open().then(
    async () => {
      await db.close()
      return 'opened'
    },
    (error: unknown) =>
      error instanceof Error && error.cause instanceof Error && 'code' in error.cause
        ? error.cause.code
        : error,
  )
}

const outcomeOfFollowing = (place: { readonly of: string; readonly home: string }): Promise<unknown> =>
  openStandby({ ...place, pollMs: 3_600_000 }).then(
    async (standby) => {
      await standby.close()
      return 'followed'
    },
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )

const keysOf = async (home: string): Promise<readonly [string, string][]> => {
  const db = new TimberLevel<string, string>(home)
  const entries = await db.iterator().all()
  await db.close()
  return entries
}

/** A standby that has ten commits of thirteen, of a home that is closed. */
async function behind(): Promise<
  FollowedScene & {
    readonly entries: readonly [string, string][]
    readonly lsn: number
    readonly had: number
  }
> {
  const made = await followedScene()
  const standby = await made.open()
  await standby.caughtUp()
  await standby.close()
  const had = standby.status().lsn
  await write(made.db, 3)
  const entries = await made.db.iterator().all()
  await made.db.close()
  const lsn = await lastLsnOf(made.of)
  return { ...made, entries, lsn, had }
}

describe('a promotion of a standby that follows a home', () => {
  test('is refused while the home is open; then every commit is in, the old home is refused, and joins again', async () => {
    const { folder, of, db, home, open } = await followedScene()
    const standby = await open()
    await standby.caughtUp()
    await expect(promote({ home })).rejects.toMatchObject({ code: 'RECOVERY_PRIMARY_RUNS' })
    // Nobody was asked to let go for it.
    const lsn = await write(db, 3)
    await standby.caughtUp(lsn)
    await write(db, 2)
    const entries = await db.iterator().all()
    await db.close()
    const unread = await lastLsnOf(of)
    expect(await promote({ home })).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: unread },
      alreadyDone: false,
    })
    await standby.done
    expect(await promote({ home, of })).toMatchObject({ timeline: 2, alreadyDone: true })
    expect(await keysOf(home)).toEqual(entries)
    expect(await readHomeIdentity(home)).toMatchObject({ timeline: 2, archiving: false })
    expect(await codeOfOpen(of)).toBe('ENGINE_HOME_ENDED')
    await expect(open({ home: join(folder, 'other') })).rejects.toMatchObject({ code: 'ENGINE_HOME_ENDED' })
    const next = await openDb(home)
    await write(next, 4)
    await expect(open({ home: of, of: home })).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_IS_HOME' })
    const rejoined = await open({ home: of, of: home, rejoin: true })
    expect(await isSame(rejoined, next)).toBe(true)
    const { aside = '' } = rejoined.status()
    expect(await readdir(aside)).toContain('ended.json')
  })

  test('ends the line for other standbys, which go over to the home that goes on', async () => {
    const { folder, of, lsn, home, open } = await behind()
    const other = join(folder, 'other')
    await cp(home, other, { recursive: true })
    const following = await open({ home: other })
    expect(await following.caughtUp()).toMatchObject({ lsn })
    await promote({ home })
    await expect(following.caughtUp()).rejects.toMatchObject({ code: 'ENGINE_HOME_ENDED' })
    await expect(promote({ home: other })).rejects.toMatchObject({ code: 'ENGINE_HOME_ENDED' })
    const next = await openDb(home)
    await write(next, 2)
    const over = await open({ home: other, of: home })
    expect(await isSame(over, next)).toBe(true)
    expect(over.status()).toMatchObject({ timeline: 2 })
    expect(await codeOfOpen(of)).toBe('ENGINE_HOME_ENDED')
  })

  test('of a home that is lost is done when told so, with what the standby has', async () => {
    const { folder, of, lsn, had, home, open } = await behind()
    const ahead = join(folder, 'ahead')
    await cp(home, ahead, { recursive: true })
    const more = await open({ home: ahead })
    await more.caughtUp(lsn)
    await more.close()
    await rename(of, `${of}-away`)
    await expect(promote({ home })).rejects.toMatchObject({ code: 'RECOVERY_PRIMARY_AWAY' })
    expect(await readdir(folder)).not.toContain('home')
    expect(await promote({ home, lost: true })).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: had },
      records: 0,
    })
    const next = await openDb(home)
    await write(next, 5)
    await expect((await open({ home: ahead, of: home })).done).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_DIVERGED',
    })
    const anew = await open({ home: ahead, of: home, anew: true })
    expect(await isSame(anew, next)).toBe(true)
  })

  test('refuses what does not go together', async () => {
    const { of, home, folder } = await behind()
    await expect(promote({ home: join(folder, 'nothing') })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_MISSING',
    })
    await expect(promote({ home: of, of })).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_MISSING' })
    const other = await openDb(join(folder, 'another'))
    await other.close()
    await expect(promote({ home, of: join(folder, 'another') })).rejects.toMatchObject({
      code: 'RECOVERY_ENVIRONMENT_MISMATCH',
    })
    await promote({ home })
    await expect(promote({ home: join(folder, 'another'), of })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_MISSING',
    })
    const made = await followed()
    for (const more of [{}, { archive: made.archive, lost: true }])
      await expect(promote({ home: made.home, ...more })).rejects.toMatchObject({
        code: 'RECOVERY_OPTION_INVALID',
      })
  })

  test('can die before anything gets or loses its name, and be run again', async () => {
    const made = await behind()
    const { folder, entries, lsn } = made
    const copy = async (name: string): Promise<{ of: string; home: string }> => {
      const place = { of: join(folder, `${name}-of`), home: join(folder, name) }
      await cp(made.of, place.of, { recursive: true })
      await cp(made.home, place.home, { recursive: true })
      return place
    }
    const counting = new FaultFileSystem(immediateFileSystem)
    await promote({ ...(await copy('clean')), fileSystem: counting })
    const moments = counting.operations.filter(({ kind }) => /^(rename|remove|removeTree)$/.test(kind))
    let ended = 0
    const tried = new Set<string>()
    const left: unknown[] = []
    for (const { index } of moments) {
      const name = `died-${index}`
      const place = await copy(name)
      const faulty = new FaultFileSystem(immediateFileSystem, crashAt(index))
      await expect(promote({ ...place, fileSystem: faulty }), name).rejects.toBeInstanceOf(Error)
      await faulty.releaseHandles()
      const names = await readdir(place.home)
      const isOld = (await readdir(place.of)).includes('ended.json') ? 'ENGINE_HOME_ENDED' : 'opened'
      if (isOld !== 'opened') ended += 1
      // Only the very last sync can be missing in a folder that is a home already.
      expect(names.includes('standby.json') || isOld !== 'opened', name).toBe(true)
      expect(await codeOfOpen(place.of), name).toBe(isOld)
      // Until the home is ended the promotion can be left; from then on it is to be finished.
      const label = await readStandbyLabel(place.home, nodeFileSystem)
      const isBegun = label?.phase === 'promote' && !tried.has(isOld)
      if (isBegun) tried.add(isOld)
      if (isBegun) left.push([isOld, await outcomeOfFollowing(place)])
      const { parent } = await promote(place)
      expect(parent, name).toMatchObject({ timeline: 1 })
      expect(parent.forkLsn, name).toBeGreaterThanOrEqual(lsn)
      expect(await keysOf(place.home), name).toEqual(entries)
      expect(await codeOfOpen(place.of), name).toBe('ENGINE_HOME_ENDED')
    }
    expect(left).toEqual([
      ['opened', 'followed'],
      ['ENGINE_HOME_ENDED', 'RECOVERY_PROMOTION_UNFINISHED'],
    ])
    expect(ended).toBeGreaterThan(0)
    expect(ended).toBeLessThan(moments.length)
  })

  test('is not taken for another line of the same number by an archive that knows one', async () => {
    const { home, lsn } = await behind()
    await promote({ home })
    const identity = await readHomeIdentity(home)
    const archive = await createArchive(memoryStore(), { environmentId: identity.environmentId })
    await archive.beginTimeline({ timeline: 1 })
    await archive.beginTimeline({ parent: 1, forkLsn: 3 })
    const { logDirectory } = homeLayout(home)
    await expect(runShipper({ archive, logDirectory, identity, name: 'new' }).done).rejects.toMatchObject({
      code: 'ARCHIVE_TIMELINE_TAKEN',
      details: { timeline: 2, forkLsn: lsn, archivedForkLsn: 3 },
    })
  })

  test('numbers the segments of the new home from above those of the old one', async () => {
    const { of, home } = await behind()
    const names = await readdir(homeLayout(of).logDirectory)
    const last =
      names
        .filter((name) => /^log\.\d+$/.test(name))
        .toSorted()
        .at(-1) ?? ''
    await promote({ home })
    const [first = ''] = (await readdir(homeLayout(home).logDirectory))
      .filter((name) => /^log\.\d+$/.test(name))
      .toSorted()
    expect(first > last).toBe(true)
  })
})
