/** What Berkeley DB says of bulk insertion: it skips the log, and a copy from before it cannot be rolled forward past it. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { ends0, isRefused, Scenes, write } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

function* entries(): Generator<readonly [string, string]> {
  for (let number = 0; number < 3000; number += 1) yield [`bulk ${String(number)}`, 'x'.repeat(50)]
}

describe('B10: a bulk load skips the log', () => {
  test('B10: recovery across it from an older base is refused by name, until the full backup that is due was made', async () => {
    const { home, db } = await scenes.openHome(20)
    const archive = scenes.path('archive')
    const folder = scenes.path('folder')
    await ends0(['archive', 'init', '-h', home, '-a', archive])
    await ends0(['hotbackup', '-h', home, '-a', archive])
    await ends0(['hotbackup', '-h', home, '-b', folder])
    const before = (await db.digest()).hex
    await write(db, 30)
    const { lsn } = await db.bulkLoad(entries())
    await write(db, 40)

    // It is marked in the log, no older backup is continued past it, and the full one is called due wherever one looks.
    expect((await ends0(['printlog', '-h', home])).out).toMatch(
      new RegExp(`^\\[${String(lsn)}\\] .* bulk load: `, 'm'),
    )
    await isRefused(['hotbackup', '-u', '-h', home, '-b', folder], /HOTBACKUP_BULK_LOAD/)
    const ship = ['archive', 'run', '-h', home, '-a', archive, '--once']
    await ends0(ship)
    expect((await ends0(['stat', '-h', home])).out).toMatch(/backup due +in full, because of bulkload/)
    const window = await timberline(['archive', 'window', '-a', archive])
    expect(window.code).toBe(1)
    expect(window.out).toMatch(new RegExp(`HOLE +LSN ${String(lsn)} to \\d+: data was loaded beside the log`))
    const figures = scenes.path('figures.prom')
    await ends0([...ship, '--metrics-file', figures])
    expect(await readFile(figures, 'utf8')).toMatch(/^timberline_backup_due\{archive="[^"]*"\} 1$/m)

    // Nothing leads past it: neither the newest state nor one by its LSN, and no drill.
    const from = ['recover', '--from', archive, '-h']
    const refused = await isRefused([...from, scenes.path('latest')], /RECOVERY_BULK_LOAD/)
    expect(refused.err).toContain(`reachableBeforeLsn=${String(lsn - 1)}`)
    await isRefused(
      [...from, scenes.path('behind'), '--until-lsn', String(lsn + 3), '--through'],
      /RECOVERY_BULK_LOAD/,
    )
    const drill = await timberline(['drill', '-a', archive])
    expect(drill.out + drill.err).toMatch(/RECOVERY_BULK_LOAD/)
    expect(drill.code).toBeGreaterThan(0)
    await ends0([...from, scenes.path('before'), '--until-lsn', String(lsn), '--before'])

    await ends0(['hotbackup', '-h', home, '-a', archive])
    expect((await ends0(['stat', '-h', home])).out).not.toContain('backup due')
    expect((await timberline(['archive', 'window', '-a', archive])).code).toBe(0)
    await write(db, 50)
    await ends0(ship)
    const { digest } = await outcome([...from, scenes.path('after')])
    const { hex } = await db.digest()
    expect(digest).toMatchObject({ hex })
    expect(hex).not.toBe(before)
    await db.close()
  })
})
