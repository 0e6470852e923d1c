/** The commands beside a running application, and in processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { begin, outcome, timberline } from './terminal.ts'

let folder = ''
let application: ChildProcess
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-live-'))
  const path = fileURLToPath(new URL('application.ts', import.meta.url))
  application = spawn(process.execPath, [testProgram(path), at('home')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (application.stdout !== null) await once(application.stdout, 'data')
})

afterAll(async () => {
  application.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('stat names the process, and what it says itself', async () => {
  expect(await outcome(['stat', '-h', at('home')])).toMatchObject({
    owner: { pid: application.pid },
    live: { pid: application.pid },
  })
  expect((await timberline(['stat', '-h', at('home')])).out).toMatch(
    /^log limit +0 % of 17\.2 GB; at the limit: stall$/m,
  )
})

test('what needs the home for itself is refused, naming the process', async () => {
  for (const words of [
    ['dump'],
    ['load'],
    ['recover'],
    ['recover', '-c'],
    ['adopt', '--undo'],
    ['hotbackup', '--offline', '-b', at('off')],
  ]) {
    const { code, err } = await timberline([...words, '-h', at('home')])
    expect(err, words.join(' ')).toMatch(/^timberline: ENGINE_HOME_LOCKED /)
    expect(err).toContain(String(application.pid))
    expect(code).toBe(7)
  }
})

test('printlog reads the log that is being written, by its metadata', async () => {
  // The first checkpoint may have removed the beginning of the log: any record that is there will do.
  const all = JSON.parse((await timberline(['printlog', '-h', at('home'), '--json'])).out) as {
    meta?: { turn: number }
  }[]
  const turn = all.findLast(({ meta }) => meta !== undefined)?.meta?.turn ?? -1
  const { out } = await timberline(['printlog', '-h', at('home'), '--meta', `turn=${turn}`, '--json'])
  expect(JSON.parse(out)).toMatchObject([
    {
      kind: 'entry',
      meta: { actor: 'application', turn },
      operations: [{ type: 'put', key: `key/${turn % 500}` }],
    },
  ])
})

test('a checkpoint is taken by the owner', async () => {
  const { err, out, code } = await timberline(['checkpoint', '-h', at('home'), '-1', '-v'])
  expect({ err, code }).toEqual({ err: 'checkpoint begin\ncheckpoint complete\n', code: 0 })
  expect(out).toMatch(/^checkpoint at LSN \d+, .*: \d+ tables/)
})

test('a hot backup holds what was durable, is updated, and recovers to it', async () => {
  const backup = await outcome(['hotbackup', '-h', at('home'), '-b', at('backup')])
  await sleep(50)
  const updated = await outcome(['hotbackup', '-h', at('home'), '-b', at('backup'), '-u'])
  expect(Number(updated['endLsn'])).toBeGreaterThan(Number(backup['endLsn']))
  expect(await outcome(['recover', '--from', at('backup'), '-h', at('copy')])).toMatchObject({
    lsn: updated['endLsn'],
    proofs: [{ recordedBy: 'backup' }],
  })
})

test('a shipper in a process of its own runs until Ctrl-C, and the archive proves equal to the live database', async () => {
  const shipper = begin([
    'archive',
    'run',
    '-h',
    at('home'),
    '-a',
    at('archive'),
    '--interval-ms',
    '100',
    '-v',
  ])
  while (
    !(await timberline(['archive', 'status', '-h', at('home'), '-a', at('archive')])).out.includes('epoch 1')
  )
    await sleep(100)
  await outcome(['hotbackup', '-h', at('home'), '-a', at('archive')])
  const { code, out } = await timberline(['verify', '-a', at('archive'), '--against', at('home')])
  expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/^EQUAL +at LSN \d+\n/) })
  const status = await outcome(['archive', 'status', '-h', at('home'), '-a', at('archive')])
  expect((status['lag'] as { seconds: number }).seconds).toBeLessThan(10)
  shipper.kill('SIGINT')
  const ended = await shipper.ended
  expect(ended.code).toBe(0)
  expect(ended.out).toMatch(/^archived through LSN \d+/)
  expect(ended.err).toContain('shipped through LSN')
})

test('printlog into a pipe that closes is no failure', async () => {
  const child = begin(['printlog', '-h', at('home')])
  child.stdout?.destroy()
  expect(await child.ended).toMatchObject({ code: 0, err: '' })
})

test('the process ends with the documented code', async () => {
  expect(await begin(['stat', '-h', at('typo')]).ended).toMatchObject({ code: 6, out: '' })
  expect(await begin(['frobnicate']).ended).toMatchObject({ code: 2, out: '' })
  expect((await begin(['--version']).ended).out).toMatch(/^\d+\.\d+\.\d+\n$/)
})
