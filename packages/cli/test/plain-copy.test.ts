/** A LevelDB folder of another application, copied by command lines while it is open. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawLevel } from '@timberline/engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

let folder = ''
let application: RawLevel
const at = (name: string): string => join(folder, name)
const plain = (...more: string[]): string[] => ['hotbackup', '--plain', at('application'), ...more]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-plain-command-'))
  application = new RawLevel(at('application'))
  for (let index = 0; index < 9; index++) await application.put(Buffer.from([index]), Buffer.alloc(500))
})

afterAll(async () => {
  await application.close()
  await rm(folder, { recursive: true, force: true })
})

test('it is copied while it is open, and what the copy promises is said', async () => {
  const { out, err } = await timberline(plain('-b', at('copy'), '-v'))
  expect(out).toMatch(/9 batches in 1 file[^]*a prefix of the writes/)
  expect(err).toContain('plain.pinned tableCount=0 logCount=1')
  await using copy = new RawLevel(at('copy'))
  expect(await copy.keys().all()).toHaveLength(9)
  expect(await outcome(plain('-b', at('again'), '--max-mb-per-s', '50'))).toMatchObject({
    tableCount: 0,
    logRecordCount: 9,
    pinnedBy: 'links',
    promise: expect.stringContaining('no batch half'),
  })
})

test('what cannot be is refused: a target with content, no database, options of a home', async () => {
  expect(await timberline(plain('-b', folder))).toMatchObject({
    code: 6,
    err: expect.stringContaining('HOTBACKUP_TARGET_OVERLAPS'),
  })
  expect(await timberline(['hotbackup', '--plain', at('none'), '-b', at('new')])).toMatchObject({
    code: 6,
    err: expect.stringContaining('HOTBACKUP_PLAIN_SOURCE'),
  })
  expect(await timberline(plain('-b', at('new'), '-u'))).toMatchObject({ code: 2 })
  expect(await timberline(plain('-b', at('new'), '-h', at('home')))).toMatchObject({ code: 2 })
})
