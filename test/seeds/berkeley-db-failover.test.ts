/** What Berkeley DB leaves to procedures of the user's own: catastrophic recovery, and a second machine that takes over. */
import { rm } from 'node:fs/promises'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Model, transaction } from '../../packages/hotbackup/test/history.ts'
import { begin, outcome } from '../../packages/cli/test/terminal.ts'
import { shape as applicationShape } from '../support/application-messages.ts'
import { contentOf, RunningApplication } from '../support/running-application.ts'
import { ends0, isRefused, openHome, Scenes, shape, stateAfter, write } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

describe('B3: catastrophic recovery from backup and logs, and hot failover', () => {
  test('B3: the data files are rebuilt from what is left, here and elsewhere', async () => {
    const home = await scenes.closedHome(60)
    const backup = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', backup])
    await rm(homeLayout(home).dataDirectory, { recursive: true })
    await ends0(['recover', '--catastrophic', '-h', home])
    expect(await contentOf(home)).toEqual(stateAfter(60))
    expect(await scenes.recovered(backup)).toEqual(stateAfter(60))
  })

  test('B3: a standby takes over in one command with every commit that was archived, and the primary joins it', async () => {
    const [home, archive, standby] = ['home', 'archive', 'standby'].map((name) => scenes.path(name))
    const to = (place: string | undefined): readonly string[] => ['-h', String(place), '-a', String(archive)]
    const archived = { archives: ['archive'] }
    const db = new TimberLevel<string, string>(String(home), { durability: 'archived', archived })
    await db.open()
    const shipping = begin(['archive', 'run', ...to(home), '--interval-ms', '10'])
    let acknowledged = 0
    const commit = async (): Promise<void> => {
      await db.batch(transaction(acknowledged + 1, shape))
      acknowledged += 1
    }
    await commit()
    await ends0(['hotbackup', ...to(home)])
    await ends0(['standby', ...to(standby), '--once'])
    // The application goes on until its commits are not archived any more.
    const load = (async () => {
      for (;;) await commit()
    })().catch((error: unknown) => error)
    const promoted = await outcome(['promote', ...to(standby)])
    expect(promoted).toMatchObject({ timeline: 2, parent: { timeline: 1 } })
    const { code, err } = await shipping.ended
    expect(code).toBeGreaterThan(0)
    expect(err).toContain('ARCHIVE_FENCED')
    await db.close()
    expect(await load).toMatchObject({ code: expect.stringMatching(/ARCHIVE/) })
    const { n } = await contentOf(String(standby))
    expect(n).toBeGreaterThanOrEqual(acknowledged)
    expect(await contentOf(String(standby))).toEqual(stateAfter(n))
    // The old primary, coming back.
    await isRefused(['archive', 'run', ...to(home), '--once'], /ARCHIVE_TIMELINE_ENDED/)
    const next = await openHome(String(standby))
    await write(next, n + 10)
    await next.close()
    const { shippedLsn } = await outcome(['archive', 'run', ...to(standby), '--once'])
    expect(await outcome(['standby', ...to(home), '--once', '--rejoin'])).toMatchObject({
      timeline: 2,
      lsn: shippedLsn,
    })
  })
})

describe('B3: hot failover with no archive', () => {
  test('B3: a standby of the home itself takes over in one command, while it runs, with every commit of a primary that was killed', async () => {
    const [home, standby] = [scenes.path('home'), scenes.path('standby')]
    const primary = await RunningApplication.begin(home)
    await primary.goOn(20)
    const following = begin(['standby', '-h', standby, '--of', home])
    let told = ''
    following.stdout?.on('data', (chunk: Buffer) => (told += chunk.toString()))
    await vi.waitFor(() => expect(told).toContain(' new, lag '), 30_000)
    await isRefused(['promote', '-h', standby], /RECOVERY_PRIMARY_RUNS/)
    await primary.goOn(20)
    await primary.kill()
    expect(await outcome(['promote', '-h', standby])).toMatchObject({ timeline: 2, parent: { timeline: 1 } })
    expect((await following.ended).code).toBe(0)
    const { n, state } = await contentOf(standby)
    expect(n).toBeGreaterThanOrEqual(primary.acknowledged)
    expect(state).toEqual(new Model(applicationShape).at(n))
    // The old primary, coming back.
    await isRefused(['checkpoint', '-h', home], /ENGINE_HOME_ENDED/)
    await ends0(['standby', '-h', home, '--of', standby, '--once', '--rejoin'])
    expect(await outcome(['promote', '-h', home])).toMatchObject({ timeline: 3 })
    expect(await contentOf(home)).toEqual({ n, state })
  })
})

describe('B12: recovery run at each increment, by a standby', () => {
  test('B12: leaves nothing to replay when the database is needed', async () => {
    const { home, db } = await scenes.openHome(40)
    const [archive, standby] = [scenes.path('archive'), scenes.path('standby')]
    const ship = ['archive', 'run', '-h', home, '-a', archive, '--once']
    const follow = ['standby', '-h', standby, '-a', archive, '--once']
    await ends0(ship)
    await ends0(['hotbackup', '-h', home, '-a', archive])
    for (const n of [80, 120, 160]) {
      await write(db, n)
      const { shippedLsn } = await outcome(ship)
      expect(await outcome(follow)).toMatchObject({ lsn: shippedLsn, knownLsn: shippedLsn })
    }
    await db.close()
    await outcome(ship)
    await outcome(follow)
    expect(await outcome(['promote', '-h', standby, '-a', archive])).toMatchObject({ records: 0 })
    expect(await contentOf(standby)).toEqual(stateAfter(160))
  })
})
