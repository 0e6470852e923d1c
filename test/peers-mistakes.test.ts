/**
 * What Berkeley DB's tools were seen to get wrong, each the other way round here, through the command line or the public functions.
 * The titles say what the peer does.
 */
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { listSegments, placeHold } from '@timberline/wal'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { commandTable } from '../packages/cli/src/command-table.ts'
import { timberline, type Result } from '../packages/cli/test/terminal.ts'
import { Model, transaction } from '../packages/hotbackup/test/history.ts'
import { shape } from './support/application-messages.ts'
import { contentOf, RunningApplication } from './support/running-application.ts'

let folder = ''
let count = 0
const applications: RunningApplication[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-peers-mistakes-'))
})
afterEach(async () => {
  for (const application of applications.splice(0)) await application.kill()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newPath = (name: string): string => join(folder, `${String((count += 1))}-${name}`)

/** A closed home of several segments: one durable commit after the other, none of them checkpointed since the first. */
async function closedHome(commits = 400): Promise<string> {
  const home = newPath('home')
  const db = new TimberLevel(home, { log: { segmentBytesMax: 64 * 1024 } })
  await db.open()
  // Otherwise the checkpoint at the end removes what nobody needs any more.
  const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'keep all segments' })
  for (let n = 1; n <= commits; n += 1) await db.batch(transaction(n, shape))
  await db.close()
  await hold.release()
  return home
}

async function running(): Promise<{ home: string; application: RunningApplication }> {
  const home = newPath('home')
  const application = await RunningApplication.begin(home)
  applications.push(application)
  await application.goOn(50)
  return { home, application }
}

/** Every file below a folder with its bytes, sockets and locks excepted. */
async function bytesOf(path: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  for (const name of (await readdir(path, { recursive: true })).sort()) {
    if ((await stat(join(path, name))).isFile())
      found.set(name, (await readFile(join(path, name))).toString('base64'))
  }
  return found
}

async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte.writeUInt8(byte.readUInt8(0) ^ 0x10)
  await file.write(byte, 0, 1, position)
  await file.close()
}

function expectRefusal(result: Result, code: RegExp): void {
  expect(result.err).toMatch(code)
  expect(result.err).toMatch(/^timberline: next: /m)
  expect(result.code).toBeGreaterThan(1)
}

async function openRefusal(home: string): Promise<{ code: string; text: string }> {
  const error: unknown = await contentOf(home).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  const { cause } = error as { cause?: { code: string; message: string } }
  return { code: cause?.code ?? 'opened', text: `${cause?.message ?? ''} ${JSON.stringify(cause)}` }
}

describe('a mistyped home', () => {
  const commands = commandTable.filter(({ options }) =>
    options.some(({ name, isRequired }) => name === 'home' && isRequired === true),
  )
  test.each(commands.map(({ name }) => name))(
    'is no success for %s, and nothing is made there',
    async (name) => {
      const options = commands.find((command) => command.name === name)?.options ?? []
      const needsArchive =
        name === 'standby' ||
        options.some((option) => option.name === 'archive' && option.isRequired === true)
      const words = [...name.split(' '), ...(needsArchive ? ['-a', newPath('archive')] : [])]
      if (name === 'mark') words.push('month-end')
      if (name === 'hotbackup') words.push('-b', newPath('backup'))
      if (name === 'copy') words.push('-o', newPath('copy'))
      const empty = newPath('empty')
      await mkdir(empty)
      for (const home of [newPath('missing'), empty])
        expectRefusal(await timberline([...words, '-h', home]), /_MISSING|ADOPT_REFUSED/)
      expect(await readdir(empty)).toEqual([])
    },
  )
  test('is no success for a catastrophic recovery either', async () => {
    const empty = newPath('empty')
    await mkdir(empty)
    expectRefusal(await timberline(['recover', '-c', '-h', empty]), /ENGINE_HOME_MISSING/)
    expect(await readdir(empty)).toEqual([])
  })
})

