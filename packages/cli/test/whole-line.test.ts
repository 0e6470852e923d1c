/** The main job, told by command lines alone: load, back up, ship, destroy, recover, prove. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DumpTally, encodeEntry } from '../src/dump-format.ts'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-cli-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A dump of `count` entries, one of them with a key and a value that are no text. */
function dumpText(prefix: string, count: number): string {
  const tally = new DumpTally()
  const keys = Array.from({ length: count }, (_, index) =>
    Buffer.from(`${prefix}/${String(index).padStart(5, '0')}`),
  )
  const entries = [
    ...keys.map((key, index) => ({ key, value: Buffer.from(`{"n":${String(index)}}`) })),
    { key: Buffer.from([0xfe, 0x00]), value: Buffer.from([0xff]) },
  ]
  const lines = entries.map((entry) => {
    tally.add(entry)
    return encodeEntry(entry)
  })
  const head = { timberline: 'dump', format: 1, environmentId: '0'.repeat(32), timeline: 1, lsn: 0 }
  return [JSON.stringify(head), ...lines, JSON.stringify(tally.end()), ''].join('\n')
}

/** The entries and the closing line of a dump, without its head, which names another home. */
async function contentOf(path: string): Promise<string> {
  const text = await readFile(path, 'utf8')
  return text.slice(text.indexOf('\n') + 1)
}

describe('dump and load', () => {
  test('a text goes into a new home and comes out the same', async () => {
    const text = dumpText('FR', 3000)
    await writeFile(at('in.jsonl'), text)
    expect(await outcome(['load', '-h', at('home'), '--create', '-f', at('in.jsonl')])).toMatchObject({
      entries: 3001,
    })
    await outcome(['dump', '-h', at('home'), '-f', at('out.jsonl')])
    expect(await contentOf(at('out.jsonl'))).toBe(text.slice(text.indexOf('\n') + 1))
    expect((await timberline(['dump', '-h', at('home')])).out).toBe(await readFile(at('out.jsonl'), 'utf8'))
  })

  test('beside the log a text goes in as a whole or not at all, and a full backup is due', async () => {
    const text = await readFile(at('out.jsonl'), 'utf8')
    const words = ['load', '-h', at('bulk'), '--create', '--bulk']
    const cut = text.split('\n').slice(0, 2500).join('\n')
    expect(await timberline(words, cut)).toMatchObject({
      code: 3,
      err: expect.stringContaining('CLI_LOAD_INCOMPLETE'),
    })
    // Nothing of it stayed: the same home, still empty, takes the whole text.
    const loaded = await timberline(words, text)
    expect(loaded.out).toContain('a full backup is due')
    await outcome(['dump', '-h', at('bulk'), '-f', at('bulk.jsonl')])
    expect(await contentOf(at('bulk.jsonl'))).toBe(await contentOf(at('out.jsonl')))
    expect(await outcome(['stat', '-h', at('bulk')])).toMatchObject({
      backupDue: { reason: 'bulkload' },
    })
  })

  test('nothing is overwritten, cut texts are refused', async () => {
    const text = await readFile(at('out.jsonl'), 'utf8')
    expect(await timberline(['dump', '-h', at('home'), '-f', at('out.jsonl')])).toMatchObject({
      code: 7,
      err: expect.stringContaining('CLI_FILE_EXISTS'),
    })
    expect(await timberline(['load', '-h', at('home')], text)).toMatchObject({
      code: 7,
      err: expect.stringContaining('CLI_LOAD_NOT_EMPTY'),
    })
    const cut = text.split('\n').slice(0, 100).join('\n')
    expect(await timberline(['load', '-h', at('cut'), '--create'], cut)).toMatchObject({
      code: 3,
      err: expect.stringContaining('CLI_LOAD_INCOMPLETE'),
    })
    expect(await timberline(['load', '-h', at('none'), '-f', at('in.jsonl')])).toMatchObject({
      code: 6,
      err: expect.stringContaining('ENGINE_HOME_MISSING'),
    })
    expect(await readdir(folder)).not.toContain('none')
  })
})

