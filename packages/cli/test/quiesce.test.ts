/** Quiescing a running application: by a command that runs meanwhile, and by two commands around whatever is done by hand. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { begin, outcome, timberline } from './terminal.ts'

let folder = ''
let home = ''
let db: TimberLevel

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-quiesce-'))
  home = join(folder, 'home')
  db = new TimberLevel(home)
  await db.put('a', '0')
})

afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

const quiesce = (...words: string[]): string[] => ['quiesce', '-h', home, ...words]
const untilInputEnds = `process.stdin.resume()`
const node = (script: string): string[] => ['--', process.execPath, '-e', script]

test('a command runs while commits wait, and knows the LSN', async () => {
  const told = join(folder, 'told')
  const script = `require('fs').writeFileSync(${JSON.stringify(told)}, process.env.TIMBERLINE_LSN + ' ' + process.env.TIMBERLINE_UNTIL)`
  const { out } = await timberline(quiesce('--json', ...node(script)))
  const done = JSON.parse(out) as object
  const { lastLsn, paused } = await db.homeStatus()
  expect(done).toMatchObject({ lsn: lastLsn, commandEnded: 0 })
  expect(paused).toBeUndefined()
  expect(await readFile(told, 'utf8')).toMatch(new RegExp(`^${String(lastLsn)} 2\\d{3}-\\d\\d-\\d\\dT.*Z$`))
})

test('a command that fails ends with 1, and one that cannot be run with its error; commits go on', async () => {
  const failed = await timberline(quiesce('-v', ...node('process.exit(9)')))
  expect(failed.code).toBe(1)
  expect(failed.err).toMatch(/^quiesced at LSN \d+, until 2.*Z at the latest\nresumed after /)
  expect(failed.err).toContain('the command ended with 9: ')
  const missing = await timberline(quiesce('--', join(folder, 'no-such-program')))
  expect(missing.code).toBe(5)
  expect(missing.err).toContain('CLI_SYSTEM the command cannot be run')
  await db.put('a', '1')
})

test('what a command did for longer than the maximum is not called consistent', async () => {
  const { code, err } = await timberline(
    quiesce('--max-seconds', '0.2', ...node('setTimeout(() => undefined, 500)')),
  )
  expect({ code, err }).toMatchObject({
    code: 5,
    err: expect.stringMatching(/ENGINE_QUIESCE_ENDED the pause had ended/),
  })
  expect(err).toContain('timberline: next: throw away what was copied since')
})

test('two commands around a copy by hand: stat shows the pause, the copy is the database at its LSN', async () => {
  const { id, lsn } = await outcome(quiesce('--max-seconds', '3600'))
  const waiting = db.put('a', '2')
  expect((await timberline(['stat', '-h', home])).out).toMatch(
    /^PAUSED +quiesced at LSN \d+ since 2.*Z, until 2.*Z at the latest; 1 commits wait$/m,
  )
  const refused = await timberline(['checkpoint', '-h', home])
  expect(refused).toMatchObject({
    code: 7,
    err: expect.stringContaining('ENGINE_QUIESCED commits of the home are paused'),
  })
  for (const name of ['timberline.json', 'log', 'checkpoint']) {
    await cp(join(home, name), join(folder, 'copy', name), { recursive: true })
  }
  const { out } = await timberline(['resume', '-h', home, '--id', String(id)])
  expect(out).toMatch(
    new RegExp(`^resumed after .*; nothing was committed after LSN ${String(lsn)} meanwhile\\n$`),
  )
  await waiting
  const copy = new TimberLevel(join(folder, 'copy'), { createIfMissing: false })
  expect(await copy.get('a')).toBe('1')
  expect(copy.opened?.state.throughLsn).toBe(lsn)
  await copy.close()
  expect((await timberline(['resume', '-h', home])).err).toContain('ENGINE_NOT_QUIESCED')
  expect((await timberline(['stat', '-h', home])).out).not.toContain('PAUSED')
})

test('dies, and commits go on', async () => {
  const child = begin(quiesce('--max-seconds', '3600', ...node(untilInputEnds)))
  while ((await db.homeStatus()).paused?.lsn === undefined) await new Promise(setImmediate)
  const waiting = db.put('a', '3')
  child.kill('SIGKILL')
  await waiting
  child.stdin?.destroy()
  expect((await db.homeStatus()).paused).toBeUndefined()
})

test('ended by Ctrl-C ends its command, and commits go on', async () => {
  const child = begin(quiesce('--max-seconds', '3600', ...node(untilInputEnds)))
  while ((await db.homeStatus()).paused?.lsn === undefined) await new Promise(setImmediate)
  const waiting = db.put('a', '4')
  child.kill('SIGINT')
  expect(await child.ended).toMatchObject({ code: 130 })
  await waiting
})

test('bounds and ids are looked at before anything is done', async () => {
  for (const words of [
    quiesce('--max-seconds', '3601'),
    quiesce('--max-seconds', '0'),
    ['resume', '-h', home, '--id', 'a b'],
  ]) {
    expect((await timberline(words)).code, words.join(' ')).toBe(2)
  }
  expect((await timberline(['quiesce', '-h', join(folder, 'none')])).err).toContain('ENGINE_HOME_MISSING')
})
