/** Verifying an archive from the command line: what damage costs is told, and a sample can be repeated by its seed. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const verify = (...words: readonly string[]): readonly string[] => [
  'archive',
  'verify',
  '-a',
  at('archive'),
  ...words,
]

async function write(prefix: string): Promise<void> {
  const db = new TimberLevel(at('home'))
  for (let index = 0; index < 5; index++) await db.put(`${prefix}/${String(index)}`, prefix)
  await db.close()
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-verify-'))
  await write('a')
  await outcome(['archive', 'init', '-h', at('home'), '-a', at('archive')])
  await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
  await write('b')
  await outcome(['archive', 'run', '-h', at('home'), '-a', at('archive'), '--once'])
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function flip(path: string, position = 80): Promise<void> {
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  await writeFile(path, bytes)
}

test('damage is told with the points in time that it costs', async () => {
  expect(await outcome(verify())).toMatchObject({ whole: true, findings: [], unreachable: [] })
  const pieces = join(at('archive'), 'piece/00000001')
  const [bundle = ''] = (await readdir(pieces)).sort()
  const piece = (await readFile(join(pieces, bundle))).toString('latin1', 32, 141)
  await flip(join(pieces, bundle), 240)
  const { code, out } = await timberline(verify())
  expect(code).toBe(1)
  expect(out).toContain(`unreachable without ${piece}: timeline 1, LSN `)
  const json = JSON.parse((await timberline([...verify(), '--json'])).out) as Record<string, unknown>
  expect(json).toMatchObject({
    whole: false,
    findings: [{ code: 'ARCHIVE_OBJECT_DAMAGED', unreachable: { ranges: [{ timeline: 1 }] } }],
    unreachable: [{ timeline: 1 }],
  })
})

test('a sample says its seed, and the seed repeats it', async () => {
  const { out } = await timberline(verify('--sample', '1'))
  const seed = /1 of \d+ objects read, .*; sample 1, seed ([0-9a-f]{8})\n$/.exec(out)?.[1]
  expect(seed).toBeDefined()
  const again = await outcome(verify('--sample', '1', '--seed', seed ?? ''))
  expect(again).toMatchObject({ objects: { read: 1 }, sample: { seed, count: 1 } })
  expect(await outcome(verify('--sample', '100%', '--seed', 'x'))).toMatchObject({ sample: { share: 1 } })
})

test.each([['0'], ['0%'], ['101%'], ['5 %'], ['-1'], ['few']])(
  'a sample of %s is no sample',
  async (part) => {
    const { code, err } = await timberline(verify(`--sample=${part}`))
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining('is not a sample') })
  },
)

test('a seed without a sample, and an archive without its journal', async () => {
  expect(await timberline(verify('--seed', 'x'))).toMatchObject({ code: 2 })
  await flip(join(at('archive'), 'journal/0000000000000002.json'))
  const { code, out } = await timberline(verify())
  expect({ code, out }).toMatchObject({ code: 1, out: expect.stringContaining('ARCHIVE_JOURNAL_DAMAGED') })
})
