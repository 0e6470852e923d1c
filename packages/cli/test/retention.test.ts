/** What an archive can give back and what it lets go, by command lines. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const archive = (): string => at('archive')

async function write(count: number): Promise<void> {
  await using db = new TimberLevel<string, string>(at('home'))
  for (let index = 0; index < count; index++) await db.put(`k${String(index % 5)}`, `v${String(index)}`)
}

async function shipAndBackUp(): Promise<void> {
  await outcome(['checkpoint', '-h', at('home')])
  await outcome(['archive', 'run', '-h', at('home'), '-a', archive(), '--once'])
  await outcome(['hotbackup', '-h', at('home'), '-a', archive()])
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-retention-'))
  await write(10)
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('archive window', () => {
  test('says that nothing can be recovered before there is a backup', async () => {
    await outcome(['archive', 'run', '-h', at('home'), '-a', archive(), '--once'])
    const { code, out } = await timberline(['archive', 'window', '-a', archive()])
    expect(code).toBe(0)
    expect(out).toMatch(/older +LSN \d+: there is log, but no backup before it/)
    expect(out).toMatch(/newest backup +none/)
    expect(out).toMatch(/a recovery now +not possible/)
  })

  test('tells from where to where, the recovery point, and what a drill proved', async () => {
    await shipAndBackUp()
    const before = await timberline(['archive', 'window', '-a', archive(), '-h', at('home')])
    expect(before).toMatchObject({ code: 0 })
    expect(before.out).toMatch(/restorable +from LSN \d+, \d{4}-.*Z, to LSN \d+, \d{4}-.*Z,/)
    expect(before.out).toMatch(/recovery point +0 transactions, \d+ B of log, 0 ms/)
    expect(before.out).toMatch(/time unknown until a drill measured it/)
    expect(before.out).toMatch(/last proved +never/)
    await outcome(['drill', '-a', archive(), '--scratch', at('scratch')])
    const document = await outcome(['archive', 'window', '-a', archive()])
    expect(document).toMatchObject({
      timeline: 1,
      proof: { timeline: 1 },
      recoveryPoint: { measuredBy: 'clock' },
      predicted: { ms: expect.any(Number) },
    })
    const { out } = await timberline(['archive', 'window', '-a', archive()])
    expect(out).toMatch(/last proved +\d{4}-.*LSN \d+ of timeline 1 in/)
    expect(out).toMatch(/promise +none/)
  })
})

describe('archive promise and archive expire', () => {
  test('ask for a promise first, and refuse what makes none', async () => {
    expect(await timberline(['archive', 'expire', '-a', archive()])).toMatchObject({
      code: 6,
      err: expect.stringContaining('ARCHIVE_PROMISE_MISSING'),
    })
    const wrong = [
      ['archive', 'promise', '-a', archive(), '--instants', 'soon'],
      ['archive', 'promise', '-a', archive(), '--bases', '1w'],
      ['archive', 'promise', '-a', archive(), '--bases', '1w/8w/9w'],
      ['archive', 'promise', '-a', archive(), '--force'],
      ['archive', 'expire', '-a', archive(), '--apply', '--dry-run'],
    ]
    for (const words of wrong) expect(await timberline(words)).toMatchObject({ code: 2 })
    expect((await timberline(['archive', 'promise', '-a', archive()])).out).toContain('no promise')
  })

  test('keep what was promised, show before they do, and break it only by force', async () => {
    await write(10)
    await shipAndBackUp()
    await outcome(['archive', 'promise', '-a', archive(), '--instants', '7d', '--bases', '1w/8w'])
    const kept = await timberline(['archive', 'expire', '-a', archive(), '--apply'])
    expect(kept).toMatchObject({ code: 0 })
    expect(kept.out).toContain('let go 0 backups, 0 segments')
    expect((await timberline(['archive', 'window', '-a', archive()])).out).toMatch(
      /promise +every instant of the last 1 w, one backup of each 1 w for 8 w\s+kept +yes, so far/,
    )
    // From here on every commit is older than a second.
    await new Promise((resolve) => setTimeout(resolve, 1100))
    const less = ['archive', 'expire', '-a', archive(), '--instants', '1s', '--apply']
    expect(await timberline(less)).toMatchObject({
      code: 7,
      err: expect.stringContaining('ARCHIVE_PROMISE_BROKEN'),
    })
    expect(await timberline(['archive', 'promise', '-a', archive(), '--instants', '1s'])).toMatchObject({
      code: 7,
      err: expect.stringContaining('ARCHIVE_PROMISE_BROKEN'),
    })
    const objects = (await readdir(archive(), { recursive: true })).length
    const planned = await timberline(['archive', 'expire', '-a', archive(), '--instants', '1s', '--force'])
    expect(planned.out).toMatch(/BROKEN +lsn/)
    expect(planned.out).toContain('nothing was changed; add --apply to do it')
    expect((await readdir(archive(), { recursive: true })).length).toBe(objects)
    const done = await timberline([...less, '--force'])
    expect(done).toMatchObject({ code: 0 })
    expect(done.out).toMatch(/deleted \d+ objects/)
    expect((await readdir(archive(), { recursive: true })).length).toBeLessThan(objects)
    expect(await timberline(['archive', 'verify', '-a', archive()])).toMatchObject({ code: 0 })
    await outcome(['recover', '--from', archive(), '-h', at('again')])
  })

  test('tell of a hole, and of the promise that it breaks', async () => {
    const segments = join(archive(), 'segment/00000001')
    await write(10)
    await outcome(['checkpoint', '-h', at('home')])
    await outcome(['archive', 'run', '-h', at('home'), '-a', archive(), '--once'])
    await write(10)
    await outcome(['checkpoint', '-h', at('home')])
    await outcome(['archive', 'run', '-h', at('home'), '-a', archive(), '--once'])
    await outcome(['hotbackup', '-h', at('home'), '-a', archive()])
    const before = await timberline(['archive', 'window', '-a', archive()])
    expect(before).toMatchObject({ code: 0 })
    const [, lost] = (await readdir(segments)).toSorted().toReversed()
    await rm(join(segments, lost ?? ''))
    const { code, out } = await timberline(['archive', 'window', '-a', archive()])
    expect(code).toBe(1)
    expect(out).toContain(`MISSING  segment/00000001/${lost ?? ''}`)
    expect(out).toMatch(/HOLE +LSN (\d+) to \d+: log of LSN \1 to \d+ is missing/)
    expect(out).toMatch(/BROKEN +lsn \d+ to \d+ of timeline 1 cannot be recovered/)
    expect(await timberline(['archive', 'expire', '-a', archive(), '--apply'])).toMatchObject({
      code: 4,
      err: expect.stringContaining('ARCHIVE_OBJECT_MISSING'),
    })
  })
})
