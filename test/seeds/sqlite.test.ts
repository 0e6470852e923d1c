/** What SQLite's document of its online backup says, row by row: what was wrong with copying files, the steps, their errors, writers. */
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import { beginBackup, type StepBackup } from '@timberline/hotbackup'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { begin, outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { runCommandLine } from '../../packages/cli/src/run.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const closing: { close(): Promise<void> }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-sqlite-'))
})

afterEach(async () => {
  for (const level of closing.splice(0)) await level.close()
  await rm(folder, { recursive: true, force: true })
})

function kept<T extends { close(): Promise<void> }>(level: T): T {
  closing.push(level)
  return level
}

const memory = (): MemoryLevel => kept(new MemoryLevel())
const home = (): TimberLevel => kept(new TimberLevel(at('home')))
const classic = (name: string): ClassicLevel => kept(new ClassicLevel(at(name)))

interface Level {
  batch(operations: { type: 'put'; key: string; value: string }[]): Promise<void>
  iterator(): { all(): Promise<[string, string][]> }
}

const keyOf = (index: number): string => `k${String(index).padStart(4, '0')}`

/** `count` entries of about a kilobyte: eight to a page. */
async function filled<T extends Level>(level: T, count = 80, text = 'v'): Promise<T> {
  const value = text.padEnd(1000, '.')
  await level.batch(Array.from({ length: count }, (_, index) => ({ type: 'put', key: keyOf(index), value })))
  return level
}

async function contentAt(name: string): Promise<[string, string][]> {
  await using level = new ClassicLevel(at(name), { createIfMissing: false })
  // Awaited here: the level closes with the function.
  return await level.iterator().all()
}

const all = async (level: Level): Promise<[string, string][]> => level.iterator().all()
const errorOf = async (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error)

/** Steps to the end, with something to do between the steps. */
async function stepped(backup: StepBackup, between: (step: number) => Promise<unknown>): Promise<number> {
  let steps = 1
  for (; (await backup.step(1)) === 'more'; steps++) await between(steps)
  return steps
}

describe('S1: what copying the file under a lock could not do', () => {
  test('S1: no writer waits while a copy is made', async () => {
    const source = await filled(home())
    await using backup = await beginBackup(source, at('copy'))
    await backup.step(1)
    // Each resolves while the copy stands between two of its steps.
    await source.put('during', 'x')
    await source.batch([{ type: 'del', key: keyOf(0) }])
    await backup.step(-1)
    await backup.finish()
    expect(await contentAt('copy')).toEqual(await all(source))
  })

  test('S1: a database in memory is copied as any other', async () => {
    const source = await filled(memory())
    await (await beginBackup(source, at('copy'))).run()
    expect(await contentAt('copy')).toEqual(await all(source))
  })

  test('S1: a process that dies while it copies leaves no copy, and nothing in the way of the next one', async () => {
    await (await filled(home())).close()
    const slow = begin([
      'copy',
      '-h',
      at('home'),
      '-o',
      at('copy'),
      '--pages-per-step',
      '1',
      '--pause-ms',
      '60000',
    ])
    while (!(await readdir(folder)).some((name) => name.startsWith('.timberline-copy-'))) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    slow.kill('SIGKILL')
    await slow.ended
    expect(await readdir(folder)).not.toContain('copy')
    expect(await outcome(['copy', '-h', at('home'), '-o', at('copy')])).toMatchObject({ entries: 80 })
    expect(await readdir(folder)).toEqual(['copy', 'home'])
  })
})

test('S2: one database is copied over another, by steps, between any two of abstract-level', async () => {
  const source = await filled(classic('source'))
  const target = await filled(home(), 3, 'old')
  const backup = await beginBackup(source, target, { overwrite: true })
  await stepped(backup, async (step) => {
    // Between steps the source is its users', and the target is what it was.
    await source.put('written', String(step))
    expect(await target.keys().all()).toHaveLength(3)
  })
  await backup.finish()
  expect(await all(target)).toEqual((await all(source)).filter(([key]) => key !== 'written'))
})

