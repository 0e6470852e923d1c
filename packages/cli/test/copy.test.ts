/** A database copied into a folder of its own, by command lines. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawLevel, TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-copy-command-'))
  await using db = new TimberLevel<string, string>(at('home'))
  for (let index = 0; index < 50; index++) await db.put(`k${String(index)}`, 'v'.repeat(1000))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function entriesOf(path: string): Promise<number> {
  await using level = new RawLevel(path)
  return (await level.iterator().all()).length
}

test('a home becomes a plain LevelDB, and that another one, with one digest', async () => {
  const first = await outcome(['copy', '-h', at('home'), '-o', at('copy'), '--pages-per-step', '1'])
  expect(first).toMatchObject({ entries: 50, pageCount: 7, asOf: 'end' })
  expect(await entriesOf(at('copy'))).toBe(50)
  const second = await outcome(['copy', '-h', at('copy'), '-o', at('again'), '--compact'])
  expect(second).toMatchObject({ asOf: 'start', digest: first['digest'] })
  expect((await timberline(['copy', '-h', at('home'), '-o', at('third')])).out).toMatch(
    /copied 50 entries, .* in 7 pages, as of the end, LSN \d+\ndigest [0-9a-f]{64}/,
  )
})

test('what cannot be copied is refused by name, and leaves nothing', async () => {
  const before = await readdir(folder)
  expect(await timberline(['copy', '-h', at('home'), '-o', at('copy')])).toMatchObject({
    code: 7,
    err: expect.stringContaining('HOTBACKUP_STEP_TARGET'),
  })
  expect(await timberline(['copy', '-h', at('none'), '-o', at('new')])).toMatchObject({
    code: 6,
    err: expect.stringContaining('CLI_FILE_MISSING'),
  })
  expect(await timberline(['copy', '-h', at('home'), '-o', at('new'), '--as-of', 'noon'])).toMatchObject({
    code: 2,
  })
  expect(await timberline(['copy', '-h', at('copy'), '-o', at('new'), '--as-of', 'end'])).toMatchObject({
    code: 6,
    err: expect.stringContaining('HOTBACKUP_OPTIONS'),
  })
  await using db = new TimberLevel(at('home'))
  await db.open()
  const busy = ['copy', '-h', at('home'), '-o', at('new'), '--busy-timeout-ms', '0']
  expect(await timberline(busy)).toMatchObject({
    code: 7,
    err: expect.stringContaining('HOTBACKUP_STEP_BUSY'),
  })
  expect(await readdir(folder)).toEqual(before)
})
