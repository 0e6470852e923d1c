/**
 * `archive push --async`: success is told only for a file that is in the archive, whatever lies in the spool. Plain files stand for
 * PostgreSQL's segments; `archive_status/NAME.ready` beside them says what waits.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { createArchive, memoryStore, type Archive, type ArchiveStore } from '@timberline/archive'
import { processIdentity } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileArchive } from '../src/file-archive.ts'
import { fileDigest } from '../src/source-file.ts'
import { decodeOutcome, leaveOutcome, takeOutcome, wholeAddress } from '../src/spool/outcome-marker.ts'
import { leaveFailure, pushAhead, PUSHES_MAX } from '../src/spool/push-ahead.ts'
import { type LaunchedWorker, pushThroughSpool } from '../src/spool/push-through-spool.ts'
import { readyFiles } from '../src/spool/ready-files.ts'
import { becomeWorker, decodeWorker, hasWorker } from '../src/spool/worker-lock.ts'
import { begin, outcome, timberline } from './terminal.ts'

const STATE_MS_MAX = 30_000
let folder = ''
const at = (name: string): string => join(folder, name)
const segment = (number: number): string =>
  `0000000100000000000000${number.toString(16).padStart(2, '0').toUpperCase()}`
const push = (name: string, ...more: readonly string[]): readonly string[] => [
  'archive',
  'push',
  '-a',
  at('files'),
  at(join('wal', name)),
  '--async',
  '--spool',
  at('spool'),
  ...more,
]
const errand = (first: string): { url: string; spool: string; folder: string; first: string } => ({
  url: at('files'),
  spool: at('spool'),
  folder: at('wal'),
  first,
})
const markers = async (): Promise<readonly string[]> =>
  (await readdir(at('spool'))).filter((name) => /\.(ok|error)$/.test(name)).toSorted()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-async-'))
  await mkdir(at('wal/archive_status'), { recursive: true })
  await mkdir(at('spool'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A file, and the word that it waits. */
async function ready(name: string, content = `wal ${name}`): Promise<string> {
  await writeFile(at(join('wal', name)), content)
  await writeFile(at(join('wal/archive_status', `${name}.ready`)), '')
  return name
}

/** What the archive has under a name. */
async function archived(name: string): Promise<string> {
  await outcome(['archive', 'get', '-a', at('files'), name, at(`got-${name}`)])
  return readFile(at(`got-${name}`), 'utf8')
}

async function leaveOk(name: string, content: string, archive = at('files')): Promise<void> {
  await writeFile(at('other'), content)
  await leaveOutcome(at('spool'), name, { type: 'ok', archive, ...(await fileDigest(at('other'))) })
}

/** Asks as the command does, and keeps what it would have begun. */
async function ask(
  name: string,
  { waitMs = 60_000, isRunning = false } = {},
): Promise<{ pushed: boolean; launches: number }> {
  let launches = 0
  const launch = (): LaunchedWorker => {
    launches++
    return { isRunning: () => isRunning }
  }
  const signal = new AbortController().signal
  const digest = await pushThroughSpool(errand(name), { waitMs, launch, signal })
  return { pushed: digest !== undefined, launches }
}

describe('a marker', () => {
  test('of these bytes is used once, and the archive is not even opened', async () => {
    const name = await ready(segment(1))
    await leaveOk(name, `wal ${name}`)
    expect(await outcome(push(name))).toMatchObject({ name, outcome: 'pushed-ahead', bytes: 28 })
    expect(await markers()).toEqual([])
    expect(await readdir(folder)).not.toContain('files')
  })

  test('of other bytes, of another archive, or no marker at all is no success', async () => {
    const [first, second, third] = [await ready(segment(1)), await ready(segment(2)), await ready(segment(3))]
    await leaveOk(first, 'what an older cluster had under this name')
    await leaveOk(second, `wal ${second}`, at('another archive'))
    await writeFile(at(`spool/${third}.ok`), '')
    await rm(at('wal/archive_status'), { recursive: true })
    for (const name of [first, second, third]) {
      expect(await outcome(push(name))).toMatchObject({ outcome: 'created' })
      expect(await archived(name)).toBe(`wal ${name}`)
    }
    expect(await markers()).toEqual([])
  })

  test('of an error is told once with its own code and exit code; then the file is pushed', async () => {
    const name = await ready(segment(1))
    const error = {
      code: 'ARCHIVE_CONFLICT',
      kind: 'conflict',
      hint: 'a hint',
      message: 'what was: name=x',
    } as const
    await leaveOutcome(at('spool'), name, { type: 'error', archive: at('files'), error })
    expect(await timberline(push(name))).toEqual({
      code: 7,
      out: '',
      err: 'timberline: ARCHIVE_CONFLICT what was: name=x\ntimberline: next: a hint\n',
    })
    expect(await markers()).toEqual([])
    expect(await outcome(push(name))).toMatchObject({ outcome: 'created' })
  })

  test.each([
    ['/backups/pg', '/backups/pg'],
    ['s3://bucket/pg?endpoint=http://127.0.0.1:7480', 's3://bucket/pg?endpoint=http://127.0.0.1:7480'],
    ['./pg', `./pg seen from ${process.cwd()}`],
    ['dir:pg', `dir:pg seen from ${process.cwd()}`],
  ])('for %s is one for %s', (url, address) => {
    expect(wholeAddress(url)).toBe(address)
  })

  test('too long to be one of ours is removed and counts as none', async () => {
    const name = await ready(segment(1))
    await writeFile(at(`spool/${name}.ok`), Buffer.alloc(100_000, ' '))
    expect(await outcome(push(name))).toMatchObject({ outcome: 'created' })
    expect(await markers()).toEqual([])
  })

  test.each([
    ['ok', 'null'],
    ['ok', '{"archive":"/a","bytes":1.5,"sha256":""}'],
    ['ok', '{"archive":7,"bytes":1,"sha256":""}'],
    ['error', '{"archive":"/a","error":{"code":"A","kind":"toString","hint":"","message":""}}'],
    ['error', '{"archive":"/a","error":null}'],
  ] as const)('%s %s is none', (type, text) => {
    expect(decodeOutcome(type, Buffer.from(text))).toBeUndefined()
  })
})

