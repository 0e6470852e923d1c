/** `archive run` into several archives at once: each has its own outcome, and what one of them is does not matter to the others. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DumpTally, encodeEntry } from '../src/dump-format.ts'
import { begin, outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const run = (...more: readonly string[]): readonly string[] => ['archive', 'run', '-h', at('home'), ...more]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-several-'))
  await makeHome('home')
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A home with one entry. */
async function makeHome(name: string): Promise<void> {
  const tally = new DumpTally()
  const entry = { key: Buffer.from('key'), value: Buffer.from('value') }
  tally.add(entry)
  const head = { timberline: 'dump', format: 1, environmentId: '0'.repeat(32), timeline: 1, lsn: 0 }
  const lines = [JSON.stringify(head), encodeEntry(entry), JSON.stringify(tally.end()), '']
  await writeFile(at('in.jsonl'), lines.join('\n'))
  await outcome(['load', '-h', at(name), '--create', '-f', at('in.jsonl')])
}

const confirmations = async (): Promise<readonly string[]> =>
  (await readdir(at('home/log'))).filter((name) => name.startsWith('confirmed.')).toSorted()

describe('several archives', () => {
  test('are shipped into at once, each under its name', async () => {
    const all = ['-a', `nas=${at('nas')}`, '-a', `off-site=dir:${at('off')}`]
    const figures = ['--metrics-file', at('figures.prom')]
    const { archives } = await outcome(run(...all, '--once', ...figures))
    expect(archives).toMatchObject([
      { name: 'nas', archive: at('nas'), lagTransactions: 0 },
      { name: 'off-site', lagTransactions: 0 },
    ])
    for (const name of ['nas', 'off']) {
      expect(await outcome(['archive', 'verify', '-a', at(name)])).toMatchObject({ whole: true })
      expect(await outcome(['archive', 'status', '-h', at('home'), '-a', at(name)])).toMatchObject({
        lag: { transactions: 0 },
      })
    }
    expect(await confirmations()).toEqual(['confirmed.nas.json', 'confirmed.off-site.json'])
    const text = await readFile(at('figures.prom'), 'utf8')
    for (const name of ['nas', 'off-site']) expect(text).toContain(`timberline_healthy{archive="${name}"} 1`)
    const { out } = await timberline(run(...all, '--once'))
    expect(out).toMatch(/^nas: archived through LSN \d+.*\noff-site: archived through LSN \d+/)
  })

  test('of which one is refused: the others are served, and the end tells of it', async () => {
    await makeHome('seed')
    await outcome(['archive', 'run', '-h', at('seed'), '-a', at('foreign'), '--once'])
    const all = [
      '-a',
      `foreign=${at('foreign')}`,
      '-a',
      `typo=s4://bucket/x`,
      '-a',
      `nas=${at('nas')}`,
      '--once',
    ]
    const { code, out, err } = await timberline(run(...all, '--json'))
    expect(code).toBe(7)
    expect(JSON.parse(out)).toMatchObject({
      archives: [
        { name: 'foreign', error: { code: 'ARCHIVE_FOREIGN_ENVIRONMENT' } },
        { name: 'typo', error: { code: 'ARCHIVE_URL_UNKNOWN' } },
        { name: 'nas', lagTransactions: 0 },
      ],
    })
    expect(err).toContain('timberline: foreign: ARCHIVE_FOREIGN_ENVIRONMENT')
    expect(err).toContain('timberline: typo: next: ')
    // No log is kept for an address that was never meant.
    expect(await confirmations()).toEqual(['confirmed.nas.json'])
    expect((await timberline(run(...all))).out).toMatch(
      /^foreign: failed with ARCHIVE_FOREIGN_ENVIRONMENT\ntypo: failed with ARCHIVE_URL_UNKNOWN\nnas: archived/,
    )
  })

  test('all of which fail end the command with the error of the first', async () => {
    expect(await timberline(run('-a', 'a=s4://x', '-a', 'b=s5://y', '--once'))).toMatchObject({
      code: 6,
      err: expect.stringMatching(/timberline: ARCHIVE_URL_UNKNOWN/),
    })
    expect(await timberline(run('-a', 's4://x', '--once'))).toMatchObject({
      code: 6,
      out: '',
      err: expect.stringContaining('\ntimberline: ARCHIVE_URL_UNKNOWN'),
    })
    expect(await confirmations()).toEqual([])
  })

  test('of which one is away: the log is held for it, and it is tried again until it is there', async () => {
    // A file where the folder of the archive should be: the system refuses, as it does for a mount that is away.
    await writeFile(at('mount'), '')
    const child = begin(run('-a', `away=${at('mount/archive')}`, '-a', `nas=${at('nas')}`, '-v'))
    let err = ''
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
    await until(() => err.includes('nas: shipped through LSN') && err.includes('away: ARCHIVE_STORE_FAILED'))
    expect(await confirmations()).toEqual(['confirmed.away.json', 'confirmed.nas.json'])
    await rm(at('mount'))
    await until(() => err.includes('away: shipped through LSN'))
    child.kill('SIGTERM')
    expect(await child.ended).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^away: archived.*\nnas: /),
    })
  })

  test('need names of their own; a plain address keeps its meaning', async () => {
    for (const words of [
      ['-a', at('a'), '-a', at('b')],
      ['-a', `a=${at('a')}`, '-a', at('b')],
      ['-a', `a=${at('a')}`, '-a', `a=${at('b')}`],
      ['-a', `a=${at('a')}`, '-a', `b=${at('a')}`],
      ['-a', `a=${at('a')}`, '--name', 'b'],
      [],
    ])
      expect(await timberline(run(...words, '--once')), words.join(' ')).toMatchObject({ code: 2 })
    const words = ['-a', at('with=sign'), '--name', 'plain', '--once']
    expect(await outcome(run(...words))).toMatchObject({ name: 'plain', archive: at('with=sign') })
    expect(await outcome(run('-a', at('with=sign'), '--once'))).toMatchObject({ name: 'archive' })
    expect(await outcome(run('-a', `named=${at('other')}`, '--once'))).toMatchObject({
      name: 'named',
      archive: at('other'),
    })
    expect(await confirmations()).toEqual([
      'confirmed.archive.json',
      'confirmed.named.json',
      'confirmed.plain.json',
    ])
  })
})

async function until(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !holds();) {
    if (performance.now() > end) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