describe('backup and recovery', () => {
  test('a backup is whole, is no database, and becomes one that dumps the same', async () => {
    const backup = await outcome(['hotbackup', '-h', at('home'), '-b', at('backup'), '-c'])
    expect(backup).toMatchObject({ kind: 'full', digest: { algorithm: 'sha256' } })
    expect(await outcome(['verify', '-b', at('backup')])).toMatchObject({ whole: true })
    expect(await outcome(['verify', '-h', at('backup')])).toMatchObject({ whole: true })
    expect(await timberline(['dump', '-h', at('backup')])).toMatchObject({
      code: 6,
      err: expect.stringContaining('ENGINE_BACKUP_NOT_RECOVERED'),
    })
    const report = await outcome(['recover', '--from', at('backup'), '-h', at('recovered')])
    expect(report).toMatchObject({ timeline: 2, proofs: [{ recordedBy: 'backup' }] })
    await outcome(['dump', '-h', at('recovered'), '-f', at('recovered.jsonl')])
    expect(await contentOf(at('recovered.jsonl'))).toBe(await contentOf(at('out.jsonl')))
  })

  test('a flipped byte in a backup is named, with exit code 1', async () => {
    const [table = ''] = await readdir(join(at('backup'), 'checkpoint/tables'))
    const path = join(at('backup'), 'checkpoint/tables', table)
    const bytes = await readFile(path)
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await writeFile(path, bytes)
    const { code, out } = await timberline(['verify', '-b', at('backup')])
    expect({ code, out }).toMatchObject({
      code: 1,
      out: expect.stringContaining(`checkpoint/tables/${table}`),
    })
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await writeFile(path, bytes)
  })

  test('target and home must not be the same, and -d must name the home’s own folder', async () => {
    expect(await timberline(['hotbackup', '-h', at('home'), '-b', at('home')])).toMatchObject({
      code: 6,
      err: expect.stringContaining('HOTBACKUP_TARGET_OVERLAPS'),
    })
    expect(
      await timberline(['hotbackup', '-h', at('home'), '-b', at('x'), '-d', '/elsewhere']),
    ).toMatchObject({ code: 6, err: expect.stringContaining('CLI_DIRECTORY_ELSEWHERE') })
    expect(
      await timberline(['hotbackup', '-h', at('home'), '-b', at('x'), '-d', 'data', '-l', 'log', '-D']),
    ).toMatchObject({ code: 0 })
  })

  test('a home that is there is not recovered over', async () => {
    expect(await timberline(['recover', '--from', at('backup'), '-h', at('home')])).toMatchObject({
      code: 7,
      err: expect.stringContaining('RECOVERY_TARGET_NOT_EMPTY'),
    })
  })
})

