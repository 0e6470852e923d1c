/**
 * A standby that follows a home in place, with no archive: it begins with the home's checkpoint, applies the log as it grows, and the home
 * keeps log for it while it is off. No test waits: each asks the standby to look.
 */
import { cp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { readConfirmations, systemCode } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { openStandby } from '../src/index.ts'
import { followedScene, isSame, openDb, segmentsOf, write } from './followed-home-scene.ts'

/** LevelDB sorts in the background: a copy beside which a file came or went is not what a process that dies leaves. */
async function copyAtRest(from: string, to: string): Promise<void> {
  const names = async (): Promise<string> =>
    JSON.stringify((await readdir(from, { recursive: true })).toSorted())
  const isLeft = (path: string): boolean => !/\/(control\.sock|lock|lock\.json)$/.test(path)
  let before: string | undefined
  while (before !== (await names())) {
    before = await names()
    await rm(to, { recursive: true, force: true })
    await cp(from, to, { recursive: true, filter: isLeft }).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error
      before = undefined
    })
  }
}

describe('a standby of a home', () => {
  test('begins with the home’s checkpoint and holds every commit as it comes, across segments', async () => {
    const { db, open } = await followedScene()
    const standby = await open()
    expect(await isSame(standby, db)).toBe(true)
    // More than one look takes at a time.
    await db.put('big', 'x'.repeat(1_200_000))
    await write(db, 2)
    expect(await isSame(standby, db)).toBe(true)
    for (let round = 0; round < 3; round++) {
      const lsn = await write(db, 4)
      if (round === 1) await db.switchSegment()
      if (round === 2) await db.checkpoint()
      expect(await standby.caughtUp(lsn)).toMatchObject({ timeline: 1 })
      expect(await isSame(standby, db)).toBe(true)
    }
    await expect(standby.level.put(Buffer.from('a'), Buffer.from('b'))).rejects.toMatchObject({
      code: 'ENGINE_READ_ONLY',
    })
  })

  test('is woken by the writer: it looks by itself once an hour here', async () => {
    const { db, open } = await followedScene()
    let onApplied = (): void => undefined
    const applied = new Promise<void>((resolve) => {
      onApplied = resolve
    })
    let isWanted = false
    const standby = await open({
      onEvent: ({ type }) => {
        if (type === 'standby.applied' && isWanted) onApplied()
      },
    })
    await standby.caughtUp()
    isWanted = true
    const lsn = await write(db, 1)
    await applied
    expect(standby.status().lsn).toBeGreaterThanOrEqual(lsn)
  })

  test('goes on where it was: the home keeps what it lacks, and lets go what it has', async () => {
    const { of, db, open } = await followedScene()
    const first = await open()
    await first.caughtUp()
    await first.close()
    for (let round = 0; round < 3; round++) {
      await write(db, 3)
      await db.switchSegment()
    }
    await db.checkpoint()
    const kept = await segmentsOf(of)
    expect(kept.length).toBeGreaterThan(2)
    const second = await open()
    expect(await isSame(second, db)).toBe(true)
    expect(second.status().lsn).toBeGreaterThan(first.status().lsn)
    await write(db, 1)
    await second.caughtUp()
    await db.checkpoint()
    await write(db, 1)
    await second.caughtUp()
    await db.checkpoint()
    const [confirmation] = await readConfirmations(homeLayout(of).logDirectory)
    expect(confirmation).toMatchObject({ name: expect.stringMatching(/^standby-/), timeline: 1 })
    expect((await segmentsOf(of))[0]).toBeGreaterThan(kept[1] ?? 0)
  })

  test('that is killed needs no log that the home let go', async () => {
    const { of, db, home, open } = await followedScene()
    const standby = await open()
    await standby.caughtUp()
    const before = await segmentsOf(of)
    for (let round = 0; round < 3; round++) {
      await write(db, 3)
      await db.switchSegment()
      await standby.caughtUp(await write(db, 1))
      await db.checkpoint()
    }
    // Something was let go, and what a killed process leaves is what it has flushed.
    expect((await segmentsOf(of))[0]).toBeGreaterThan(before.at(-1) ?? 0)
    await copyAtRest(home, `${home}-killed`)
    const again = await open({ home: `${home}-killed` })
    expect(await isSame(again, db)).toBe(true)
  })

  test('that nothing was kept for is told to begin anew, and does, as after data that came in beside the log', async () => {
    const { of, db, open } = await followedScene()
    const first = await open()
    await first.caughtUp()
    await first.close()
    const { logDirectory } = homeLayout(of)
    const [confirmation] = await readConfirmations(logDirectory)
    await rm(join(logDirectory, `confirmed.${confirmation?.name ?? ''}.json`))
    await write(db, 3)
    await db.checkpoint()
    await write(db, 3)
    await db.checkpoint()
    const late = await open()
    await expect(late.done).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_BEHIND' })
    const anew = await open({ anew: true })
    expect(await isSame(anew, db)).toBe(true)
    await db.bulkLoad([['loaded', 'value']])
    await anew.caughtUp().catch(() => undefined)
    await expect(anew.done).rejects.toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
    const last = await open({ anew: true })
    expect(await isSame(last, db)).toBe(true)
  })

  test('waits for a home that is away', async () => {
    const { of, db, open } = await followedScene()
    let onRetried = (): void => undefined
    const retried = new Promise<void>((resolve) => {
      onRetried = resolve
    })
    const standby = await open({
      pollMs: 10,
      onEvent: ({ type }) => {
        if (type === 'standby.retried') onRetried()
      },
    })
    await standby.caughtUp()
    await db.close()
    await rename(of, `${of}-away`)
    await retried
    expect(standby.status().failure).toContain('not there')
    await rename(`${of}-away`, of)
    const again = await openDb(of)
    await write(again, 2)
    expect(await isSame(standby, again)).toBe(true)
  })

  test('is not misled by a home that was put back and went on', async () => {
    const { folder, of, db, open } = await followedScene()
    await db.checkpoint()
    await db.close()
    await cp(of, join(folder, 'old'), { recursive: true })
    const again = await openDb(of)
    await write(again, 3)
    const standby = await open()
    await standby.caughtUp()
    await standby.close()
    await again.close()
    await rm(of, { recursive: true })
    await rename(join(folder, 'old'), of)
    await expect((await open()).caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_DIVERGED' })
    const back = await openDb(of)
    await write(back, 5)
    await expect((await open()).caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_DIVERGED' })
  })

  test('refuses what cannot be followed by name', async () => {
    const { folder, of, home } = await followedScene()
    const invalid = { code: 'RECOVERY_OPTION_INVALID' }
    await expect(openStandby({ home })).rejects.toMatchObject(invalid)
    await expect(openStandby({ home: of, of })).rejects.toMatchObject(invalid)
    await expect(openStandby({ home, of, timeline: 1 })).rejects.toMatchObject(invalid)
    await expect(openStandby({ home, of: join(folder, 'nothing') })).rejects.toMatchObject({
      code: 'RECOVERY_PRIMARY_AWAY',
    })
    // A young home whose process died before its first checkpoint.
    const young = join(folder, 'young')
    await openDb(young).then((opened) => opened.close())
    await rm(homeLayout(young).checkpointDirectory, { recursive: true })
    await expect(openStandby({ home: `${young}-standby`, of: young })).rejects.toMatchObject({
      code: 'RECOVERY_NO_BASE',
    })
    const other = new TimberLevel(join(folder, 'other'))
    await other.open()
    await other.close()
    await (await openStandby({ home, of })).close()
    await expect(openStandby({ home, of: join(folder, 'other') })).rejects.toMatchObject({
      code: 'RECOVERY_ENVIRONMENT_MISMATCH',
    })
  })
})