test('S3: begin, steps of n pages, finish; -1 is the rest; remaining and count give the percentage', async () => {
  const backup = await beginBackup(await filled(memory()), memory())
  expect([backup.remainingPages, backup.pageCount]).toEqual([10, 10])
  expect(await backup.step(5)).toBe('more')
  expect(100 * (1 - backup.remainingPages / backup.pageCount)).toBe(50)
  expect(await backup.step(-1)).toBe('done')
  expect(backup.remainingPages).toBe(0)
  expect(await backup.finish()).toMatchObject({ pageCount: 10, entries: 80 })
})

test('S4: a database in memory is saved to a folder and loaded from it, also one of Timberline', async () => {
  const first = await filled(memory())
  await (await beginBackup(first, at('saved'))).run()
  const loaded = memory()
  await (await beginBackup(classic('saved'), loaded)).run()
  expect(await all(loaded)).toEqual(await all(first))
  const timber = kept(new TimberMemoryLevel())
  await (await beginBackup(loaded, timber)).run()
  await (await beginBackup(timber, at('again'))).run()
  expect(await contentAt('again')).toEqual(await all(first))
})

test('S5: the first error is the copy’s: step and finish throw that one object, and the source has none', async () => {
  const source = await filled(memory())
  const backup = await beginBackup(source, memory(), { batchBytesMax: 10_000 })
  const first = await errorOf(backup.step(3))
  expect(first).toMatchObject({ code: 'HOTBACKUP_STEP_TOO_LARGE' })
  expect(await errorOf(backup.step(1))).toBe(first)
  expect(await errorOf(backup.finish())).toBe(first)
  expect(await all(source)).toHaveLength(80)
})

test('S6: a database that another has open is waited for; a timeout or a callback ends it with one clear error', async () => {
  const owner = await filled(classic('busy'))
  const source = classic('busy')
  const busy = { code: 'HOTBACKUP_STEP_BUSY' }
  await expect(beginBackup(source, memory(), { busyTimeoutMs: 0 })).rejects.toMatchObject(busy)
  const onBusy = ({ tries }: { tries: number }): boolean => tries < 3
  await expect(beginBackup(source, memory(), { onBusy })).rejects.toMatchObject({
    ...busy,
    details: { tries: 3 },
  })
  const waiting = beginBackup(source, at('copy'), { busyTimeoutMs: 60_000 })
  await owner.close()
  expect(await (await waiting).run()).toMatchObject({ entries: 80 })
})

test('S7: a target with content or other encodings is refused before anything of it is gone, unless it may be overwritten', async () => {
  const source = await filled(memory())
  const refused = { code: 'HOTBACKUP_STEP_TARGET' }
  const full = await filled(memory(), 3, 'old')
  await expect(beginBackup(source, full)).rejects.toMatchObject(refused)
  expect(await full.keys().all()).toHaveLength(3)
  const json = kept(new MemoryLevel<string, unknown>({ valueEncoding: 'json' }))
  await expect(beginBackup(source, json)).rejects.toMatchObject(refused)
  await (await filled(classic('there'), 3)).close()
  await expect(beginBackup(source, at('there'))).rejects.toMatchObject(refused)
  await (await beginBackup(source, full, { overwrite: true })).run()
  expect(await all(full)).toEqual(await all(source))
})