describe('a call', () => {
  test('pushes in the foreground when nothing else waits', async () => {
    const name = await ready(segment(1))
    expect(await ask(name)).toEqual({ pushed: false, launches: 0 })
  })

  test('begins one worker when others wait, and does not stay when that ended without an outcome', async () => {
    const name = await ready(segment(1))
    await ready(segment(2))
    expect(await ask(name)).toEqual({ pushed: false, launches: 1 })
  })

  test('begins none beside a living one, and pushes in the foreground when there is no marker in time', async () => {
    const name = await ready(segment(1))
    await ready(segment(2))
    const resign = await becomeWorker(at('spool'))
    expect(await ask(name, { waitMs: 60 })).toEqual({ pushed: false, launches: 0 })
    expect(await outcome(push(name, '--wait-seconds', '0.06'))).toMatchObject({ outcome: 'created' })
    await resign?.()
    expect(await archived(name)).toBe(`wal ${name}`)
  })

  test('replaces a dead worker: the number alone, taken by another process, is not the worker', async () => {
    const name = await ready(segment(1))
    await ready(segment(2))
    const dead = { ...processIdentity(process.pid), startedAt: '1' }
    await writeFile(at('spool/worker.json'), JSON.stringify(dead))
    expect(await ask(name)).toEqual({ pushed: false, launches: 1 })
  })

  test('waits for the worker that it began', async () => {
    const name = await ready(segment(1))
    await ready(segment(2))
    const signal = new AbortController().signal
    const launch = (): LaunchedWorker => {
      const work = fileArchive(at('files')).then((archive) => pushAhead(archive, errand(name)))
      let isRunning = true
      void work.finally(() => {
        isRunning = false
      })
      return { isRunning: () => isRunning }
    }
    expect(await pushThroughSpool(errand(name), { waitMs: 60_000, launch, signal })).toMatchObject({
      bytes: 28,
    })
    expect(await archived(name)).toBe(`wal ${name}`)
  })

  test('pushes in the foreground, and warns, when the spool is no folder', async () => {
    const name = await ready(segment(1))
    await rm(at('spool'), { recursive: true })
    await writeFile(at('spool'), 'in the way')
    const { code, err } = await timberline(push(name))
    expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('the spool is no use') })
    expect(await archived(name)).toBe(`wal ${name}`)
  })

  test('refuses options and names that do not go together', async () => {
    const name = await ready(segment(1))
    const words = ['archive', 'push', '-a', at('files'), at(`wal/${name}`)]
    for (const more of [['--async'], ['--spool', at('spool')], ['--wait-seconds', '1']])
      expect(await timberline([...words, ...more])).toMatchObject({ code: 2 })
    expect(await timberline([...words, 'other', '--async', '--spool', at('spool')])).toMatchObject({
      code: 2,
    })
    expect(await timberline([...words, name, '--async', '--spool', at('spool')])).toMatchObject({ code: 0 })
    expect(await timberline(push('none'))).toMatchObject({ code: 6 })
  })
})