describe('archive', () => {
  test('ships, backs up, and recovers to a chosen transaction', async () => {
    await outcome(['archive', 'init', '-h', at('home'), '-a', at('archive')])
    await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
    await writeFile(at('more.jsonl'), dumpText('DE', 10))
    const { lsn } = await outcome(['load', '-h', at('home'), '--merge', '-f', at('more.jsonl')])
    const run = ['archive', 'run', '-h', at('home'), '-a', at('archive'), '--once']
    await outcome([...run, '--metrics-file', at('figures.prom'), '--metrics-port', '0'])
    const figures = await readFile(at('figures.prom'), 'utf8')
    expect(figures).toMatch(/^timberline_archived_lsn\{archive="archive"\} [1-9]/m)
    expect(figures).toMatch(/^timberline_requests_total\{archive="archive",request="put"\} [1-9]/m)
    expect(await outcome(['archive', 'verify', '-a', at('archive')])).toMatchObject({ whole: true })
    const status = await timberline(['archive', 'status', '-h', at('home'), '-a', at('archive')])
    expect(status).toMatchObject({ code: 0 })

    await outcome(['recover', '--from', at('archive'), '-h', at('latest')])
    expect((await timberline(['dump', '-h', at('latest')])).out).toContain('DE/00009')
    const before = ['--until-lsn', String(lsn), '--before']
    const report = await outcome(['recover', '--from', at('archive'), '-h', at('before'), ...before])
    expect(report).toMatchObject({ lsn: Number(lsn) - 1, firstDropped: { lsn } })
    expect((await timberline(['dump', '-h', at('before')])).out).not.toContain('DE/00009')
  })

  test('a recovered home does not archive until told, and then needs a base of its own timeline', async () => {
    const run = ['archive', 'run', '-h', at('latest'), '-a', at('archive'), '--once']
    expect(await timberline(run)).toMatchObject({
      code: 7,
      err: expect.stringContaining('CLI_ARCHIVING_OFF'),
    })
    expect(await outcome(['archive', 'init', '-h', at('latest'), '-a', at('archive')])).toMatchObject({
      archivingTurnedOn: true,
      baseBackupDue: true,
    })
    expect(await timberline(run)).toMatchObject({ code: 0 })
    await outcome(['hotbackup', '-h', at('latest'), '-a', at('archive')])
  })

  test('a target that cannot be reached is refused, and --plan says so without doing anything', async () => {
    const target = ['--from', at('archive'), '-h', at('never'), '--until-lsn', '999999', '--through']
    expect(await timberline(['recover', ...target])).toMatchObject({
      code: 4,
      err: expect.stringContaining('RECOVERY_'),
    })
    expect(await timberline(['recover', ...target, '--plan'])).toMatchObject({ code: 1 })
    expect(await readdir(folder)).not.toContain('never')
  })

  test('a drill passes, and a failing check of the user fails it', async () => {
    expect(await timberline(['drill', '-a', at('archive')])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/passed\n[^]*recovery time: [\d.]+ s\n[^]*recovery point: /),
    })
    expect(await timberline(['drill', '-a', at('archive'), '--check', 'exit 3'])).toMatchObject({ code: 1 })
  })

  test('a compacted archive recovers over deltas, to the state that every record gives', async () => {
    const home = ['-h', at('busy')]
    await writeFile(at('busy.jsonl'), dumpText('FR', 10))
    await outcome(['load', ...home, '--create', '-f', at('busy.jsonl')])
    await outcome(['archive', 'init', ...home, '-a', at('busy-archive')])
    await outcome(['hotbackup', ...home, '-a', at('busy-archive')])
    for (let round = 0; round < 5; round++) {
      await outcome(['load', ...home, '--merge', '-f', at('busy.jsonl')])
      await outcome(['checkpoint', ...home, '-1'])
    }
    await outcome(['load', ...home, '--merge', '-f', at('more.jsonl')])
    await outcome(['archive', 'run', ...home, '-a', at('busy-archive'), '--once'])
    const compact = ['archive', 'compact', '-a', at('busy-archive'), '--block-segments', '3']
    expect(await timberline([...compact, '--plan'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^timeline 1, LSN 6 to 11 +6 records in 3 segments, /),
    })
    expect(await outcome(compact)).toMatchObject({ outcomes: [{ type: 'added', level: 1, segments: 3 }] })
    expect(await timberline(compact)).toMatchObject({ code: 0, out: 'nothing to compact\n' })
    const from = ['recover', '--from', at('busy-archive')]
    const over = await outcome([...from, '-h', at('over')])
    expect(over).toMatchObject({ deltas: { count: 1, entries: 11 } })
    const plain = await outcome([...from, '-h', at('plain'), '--no-deltas'])
    expect(plain).not.toHaveProperty('deltas')
    expect(over).toMatchObject({ lsn: plain['lsn'], digest: plain['digest'] })
    const told = await timberline([...from, '-h', at('told')])
    expect(told.out).toMatch(/^deltas +1 with 11 keys, in place of \d+ records$/m)
  })

  test('a mistyped archive is an error', async () => {
    for (const words of [
      ['recover', '--from', at('typo'), '-h', at('never')],
      ['drill', '-a', at('typo')],
      ['archive', 'verify', '-a', at('typo')],
      ['archive', 'status', '-h', at('home'), '-a', at('typo')],
    ]) {
      const { code, err } = await timberline(words)
      expect(err, words.join(' ')).toMatch(/^timberline: \w+_MISSING /)
      expect(code).toBe(6)
    }
    expect(await readdir(folder)).not.toContain('typo')
  })
})