describe('S8: five pages, a pause, and a progress bar', () => {
  test('S8: run goes through all steps, tells how far it is, and stops by a signal', async () => {
    const source = await filled(memory())
    const seen: number[] = []
    await (
      await beginBackup(source, memory())
    ).run({ pagesPerStep: 5, pauseMs: 1, onProgress: ({ remainingPages }) => seen.push(remainingPages) })
    expect(seen).toEqual([5, 0])
    const stop = new AbortController()
    const target = memory()
    const stopped = (await beginBackup(source, target)).run({
      pagesPerStep: 5,
      pauseMs: 3_600_000,
      onProgress: () => stop.abort(),
      signal: stop.signal,
    })
    await expect(stopped).rejects.toMatchObject({ code: 'HOTBACKUP_ABORTED' })
    expect(await all(target)).toEqual([])
  })

  test('S8: the command shows a bar on a terminal', async () => {
    await (await filled(home())).close()
    const terminal = new PassThrough()
    let shown = ''
    terminal.on('data', (chunk: Buffer) => (shown += chunk.toString()))
    const words = ['copy', '-h', at('home'), '-o', at('copy'), '--pages-per-step', '5', '--pause-ms', '1']
    const code = await runCommandLine(words, {
      stdin: PassThrough.from([]),
      stdout: { write: () => Promise.resolve() },
      stderr: {
        write: () => undefined,
        terminal: Object.assign(terminal, { isTTY: true, columns: 100 }) as unknown as NodeJS.WriteStream,
      },
      signal: new AbortController().signal,
    })
    expect(code).toBe(0)
    expect(shown).toMatch(/copying [█░]+ \d+%/)
  })
})

test('S9: writes between all steps never begin a copy anew', async () => {
  const source = await filled(home())
  const backup = await beginBackup(source, memory())
  const seen: number[] = []
  const steps = await stepped(backup, async (step) => {
    // Every page that was copied already is written again, and new ones come.
    await filled(source, 80, `round ${String(step)}`)
    await source.put(`new ${String(step)}`, 'x'.repeat(8192))
    seen.push(backup.remainingPages)
  })
  expect(steps).toBeLessThanOrEqual(backup.pageCount)
  expect(seen).toEqual(seen.toSorted((a, b) => b - a))
  await backup.finish()
})

test.each(['end', 'start'] as const)(
  'S10: writes during a copy as of the %s are in it, or not, as asked',
  async (asOf) => {
    const source = await filled(home())
    const before = await all(source)
    const backup = await beginBackup(source, at('copy'), { asOf })
    await stepped(backup, async (step) => {
      await source.put(keyOf(step), 'changed')
      await source.del(keyOf(70 + step))
      await source.put(`new ${String(step)}`, 'x')
    })
    expect(await backup.finish()).toMatchObject({ asOf })
    expect(await contentAt('copy')).toEqual(asOf === 'end' ? await all(source) : before)
  },
)

test('S11: the finished copy is a consistent state; its digest is printed and recorded in it', async () => {
  const source = await filled(home())
  const { hex } = await source.digest()
  await source.close()
  const { out } = await timberline(['copy', '-h', at('home'), '-o', at('copy')])
  expect(out).toContain(`digest ${hex}`)
  expect(JSON.parse(await readFile(join(at('copy'), 'timberline-copy.json'), 'utf8'))).toMatchObject({
    digest: hex,
    lsn: expect.any(Number),
    entries: 80,
    asOf: 'end',
  })
  // Proven anew at any time: a copy of the copy has the same.
  expect(await outcome(['copy', '-h', at('copy'), '-o', at('proof')])).toMatchObject({ digest: hex })
})

test('S12: --compact makes a copy as small as it can be, of a database that is not', async () => {
  const source = classic('source')
  for (const text of ['a', 'b', 'c', 'd']) await filled(source, 2000, text)
  for (let index = 0; index < 2000; index += 2) await source.del(keyOf(index))
  await source.close()
  const loose = await outcome(['copy', '-h', at('source'), '-o', at('loose')])
  const compact = await outcome(['copy', '-h', at('source'), '-o', at('compact'), '--compact'])
  expect(compact).toMatchObject({ entries: 1000, digest: loose['digest'] })
  expect(await bytesIn('compact')).toBeLessThan(await bytesIn('source'))
  expect(await bytesIn('compact')).toBeLessThan(await bytesIn('loose'))
})

async function bytesIn(name: string): Promise<number> {
  const sizes = await Promise.all(
    (await readdir(at(name))).map(async (each) => (await stat(join(at(name), each))).size),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