describe('a recovery', () => {
  test('with all logs gone is no success, and takes nothing away', async () => {
    const home = await closedHome()
    await rm(homeLayout(home).logDirectory, { recursive: true })
    const before = await bytesOf(homeLayout(home).dataDirectory)
    expectRefusal(await timberline(['recover', '-c', '-h', home]), /RECOVERY_LOG_LOST/)
    expectRefusal(await timberline(['recover', '-h', home]), /RECOVERY_LOG_LOST/)
    expect((await openRefusal(home)).code).toMatch(/^(ENGINE_LOG_(LOST|GAP)|WAL_GAP)$/)
    expect(await bytesOf(homeLayout(home).dataDirectory)).toEqual(before)
  })

  test('of data that went after its log was archived is no success without data', async () => {
    const home = await closedHome()
    const layout = homeLayout(home)
    const [first] = await listSegments(layout.logDirectory)
    expect(first?.header.segmentNumber).toBe(1)
    await rm(join(layout.logDirectory, 'log.0000000001'))
    await rm(layout.dataDirectory, { recursive: true })
    await rm(layout.checkpointDirectory, { recursive: true })
    expectRefusal(await timberline(['recover', '-c', '-h', home]), /_LOG_GAP|_STATE_LOST|_LOG_LOST|WAL_GAP/)
    expect((await openRefusal(home)).code).toMatch(/_LOG_GAP|_STATE_LOST|_LOG_LOST|WAL_GAP/)
  })

  test('with a middle log missing names it, and an ordinary open does not serve the old state', async () => {
    const home = await closedHome()
    const { logDirectory } = homeLayout(home)
    const segments = await listSegments(logDirectory)
    expect(segments.length).toBeGreaterThan(4)
    await rm(join(logDirectory, 'log.0000000003'))
    expectRefusal(await timberline(['recover', '-h', home]), /_GAP[\s\S]*(log\.0000000003|=3\b)/)
    const refusal = await openRefusal(home)
    expect(refusal.code).toMatch(/_GAP$/)
  })

  test('does not take damage in the last log for its torn end when good records follow', async () => {
    const home = await closedHome()
    const { logDirectory } = homeLayout(home)
    const last = (await listSegments(logDirectory)).at(-1)
    expect(last?.sealed).toBe(false)
    await flip(
      join(
        logDirectory,
        (await readdir(logDirectory))
          .filter((name) => name.startsWith('log.'))
          .sort()
          .at(-1) ?? '',
      ),
      200,
    )
    expectRefusal(await timberline(['recover', '-h', home]), /WAL_CORRUPT/)
    expectRefusal(await timberline(['recover', '-c', '-h', home]), /WAL_CORRUPT/)
    expect((await openRefusal(home)).code).toBe('WAL_CORRUPT')
  })

  test('that is refused does not advise itself', async () => {
    const home = await closedHome()
    await rm(homeLayout(home).logDirectory, { recursive: true })
    const { err } = await timberline(['recover', '-c', '-h', home])
    expect(err).toMatch(/next: put the log folder back, or recover into a new folder/)
    expect(err).not.toMatch(/PANIC|RUNRECOVERY/)
  })

  test.each([[[]], [['-c']]])(
    'under a live process is refused, and the process goes on (%j)',
    async (letters) => {
      const { home, application } = await running()
      const result = await timberline(['recover', ...letters, '-h', home])
      expectRefusal(result, /ENGINE_HOME_LOCKED/)
      expect(result.err).toContain(String(application.process.pid))
      await application.goOn(50)
      await application.kill()
      const { n, state } = await contentOf(home)
      expect(n).toBeGreaterThanOrEqual(application.acknowledged)
      expect(state).toEqual(new Model(shape).at(n))
    },
  )

  test('to notatime is a bad argument, and no time', async () => {
    const home = await closedHome(5)
    for (const option of ['-t', '--until-time']) {
      const result = await timberline(['recover', '-h', newPath('home'), '--from', home, option, 'notatime'])
      expect(result.code).toBe(2)
      expect(result.err).toContain('notatime')
    }
  })
})

