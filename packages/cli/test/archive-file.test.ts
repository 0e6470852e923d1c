/** Files of other systems go in and come out; the exit codes are what such a system goes by. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcome, timberline } from './terminal.ts'

const NAME = '000000010000000000000001'
let folder = ''
const at = (name: string): string => join(folder, name)
const push = (path: string, name = NAME): readonly string[] => [
  'archive',
  'push',
  '-a',
  at('files'),
  path,
  name,
]
const get = (name: string, path: string): readonly string[] => [
  'archive',
  'get',
  '-a',
  at('files'),
  name,
  path,
]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-file-'))
  await writeFile(at('segment'), 'wal of another system')
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('archive push', () => {
  test('the same content twice is fine, other content is refused and changes nothing', async () => {
    expect(await outcome(push(at('segment')))).toMatchObject({ outcome: 'created' })
    expect(await outcome(push(at('segment')))).toMatchObject({ outcome: 'exists-same' })
    await writeFile(at('other'), 'something else')
    const { code, err } = await timberline(push(at('other')))
    expect(code).toBe(7)
    expect(err).toContain('ARCHIVE_CONFLICT')
    await outcome(get(NAME, at('again')))
    expect(await readFile(at('again'), 'utf8')).toBe('wal of another system')
  })

  test('the names of PostgreSQL are names here', async () => {
    const names = [`${NAME}.00000028.backup`, '00000002.history', `${NAME}.partial`]
    for (const name of names) expect((await timberline(push(at('segment'), name))).code).toBe(0)
  })

  test('a file that is not there is an error', async () => {
    expect(await timberline(push(at('none')))).toMatchObject({
      code: 6,
      err: expect.stringContaining('CLI_FILE_MISSING'),
    })
  })

  test('first pushes in the same moment make one archive', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `file-${String(index)}`)
    const pushed = await Promise.all(names.map((name) => timberline(push(at('segment'), name))))
    expect(pushed.map(({ code, err }) => ({ code, err }))).toEqual(names.map(() => ({ code: 0, err: '' })))
    for (const name of names) expect((await timberline(get(name, at(name)))).code).toBe(0)
  })
})

describe('archive get', () => {
  test('exit code 1 says that there is no such file, and leaves nothing behind', async () => {
    await outcome(push(at('segment')))
    const before = await readdir(folder)
    const { code, out, err } = await timberline(get('00000002.history', at('RECOVERYXLOG')))
    expect({ code, out, err }).toEqual({
      code: 1,
      out: '',
      err: 'timberline: 00000002.history is not in the archive\n',
    })
    const json = await timberline([...get('00000002.history', at('RECOVERYXLOG')), '--json'])
    expect({ ...json, out: JSON.parse(json.out) as unknown }).toEqual({
      code: 1,
      out: { name: '00000002.history', outcome: 'absent' },
      err: '',
    })
    expect(await readdir(folder)).toEqual(before)
  })

  test('nothing else ends with 1: no archive, damage, no folder to write to', async () => {
    expect(await timberline(get(NAME, at('again')))).toMatchObject({ code: 6 })
    await outcome(push(at('segment')))
    expect(await timberline(get(NAME, at('none/again')))).toMatchObject({ code: 5 })
    expect(await timberline(get('../etc', at('again')))).toMatchObject({ code: 6 })
    const object = at(join('files/file', NAME))
    const bytes = await readFile(object)
    bytes.writeUInt8(bytes.readUInt8(76) ^ 1, 76)
    await writeFile(object, bytes)
    expect(await timberline(get(NAME, at('again')))).toMatchObject({
      code: 3,
      err: expect.stringContaining('ARCHIVE_OBJECT_DAMAGED'),
    })
    expect(await readdir(folder)).toEqual(['files', 'segment'])
  })

  test('a file that is there already is fine when it holds the same, and is never replaced', async () => {
    await outcome(push(at('segment')))
    expect(await outcome(get(NAME, at('again')))).toMatchObject({ outcome: 'created', bytes: 21 })
    expect(await outcome(get(NAME, at('again')))).toMatchObject({ outcome: 'exists-same', bytes: 21 })
    await writeFile(at('again'), 'wal of another sYstem')
    expect(await timberline(get(NAME, at('again')))).toMatchObject({
      code: 7,
      err: expect.stringContaining('CLI_FILE_EXISTS'),
    })
    expect(await readFile(at('again'), 'utf8')).toBe('wal of another sYstem')
  })

  test('what a killed process with the same number left is no hindrance', async () => {
    await outcome(push(at('segment')))
    await writeFile(at(`again.partial-${String(process.pid)}`), 'half of it, and longer than the whole')
    expect((await timberline(get(NAME, at('again')))).code).toBe(0)
    expect(await readFile(at('again'), 'utf8')).toBe('wal of another system')
    expect((await readdir(folder)).toSorted()).toEqual(['again', 'files', 'segment'])
  })
})