describe('looking in', () => {
  test('stat tells what a home is', async () => {
    const facts = await outcome(['stat', '-h', at('home')])
    expect(facts).toMatchObject({ timeline: 1, owner: null, archives: [{ name: 'archive' }], holds: [] })
    expect((await timberline(['stat', '-h', at('home')])).out).toMatch(
      /^home +.*\nenvironment +[0-9a-f]{32}\n/,
    )
  })

  test('printlog shows records, both ways and filtered', async () => {
    const all = JSON.parse((await timberline(['printlog', '-h', at('home'), '--json'])).out) as {
      lsn: number
    }[]
    const reversed = JSON.parse((await timberline(['printlog', '-h', at('home'), '--json', '-r'])).out) as {
      lsn: number
    }[]
    expect(all.length).toBeGreaterThan(0)
    expect(reversed.toReversed()).toEqual(all)
    const { out } = await timberline(['printlog', '-h', at('home'), '--key', 'DE/00009'])
    expect(out).toMatch(
      /^\[\d+\] \d{4}-.*Z transaction, 1 operation\n\tput: "DE\/00009" = "\{\\"n\\":9\}"\n\n$/,
    )
    const one = await timberline(['printlog', '-h', at('home'), '-r', '--limit', '1'])
    expect(one.out.match(/^\[/gm)).toHaveLength(1)
  })

  test('checkpoint makes log removable, archive list names it and removes it', async () => {
    const checkpoint = await outcome(['checkpoint', '-h', at('home'), '-1'])
    expect(checkpoint).toMatchObject({ lsn: expect.any(Number) })
    expect((await timberline(['archive', 'list', '-h', at('home'), '-l'])).out).toMatch(/^log\.\d{10}\n/)
    expect((await timberline(['archive', 'list', '-h', at('home'), '-s', '-a'])).out).toContain(
      join(at('home'), 'data'),
    )
    expect(await timberline(['archive', 'list', '-h', at('home'), '-d'])).toMatchObject({ code: 0, out: '' })
    expect(await timberline(['archive', 'list', '-h', at('home')])).toMatchObject({ code: 0, out: '' })
  })

  test('verify finds a home whole, and a flipped byte in its checkpoint', async () => {
    expect(await outcome(['verify', '-h', at('home')])).toMatchObject({ whole: true })
    const [table = ''] = await readdir(join(at('home'), 'checkpoint/tables'))
    const path = join(at('home'), 'checkpoint/tables', table)
    const bytes = await readFile(path)
    bytes[50] = (bytes[50] ?? 0) ^ 4
    await writeFile(path, bytes)
    expect(await timberline(['verify', '-h', at('home')])).toMatchObject({
      code: 1,
      out: expect.stringContaining('ENGINE_TABLE_DAMAGED'),
    })
  })

  test('recover without a source opens the home and tells what it did', async () => {
    expect(await timberline(['recover', '-h', at('recovered')])).toMatchObject({ code: 0 })
    expect(await timberline(['recover', '-h', at('recovered'), '-c'])).toMatchObject({ code: 0 })
    expect((await timberline(['dump', '-h', at('recovered')])).out).toContain('FR/02999')
  })
})