describe('a hot backup', () => {
  test('leaves the old one alone until the new one stands', async () => {
    const { home, application } = await running()
    const target = newPath('backup')
    await hotbackup({ home, target })
    const before = await bytesOf(target)
    await application.goOn(50)
    const stop = new AbortController()
    const aborted = hotbackup({
      home,
      target,
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type === 'log.begun') stop.abort()
      },
    })
    await expect(aborted).rejects.toMatchObject({ code: 'HOTBACKUP_ABORTED' })
    expect(await bytesOf(target)).toEqual(before)
    expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([])
    const { acknowledged } = application
    expect(await timberline(['hotbackup', '-h', home, '-b', target])).toMatchObject({ code: 0 })
    const recovered = newPath('recovered')
    expect(await timberline(['recover', '--from', target, '-h', recovered])).toMatchObject({ code: 0 })
    expect((await contentOf(recovered)).n).toBeGreaterThanOrEqual(acknowledged)
  })

  test('onto its own source, above or below it, is refused, and the process goes on', async () => {
    const { home, application } = await running()
    for (const target of [home, `${home}/`, join(home, 'log'), join(home, 'new'), join(home, '..')])
      expectRefusal(await timberline(['hotbackup', '-h', home, '-b', target]), /HOTBACKUP_TARGET_OVERLAPS/)
    await application.goOn(50)
    await application.kill()
    expect((await contentOf(home)).n).toBeGreaterThanOrEqual(application.acknowledged)
  })

  test('does not update a target that holds no backup', async () => {
    const home = await closedHome(20)
    const target = newPath('backup')
    await mkdir(target)
    expectRefusal(await timberline(['hotbackup', '-u', '-h', home, '-b', target]), /HOTBACKUP_UPDATE_MISSING/)
    expect(await readdir(target)).toEqual([])
  })

  test('works when nobody has the home open', async () => {
    const home = await closedHome(20)
    expect(await timberline(['hotbackup', '-h', home, '-b', newPath('backup')])).toMatchObject({ code: 0 })
  })

  test('removes no log of the source', async () => {
    const home = await closedHome()
    const before = await readdir(homeLayout(home).logDirectory)
    expect(await timberline(['hotbackup', '-h', home, '-b', newPath('backup')])).toMatchObject({ code: 0 })
    expect((await readdir(homeLayout(home).logDirectory)).sort()).toEqual(before.sort())
  })

  test('with one flipped byte is never served as if it were right', async () => {
    const home = await closedHome(200)
    const db = new TimberLevel(home)
    await db.checkpoint()
    for (let n = 201; n <= 260; n += 1) await db.batch(transaction(n, shape))
    await db.close()
    const target = newPath('backup')
    await hotbackup({ home, target })
    const expected = new Model(shape).at(260)
    let refused = 0
    for (const [name, base64] of await bytesOf(target)) {
      const bytes = Buffer.from(base64, 'base64').length
      for (const part of [0, 0.3, 0.6, 0.99]) {
        const position = Math.floor(bytes * part)
        await flip(join(target, name), position)
        expect(
          (await timberline(['verify', '-b', target])).code,
          `verify ${name} ${String(position)}`,
        ).not.toBe(0)
        const recovered = newPath('recovered')
        const { code } = await timberline(['recover', '--from', target, '-h', recovered])
        if (code !== 0) refused += 1
        const found = code === 0 ? (await contentOf(recovered)).state : expected
        expect(found, `${name} ${String(position)}`).toEqual(expected)
        await rm(recovered, { recursive: true, force: true })
        await flip(join(target, name), position)
      }
    }
    expect(refused).toBeGreaterThan(8)
    expect((await timberline(['verify', '-b', target])).code).toBe(0)
  })
})