describe('the worker', () => {
  test('archives all that waits, and leaves an outcome for each', async () => {
    const names = [await ready(segment(1)), await ready(segment(2)), await ready(segment(10))]
    await writeFile(at(`wal/${segment(3)}`), 'not full yet')
    await writeFile(at(`wal/archive_status/${segment(4)}.done`), '')
    await pushAhead(await fileArchive(at('files')), errand(segment(1)))
    expect(await markers()).toEqual(names.map((name) => `${name}.ok`))
    expect((await readdir(at('files/file'))).toSorted()).toEqual(names)
    for (const name of names) expect(await outcome(push(name))).toMatchObject({ outcome: 'pushed-ahead' })
    expect(await markers()).toEqual([])
  })

  test('goes on after a file that is refused or gone, and tells which', async () => {
    const names = [await ready(segment(1)), await ready(segment(2)), await ready(segment(3))]
    await rm(at(`wal/${segment(2)}`))
    await writeFile(at('other'), 'was there before')
    await outcome(['archive', 'push', '-a', at('files'), at('other'), segment(1)])
    await pushAhead(await fileArchive(at('files')), errand(segment(1)))
    expect(await markers()).toEqual([`${names[0]}.error`, `${names[1]}.error`, `${names[2]}.ok`])
    expect(await timberline(push(segment(1)))).toMatchObject({
      code: 7,
      err: expect.stringContaining('ARCHIVE_CONFLICT'),
    })
    expect(await archived(segment(1))).toBe('was there before')
  })

  test('keeps what an earlier one archived, tries its errors again, and removes what nobody will ask for', async () => {
    const [kept, failed] = [await ready(segment(1)), await ready(segment(2))]
    await leaveOk(kept, `wal ${kept}`)
    await leaveOk(segment(9), 'asked for long ago')
    const error = {
      code: 'ARCHIVE_STORE_FAILED',
      kind: 'unavailable',
      hint: '',
      message: 'was away',
    } as const
    await leaveOutcome(at('spool'), failed, { type: 'error', archive: at('files'), error })
    const puts: string[] = []
    await pushAhead(await archiveOf(recording(puts)), errand(failed))
    expect(await markers()).toEqual([`${kept}.ok`, `${failed}.ok`])
    expect(puts).toEqual([failed])
  })

  test('takes what is waited for first, then histories, then the oldest, several at a time', async () => {
    const names = [segment(1), segment(2), segment(3), '00000002.history', segment(5), segment(6)]
    for (const name of names) await ready(name)
    expect(await readyFiles(at('wal'))).toEqual([
      '00000002.history',
      ...names.filter((name) => name.length === 24),
    ])
    const puts: string[] = []
    // Each put waits until as many are on their way as may be: one after the other, it would never end.
    await pushAhead(await archiveOf(recording(puts, PUSHES_MAX)), errand(segment(2)))
    expect(puts.slice(0, PUSHES_MAX).toSorted()).toEqual(
      ['00000002.history', segment(1), segment(2), segment(3)].toSorted(),
    )
    expect(puts).toHaveLength(names.length)
  })

  test('takes up what comes while it works', async () => {
    await ready(segment(1))
    const puts: string[] = []
    const store = recording(puts)
    const archive = await archiveOf({
      ...store,
      put: async (name, content) => {
        if (name.endsWith(segment(1))) await ready(segment(2))
        return store.put(name, content)
      },
    })
    await pushAhead(archive, errand(segment(1)))
    expect(puts).toEqual([segment(1), segment(2)])
  })

  test('tries a file again once its error is told', async () => {
    const [failing, other] = [await ready(segment(1)), await ready(segment(2))]
    let told: unknown
    const puts: string[] = []
    const store = recording(puts)
    const archive = await archiveOf({
      ...store,
      put: async (name, content) => {
        if (name.endsWith(failing) && !puts.includes(failing)) {
          puts.push(failing)
          throw new Error('the store is away')
        }
        if (name.endsWith(other)) {
          await until(async () => (await markers()).includes(`${failing}.error`))
          told = await takeOutcome(at('spool'), failing)
        }
        return store.put(name, content)
      },
    })
    await pushAhead(archive, errand(failing))
    expect(told).toMatchObject({ error: { message: 'the store is away' } })
    expect(puts.filter((name) => name === failing)).toHaveLength(2)
    expect(await markers()).toEqual([`${failing}.ok`, `${other}.ok`])
  })

  test('that cannot open the archive says so for the file that is waited for', async () => {
    const name = await ready(segment(1))
    await leaveFailure(errand(name), Object.assign(new Error('no room'), { code: 'ENOSPC' }))
    expect(await timberline(push(name))).toMatchObject({ code: 5, err: expect.stringContaining('no room') })
  })

  test('whose spool takes no outcome ends when all that it began has ended', async () => {
    for (const number of [1, 2, 3, 4]) await ready(segment(number))
    const store = memoryStore()
    let open = 0
    const archive = await archiveOf({
      ...store,
      put: async (name, content) => {
        open++
        if (name.endsWith(segment(1))) await rm(at('spool'), { recursive: true })
        // Longer than the refusal of an outcome takes; how long does not matter when all are waited for.
        else if (name.startsWith('file/')) await new Promise((resolve) => setTimeout(resolve, 100))
        const put = await store.put(name, content)
        open--
        return put
      },
    })
    await expect(pushAhead(archive, errand(segment(1)))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(open).toBe(0)
  })

  test('removes what a killed one left half-written, and not the lock of another', async () => {
    const left = `.${segment(1)}.ok.2147483647.0123456789ab.tmp`
    await writeFile(at(`spool/${left}`), '')
    const resign = await becomeWorker(at('spool'))
    expect(await readdir(at('spool'))).toEqual(['worker.json'])
    await writeFile(
      at('spool/worker.json'),
      JSON.stringify({ ...processIdentity(process.pid), pid: process.ppid }),
    )
    await resign?.()
    expect(await readdir(at('spool'))).toEqual(['worker.json'])
  })

  test('is one for each spool, as long as it lives', async () => {
    const resign = await becomeWorker(at('spool'))
    expect(resign).toBeDefined()
    expect(await hasWorker(at('spool'))).toBe(true)
    expect(await becomeWorker(at('spool'))).toBeUndefined()
    await resign?.()
    expect(await hasWorker(at('spool'))).toBe(false)
    for (const left of [
      '',
      '{"pid":-1,"startedAt":"","bootId":""}',
      JSON.stringify({ ...processIdentity(process.pid), startedAt: '1' }),
    ]) {
      await writeFile(at('spool/worker.json'), left)
      const again = await becomeWorker(at('spool'))
      expect(again, left).toBeDefined()
      await again?.()
    }
    expect(await readdir(at('spool'))).toEqual([])
    expect(decodeWorker(Buffer.from('null'))).toBeUndefined()
  })
})

describe('as processes', () => {
  test('one call begins a worker that outlives it; later calls find what it did', async () => {
    const names: string[] = []
    for (let number = 1; number <= 6; number++) names.push(await ready(segment(number)))
    const first = await begin(push(segment(1))).ended
    expect(first).toMatchObject({ code: 0, err: '', out: expect.stringContaining('pushed ahead') })
    await until(async () => (await markers()).length === 5 && !(await hasWorker(at('spool'))))
    for (const name of names.slice(1))
      expect(await outcome(push(name))).toMatchObject({ outcome: 'pushed-ahead' })
    for (const name of names) expect(await archived(name)).toBe(`wal ${name}`)
    expect(await readdir(at('spool'))).toEqual([])
  })

  test.skipIf(process.platform !== 'linux')(
    'a worker that was killed is replaced; it has a session of its own',
    async () => {
      const [stuck, asked] = [await ready(segment(1)), await ready(segment(2))]
      await rm(at(`wal/${stuck}`))
      // Nobody writes into it: who reads it waits.
      await promisify(execFile)('mkfifo', [at(`wal/${stuck}`)])
      expect(await begin(push(asked)).ended).toMatchObject({
        code: 0,
        out: expect.stringContaining('pushed ahead'),
      })
      const { pid } = decodeWorker(await readFile(at('spool/worker.json'))) ?? { pid: 0 }
      expect(pid).toBeGreaterThan(1)
      const [, , group, session] = (await readFile(`/proc/${String(pid)}/stat`, 'utf8'))
        .replace(/^.*\) /, '')
        .split(' ')
      process.kill(pid, 'SIGKILL')
      expect([group, session]).toEqual([String(pid), String(pid)])
      await until(async () => !(await hasWorker(at('spool'))))
      await rm(at(`wal/${stuck}`))
      await ready(stuck)
      expect(await begin(push(stuck)).ended).toMatchObject({
        code: 0,
        out: expect.stringContaining('pushed ahead'),
      })
      expect(await archived(stuck)).toBe(`wal ${stuck}`)
      await until(async () => !(await hasWorker(at('spool'))))
    },
  )
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + STATE_MS_MAX; !(await holds());) {
    if (performance.now() > end) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function archiveOf(store: ArchiveStore): Promise<Archive> {
  return createArchive(store, { environmentId: '0'.repeat(32) })
}

/** A store that notes which files are put, in the order in which they come, and holds them until `together` have come. */
function recording(puts: string[], together = 1): ArchiveStore {
  const store = memoryStore()
  let open = (): void => undefined
  const enough = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    ...store,
    put: async (name, content) => {
      if (name.startsWith('file/')) {
        puts.push(basename(name))
        if (puts.length >= together) open()
        await enough
      }
      return store.put(name, content)
    },
  }
}
