/** Repairing an archive from the command line: told first, done when asked, and an exit code that says what is left. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const repair = (...words: readonly string[]): readonly string[] => [
  'archive',
  'repair',
  '-a',
  at('archive'),
  ...words,
]

async function write(home: string, prefix: string): Promise<void> {
  const db = new TimberLevel(at(home))
  for (let index = 0; index < 5; index++) await db.put(`${prefix}/${String(index)}`, prefix)
  await db.close()
}

/** Objects of the archive, by what their path has in it. */
async function objects(part: string): Promise<readonly string[]> {
  const all = await readdir(at('archive'), { recursive: true, withFileTypes: true })
  const names = all.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  return names
    .map((path) => path.slice(at('archive').length + 1))
    .filter((name) => name.includes(part))
    .sort()
}

async function flip(name: string): Promise<void> {
  const path = join(at('archive'), name)
  const bytes = await readFile(path)
  // In a bundle, inside the first piece.
  const position = name.endsWith('.bundle') ? 240 : 80
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  await writeFile(path, bytes)
}

/** The first piece in a bundle, as FORMAT.md says. */
async function pieceIn(bundle: string): Promise<string> {
  return (await readFile(join(at('archive'), bundle))).toString('latin1', 32, 141)
}

async function dumpOf(home: string): Promise<string> {
  return (await timberline(['dump', '-h', at(home)])).out.split('\n').slice(1).join('\n')
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-repair-'))
  await write('home', 'a')
  await outcome(['archive', 'init', '-h', at('home'), '-a', at('archive')])
  await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
  await write('home', 'b')
  await outcome(['archive', 'run', '-h', at('home'), '-a', at('archive'), '--once'])
  await cp(at('archive'), at('copy'), { recursive: true })
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('tells what it would do and from where, does it with --apply, and what is recovered then is the same', async () => {
  await outcome(['recover', '--from', at('copy'), '-h', at('before')])
  const [bundle = ''] = await objects('piece/')
  const piece = await pieceIn(bundle)
  const [table = ''] = await objects('/tables/')
  const [manifest = ''] = await objects('manifest.json')
  for (const name of [bundle, table, manifest]) await flip(name)
  const told = await timberline(repair('--from', at('copy'), '-h', at('home')))
  expect(told).toMatchObject({ code: 1, out: expect.stringContaining(`repairable  ${piece}`) })
  expect(told.out).toContain('nothing was changed without --apply')
  expect((await timberline(['archive', 'verify', '-a', at('archive')])).code).toBe(1)
  const done = await outcome(repair('--from', at('copy'), '--apply'))
  expect(done).toMatchObject({ applied: true, unreachable: [] })
  expect(done['objects']).toHaveLength(3)
  expect(await outcome(['archive', 'verify', '-a', at('archive')])).toMatchObject({ whole: true })
  await outcome(['recover', '--from', at('archive'), '-h', at('after')])
  expect(await dumpOf('after')).toBe(await dumpOf('before'))
  expect(await timberline(repair('--apply'))).toMatchObject({
    code: 0,
    out: expect.stringContaining('nothing to repair'),
  })
})

test('takes log from the home, only the objects named, and names what no source has with what it costs', async () => {
  const [bundle = ''] = await objects('piece/')
  const piece = await pieceIn(bundle)
  const [manifest = ''] = await objects('manifest.json')
  for (const name of [bundle, manifest]) await flip(name)
  const one = await outcome(repair('-h', at('home'), '--object', piece, '--apply'))
  expect(one['objects']).toMatchObject([{ name: piece, outcome: 'repaired' }])
  const { code, out } = await timberline(repair('-h', at('home'), '--apply'))
  expect(code).toBe(1)
  expect(out).toContain(`unrepairable  ${manifest}`)
  expect(out).toContain(`unreachable without ${manifest}: timeline 1, LSN `)
  expect(out).toContain('0 repaired, 1 left')
  const json = JSON.parse((await timberline([...repair('--from', at('archive')), '--json'])).out) as unknown
  expect(json).toMatchObject({
    applied: false,
    objects: [
      { outcome: 'unrepairable', tried: [expect.stringContaining(manifest)], unreachable: { ranges: [{}] } },
    ],
    unreachable: [{ timeline: 1 }],
  })
})

test('refuses the home or the archive of another database', async () => {
  await write('other', 'x')
  await outcome(['archive', 'init', '-h', at('other'), '-a', at('foreign')])
  for (const source of [
    ['-h', at('other')],
    ['--from', at('foreign')],
  ]) {
    expect(await timberline(repair(...source))).toMatchObject({
      code: 7,
      err: expect.stringContaining('ARCHIVE_FOREIGN_ENVIRONMENT'),
    })
  }
})
