/** `standby`: follows an archive, says how far it is, and leaves a folder that no other command takes for a home. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { begin, outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const follow = (...more: readonly string[]): readonly string[] => [
  'standby',
  '-h',
  at('standby'),
  '-a',
  at('archive'),
  ...more,
]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-standby-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Writes one entry more, and archives it; resolves with the home's last LSN. */
async function write(key: string): Promise<number> {
  const db = new TimberLevel(at('home'))
  await db.put(key, 'value')
  await db.close()
  const { shippedLsn } = await outcome(['archive', 'run', '-h', at('home'), '-a', at('archive'), '--once'])
  return Number(shippedLsn)
}

describe('timberline standby', () => {
  test('catches up once and tells where it is; the folder is no home, and stat says what it is', async () => {
    await write('a')
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    const lsn = await write('b')
    expect(await outcome(follow('--once'))).toMatchObject({
      lsn,
      knownLsn: lsn,
      timeline: 1,
      lagMs: expect.any(Number),
    })
    const later = await write('c')
    const { code, out } = await timberline(follow('--once'))
    expect(code).toBe(0)
    expect(out).toContain(`LSN ${String(later)}`)
    expect((await timberline(['checkpoint', '-h', at('standby')])).err).toContain('ENGINE_HOME_STANDBY')
    expect(await outcome(['stat', '-h', at('standby')])).toMatchObject({
      standby: { phase: 'follow', timeline: 1 },
      owner: null,
    })
    expect((await timberline(['stat', '-h', at('standby')])).out).toContain('timberline standby --once')
  })

  test('follows until it is stopped, with a line for each step', async () => {
    await write('a')
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    const child = begin(follow('--interval-ms', '10', '-v'))
    let all = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (all += chunk.toString()))
    const seen = (text: string): Promise<void> => vi.waitFor(() => expect(all).toContain(text), 30_000)
    await seen('restored a base at LSN')
    const lsn = await write('b')
    await seen(`LSN ${String(lsn)}, `)
    expect(await outcome(['stat', '-h', at('standby')])).toMatchObject({ status: { lsn, timeline: 1 } })
    expect((await timberline(['stat', '-h', at('standby')])).out).toMatch(
      new RegExp(`how far it is +LSN ${String(lsn)}, .*lag `),
    )
    child.kill('SIGTERM')
    const { code, out } = await child.ended
    expect(code).toBe(0)
    expect(out).toMatch(new RegExp(`LSN ${String(lsn)}, \\S+, \\d+ new, lag `))
    expect(out).toContain('all of it as of')
  })

  test('is promoted in one command; the old primary is refused, and joins again', async () => {
    await write('a')
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    await outcome(follow('--once'))
    const lsn = await write('b')
    const promoting = ['promote', '-h', at('standby'), '-a', at('archive')]
    expect(await outcome(promoting)).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: lsn },
      alreadyDone: false,
    })
    const { code, out } = await timberline(promoting)
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('promoted before') })
    const db = new TimberLevel(at('standby'))
    expect(await db.keys().all()).toEqual(['a', 'b'])
    await db.put('c', 'value')
    await db.close()
    const ship = (home: string): readonly string[] => [
      'archive',
      'run',
      '-h',
      at(home),
      '-a',
      at('archive'),
      '--once',
    ]
    expect((await timberline(ship('home'))).err).toContain('ARCHIVE_TIMELINE_ENDED')
    const { shippedLsn } = await outcome(ship('standby'))
    const rejoined = ['standby', '-h', at('home'), '-a', at('archive'), '--once', '--rejoin']
    expect(await outcome(rejoined)).toMatchObject({ timeline: 2, lsn: shippedLsn })
    expect(await outcome(['timeline', '-a', at('archive')])).toMatchObject({
      timelines: [{ timeline: 1, endedAfterLsn: lsn }, { timeline: 2 }],
    })
  })

  test('is promoted while it runs, and begins anew where it is told to', async () => {
    await write('a')
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    const lsn = await write('b')
    await outcome(follow('--once'))
    expect(await outcome(follow('--once', '--anew'))).toMatchObject({ lsn })
    const child = begin(follow('--interval-ms', '10', '-v'))
    let told = ''
    child.stderr?.on('data', (chunk: Buffer) => (told += chunk.toString()))
    await vi.waitFor(() => expect(told).toContain('going on at LSN'), 30_000)
    expect(await outcome(['promote', '-h', at('standby'), '-a', at('archive')])).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: lsn },
    })
    const { code, err } = await child.ended
    expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('letting go') })
  })

  test('follows a home without an archive, and takes over from it in one command', async () => {
    const db = new TimberLevel<string, string>(at('home'))
    await db.put('a', 'value')
    const following = ['standby', '-h', at('standby'), '--of', at('home'), '--once']
    expect(await outcome(following)).toMatchObject({ timeline: 1, lagMs: expect.any(Number) })
    expect((await timberline(['stat', '-h', at('standby')])).out).toContain(`follows        ${at('home')}`)
    await db.put('b', 'value')
    const { err } = await timberline(['promote', '-h', at('standby')])
    expect(err).toContain('RECOVERY_PRIMARY_RUNS')
    await db.close()
    expect(await outcome(['promote', '-h', at('standby')])).toMatchObject({
      timeline: 2,
      parent: { timeline: 1 },
      archive: null,
    })
    const next = new TimberLevel<string, string>(at('standby'))
    expect(await next.keys().all()).toEqual(['a', 'b'])
    await next.close()
    expect((await timberline(['checkpoint', '-h', at('home')])).err).toContain('ENGINE_HOME_ENDED')
    expect((await timberline(['stat', '-h', at('home')])).out).toContain(
      `timeline 2 goes on in ${at('standby')}`,
    )
    const rejoining = ['standby', '-h', at('home'), '--of', at('standby'), '--once', '--rejoin']
    expect(await outcome(rejoining)).toMatchObject({ timeline: 2, aside: expect.any(String) })
    for (const wrong of [
      ['standby', '-h', at('other')],
      ['standby', '-h', at('other'), '-a', at('archive'), '--of', at('home')],
      ['standby', '-h', at('other'), '--of', at('home'), '--timeline', '1'],
      ['promote', '-h', at('standby'), '-a', at('archive'), '--lost'],
    ])
      expect((await timberline(wrong)).code).toBe(2)
  })

  test('leaves a folder with something else alone, and a home unless it is to be kept aside', async () => {
    await write('a')
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    const onHome = ['standby', '-h', at('home'), '-a', at('archive'), '--once']
    expect((await timberline(onHome)).err).toContain('RECOVERY_STANDBY_IS_HOME')
    const { aside } = await outcome([...onHome, '--rejoin'])
    expect(await outcome(['stat', '-h', String(aside)])).toMatchObject({ timeline: 1 })
    await writeFile(at('file'), '')
    expect((await timberline(['standby', '-h', folder, '-a', at('archive'), '--once'])).err).toContain(
      'RECOVERY_TARGET_NOT_EMPTY',
    )
    expect((await timberline(['standby', '-h', at('other'), '-a', at('nothing'), '--once'])).err).toContain(
      'ARCHIVE_MISSING',
    )
  })
})
