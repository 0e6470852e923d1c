import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { failAt, FaultFileSystem } from '@timberline/wal/testing'
import { ClassicLevel } from 'classic-level'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { beginBackup, type StepBackup } from '../src/index.ts'

let folder = ''
const at = (name: string): string => join(folder, name)
const closing: { close(): Promise<void> }[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-step-'))
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
const home = (name = 'home'): TimberLevel => kept(new TimberLevel(at(name)))
const classic = (name: string): ClassicLevel => kept(new ClassicLevel(at(name)))

interface Filled {
  batch(operations: { type: 'put'; key: string; value: string }[]): Promise<void>
}

/** `count` entries of about a kilobyte: eight to a page. */
async function fill<T extends Filled>(level: T, count: number, text = 'v'): Promise<T> {
  const value = (index: number): string => `${text}${String(index)}`.padEnd(1000, '.')
  const key = (index: number): string => `k${String(index).padStart(5, '0')}`
  await level.batch(
    Array.from({ length: count }, (_, index) => ({ type: 'put', key: key(index), value: value(index) })),
  )
  return level
}

async function content(level: {
  iterator(): { all(): Promise<[string, string][]> }
}): Promise<[string, string][]> {
  return level.iterator().all()
}

async function contentOf(path: string): Promise<[string, string][]> {
  const level = new ClassicLevel(path, { createIfMissing: false })
  try {
    return await content(level)
  } finally {
    await level.close()
  }
}

/** Temporary folders of copies under way. */
async function leftovers(): Promise<string[]> {
  const own = `.timberline-copy-${String(process.pid)}-`
  const names = [...(await readdir(folder)), ...(await readdir(tmpdir()))]
  return names.filter((name) => name.startsWith(own))
}

async function finished(backup: StepBackup, pages = 3): Promise<number> {
  let steps = 1
  while ((await backup.step(pages)) === 'more') steps++
  await backup.finish()
  return steps
}

describe('a step-by-step copy', () => {
  it.each([
    ['memory into memory', memory, memory],
    ['memory into classic-level', memory, () => classic('target')],
    ['classic-level into memory', () => classic('source'), memory],
    ['Timberline into memory', home, memory],
    ['memory into Timberline', memory, home],
    ['Timberline into Timberline', home, () => home('other')],
  ])('goes from %s', async (_, makeSource, makeTarget) => {
    const source = await fill(makeSource(), 50)
    const target = makeTarget()
    const backup = await beginBackup(source, target)
    expect(await finished(backup)).toBeGreaterThan(1)
    expect(await content(target)).toEqual(await content(source))
    expect(await leftovers()).toEqual([])
  })

  it('goes into a folder, which becomes a LevelDB of its own, and leaves none when given up', async () => {
    const source = await fill(memory(), 50)
    const backup = await beginBackup(source, at('copy'))
    expect(await readdir(folder)).toHaveLength(1)
    await finished(backup)
    expect(await readdir(folder)).toEqual(['copy'])
    expect(await contentOf(at('copy'))).toEqual(await content(source))
    const other = await beginBackup(source, at('other'))
    await other.step(2)
    await other.abandon()
    await other.abandon()
    expect(await readdir(folder)).toEqual(['copy'])
  })

  it('counts pages of 8 KiB, and ends with none', async () => {
    const source = await fill(memory(), 80)
    await using backup = await beginBackup(source, memory())
    // 80 entries of 1,014 bytes.
    expect(backup.pageCount).toBe(10)
    expect(backup.remainingPages).toBe(10)
    const seen: number[] = []
    let state = await backup.step(2)
    for (; state === 'more'; state = await backup.step(2)) seen.push(backup.remainingPages)
    expect(seen).toEqual(seen.toSorted((a, b) => b - a))
    expect(seen.every((pages) => pages > 0 && pages < 10)).toBe(true)
    expect(backup.remainingPages).toBe(0)
    expect(await backup.step(1)).toBe('done')
  })

  it('copies an empty database, and the rest by a step of -1', async () => {
    const target = memory()
    const backup = await beginBackup(memory(), target)
    expect(await backup.step(-1)).toBe('done')
    expect(await backup.finish()).toMatchObject({ entries: 0, pageCount: 0 })
    const all = await beginBackup(await fill(memory(), 100), target)
    expect(await all.step(-1)).toBe('done')
    expect(await all.finish()).toMatchObject({ entries: 100 })
  })

  it.each([0, -2, 1.5, Number.NaN])('refuses a step of %d pages', async (pages) => {
    await using backup = await beginBackup(memory(), memory())
    await expect(backup.step(pages)).rejects.toMatchObject({ code: 'HOTBACKUP_OPTIONS' })
  })

  it('runs through all steps, tells how far it is, and stops by a signal without a trace', async () => {
    const source = await fill(memory(), 40)
    const target = memory()
    const stop = new AbortController()
    const stopped = (await beginBackup(source, target)).run({
      pagesPerStep: 1,
      signal: stop.signal,
      onProgress: ({ remainingPages }) => {
        if (remainingPages < 3) stop.abort()
      },
    })
    await expect(stopped).rejects.toMatchObject({ code: 'HOTBACKUP_ABORTED' })
    expect(await content(target)).toEqual([])
    expect(await leftovers()).toEqual([])
    const progress: number[] = []
    const report = await (
      await beginBackup(source, target)
    ).run({
      pagesPerStep: 1,
      pauseMs: 1,
      onProgress: ({ remainingPages, pageCount }) => progress.push(pageCount - remainingPages),
    })
    expect(progress.at(-1)).toBe(report.pageCount)
    expect(progress.length).toBeGreaterThan(3)
    expect(report).toMatchObject({ entries: 40, asOf: 'start' })
  })
})

describe('writers beside a copy', () => {
  it('are in it as of the end, and it never begins anew', async () => {
    const source = await fill(home(), 100)
    const target = memory()
    const backup = await beginBackup(source, target)
    let steps = 0
    while ((await backup.step(1)) === 'more') {
      steps++
      await source.put(`k${String(steps).padStart(5, '0')}`, `changed ${String(steps)}`)
      await source.put(`new ${String(steps)}`, 'x')
      await source.del(`k${String(90 - steps).padStart(5, '0')}`)
    }
    expect(steps).toBeLessThan(20)
    expect(steps).toBeGreaterThan(5)
    const report = await backup.finish()
    const { hex, lsn } = await source.digest()
    expect(report).toMatchObject({ asOf: 'end', digest: hex, lsn })
    expect(await content(target)).toEqual(await content(source))
  })

  it('are in it also when checkpoints let go of log meanwhile', async () => {
    const source = await fill(home(), 20)
    const backup = await beginBackup(source, memory())
    for (let round = 0; round < 3; round++) {
      await source.put(`round ${String(round)}`, 'x')
      await source.checkpoint()
    }
    await backup.step(-1)
    const { digest } = await backup.finish()
    expect(digest).toBe((await source.digest()).hex)
  })

  it('that load beside the log end a copy as of the end by name, and leave one as of the start as it is', async () => {
    for (const asOf of ['end', 'start'] as const) {
      const source = await fill(home(asOf), 20)
      const before = await content(source)
      const target = memory()
      const backup = await beginBackup(source, target, { asOf })
      await source.bulkLoad([['loaded', 'x']])
      await backup.step(-1)
      const [result] = await Promise.allSettled([backup.finish()])
      const code = result.status === 'rejected' ? Reflect.get(result.reason as object, 'code') : 'done'
      expect(code).toBe(asOf === 'end' ? 'HOTBACKUP_BULK_LOAD' : 'done')
      expect(await content(target)).toEqual(asOf === 'end' ? [] : before)
    }
  })

  it.each([
    ['Timberline', home],
    ['classic-level', () => classic('source')],
    ['memory', memory],
  ])('are not in it as of the start, from %s', async (_, makeSource) => {
    const source = await fill(makeSource(), 100)
    const before = await content(source)
    const target = memory()
    const backup = await beginBackup(source, target, { asOf: 'start' })
    while ((await backup.step(2)) === 'more') {
      await source.put('k00001', 'changed')
      await source.put('new', 'x')
      await source.del('k00099')
    }
    expect(await backup.finish()).toMatchObject({ asOf: 'start', entries: 100 })
    expect(await content(target)).toEqual(before)
  })

  it('of any source and any order of steps and writes give one of the two states exactly', async () => {
    const write = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.option(fc.string({ maxLength: 8 })))
    let count = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { maxLength: 8 }),
        fc.array(fc.oneof(write, fc.constant('step' as const)), { maxLength: 12 }),
        fc.constantFrom('start' as const, 'end' as const),
        async (first, then, asOf) => {
          const source = new TimberLevel(at(`property-${String(count++)}`))
          const apply = async ([key, value]: [string, string | null]): Promise<void> =>
            value === null ? source.del(key) : source.put(key, value)
          try {
            for (const each of first) await apply(each)
            const begun = await content(source)
            const target = new MemoryLevel()
            const backup = await beginBackup(source, target, { asOf })
            for (const each of then) {
              if (each === 'step') await backup.step(1)
              else await apply(each)
            }
            await backup.step(-1)
            await backup.finish()
            expect(await content(target)).toEqual(asOf === 'start' ? begun : await content(source))
          } finally {
            await source.close()
          }
        },
      ),
      { numRuns: 8 },
    )
  })

  it('cannot be asked for as of the end from a database without a log', async () => {
    await expect(beginBackup(memory(), memory(), { asOf: 'end' })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
    expect(await leftovers()).toEqual([])
  })
})

describe('the target', () => {
  it('is as it was when the copy is given up, finished too early, or fails', async () => {
    const source = await fill(memory(), 40)
    const target = memory()
    await target.put('own', 'x')
    const options = { overwrite: true }
    const early = await beginBackup(source, target, options)
    await early.step(1)
    await expect(early.finish()).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_UNFINISHED' })
    const dropped = await beginBackup(source, target, options)
    await dropped.step(-1)
    await dropped.abandon()
    const large = await beginBackup(source, target, { ...options, batchBytesMax: 10_000 })
    await expect(large.step(-1)).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_TOO_LARGE' })
    expect(await content(target)).toEqual([['own', 'x']])
    expect(await leftovers()).toEqual([])
  })

  it('with content or other encodings is refused before anything is read, unless it may be overwritten', async () => {
    const source = await fill(memory(), 10)
    const refused = { code: 'HOTBACKUP_STEP_TARGET' }
    const full = memory()
    await full.put('own', 'x')
    await expect(beginBackup(source, full)).rejects.toMatchObject(refused)
    const json = kept(new MemoryLevel<string, unknown>({ valueEncoding: 'json' }))
    await expect(beginBackup(source, json)).rejects.toMatchObject(refused)
    await classic('there').open()
    await expect(beginBackup(source, at('there'))).rejects.toMatchObject(refused)
    await expect(beginBackup(source, at('new'), { overwrite: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
    await finished(await beginBackup(source, full, { overwrite: true }))
    expect(await content(full)).toEqual(await content(source))
  })

  it('that got content meanwhile is refused at the end, and keeps it', async () => {
    const target = memory()
    const backup = await beginBackup(await fill(memory(), 10), target)
    await backup.step(-1)
    await target.put('own', 'x')
    await expect(backup.finish()).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_TARGET' })
    expect(await content(target)).toEqual([['own', 'x']])
  })

  it('in a folder is durable, file by file, before it has its name, and its name before the end', async () => {
    const faulty = new FaultFileSystem(nodeFileSystem)
    await finished(await beginBackup(await fill(memory(), 40), at('copy'), { fileSystem: faulty }))
    const { operations } = faulty
    const renamed = operations.findIndex(({ kind }) => kind === 'rename')
    const syncedBefore = new Set(
      operations
        .slice(0, renamed)
        .filter(({ kind }) => kind === 'sync')
        .map(({ path }) => basename(path)),
    )
    // LevelDB's lock holds nothing, and its own notes are for people.
    const files = (await readdir(at('copy'))).filter((name) => !name.startsWith('LO'))
    expect(files.length).toBeGreaterThan(2)
    expect(files.filter((name) => !syncedBefore.has(name))).toEqual([])
    expect(operations.slice(renamed + 1)).toMatchObject([{ kind: 'syncDirectory', path: folder }])
  })

  it('in a folder is whole or absent, whichever operation at its end fails', async () => {
    const source = await fill(memory(), 40)
    const clean = new FaultFileSystem(nodeFileSystem)
    await finished(await beginBackup(source, at('clean'), { fileSystem: clean }))
    for (let index = 1; index <= clean.operations.length; index++) {
      const faulty = new FaultFileSystem(nodeFileSystem, failAt(index, 'EIO'))
      const copy = await beginBackup(source, at(`copy-${String(index)}`), { fileSystem: faulty })
      await copy.step(-1)
      await expect(copy.finish()).rejects.toThrow('EIO')
      const isThere = (await readdir(folder)).includes(`copy-${String(index)}`)
      // Only the sync of the name comes after the name.
      expect(isThere).toBe(index === clean.operations.length)
      expect(await leftovers()).toEqual([])
    }
    expect(await contentOf(at(`copy-${String(clean.operations.length)}`))).toEqual(await content(source))
  })

  it('in a folder tells what the copy was when it was finished', async () => {
    const source = await fill(home(), 40)
    const backup = await beginBackup(source, at('copy'))
    await backup.step(-1)
    const report = await backup.finish()
    const record: unknown = JSON.parse(await readFile(join(at('copy'), 'timberline-copy.json'), 'utf8'))
    expect(record).toMatchObject({ format: 1, ...report })
    expect(report.digest).toBe((await source.digest()).hex)
    // A LevelDB that opens the copy leaves it alone.
    await contentOf(at('copy'))
    expect(await readdir(at('copy'))).toContain('timberline-copy.json')
  })

  it('in a folder is cleared of what dead processes left beside it, and of nothing that goes on', async () => {
    // Above what Linux gives out.
    const left = (pid: number, end: string): string => `.timberline-copy-${String(pid)}-${end.repeat(12)}`
    const [dead, open, alive] = [left(2 ** 22 + 1, 'a'), left(2 ** 22 + 1, 'b'), left(process.ppid, 'c')]
    await classic(open).open()
    for (const name of [dead, alive]) {
      const level = classic(name)
      await level.open()
      await level.close()
    }
    await finished(await beginBackup(await fill(memory(), 10), at('copy')))
    expect((await readdir(folder)).toSorted()).toEqual([open, alive, 'copy'].toSorted())
  })

  it('of a compact copy is a folder, and no larger than without', async () => {
    const source = classic('source')
    for (let round = 0; round < 5; round++) await fill(source, 300, `round ${String(round)} `)
    await finished(await beginBackup(source, at('compact'), { compact: true }))
    expect(await contentOf(at('compact'))).toEqual(await content(source))
    await expect(beginBackup(source, memory(), { compact: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
  })
})

describe('an error of a copy', () => {
  it('is the first one, and the same object ever after', async () => {
    const backup = await beginBackup(await fill(memory(), 40), memory(), { batchBytesMax: 1000 })
    const first: unknown = await backup.step(1).catch((error: unknown) => error)
    expect(first).toMatchObject({ code: 'HOTBACKUP_STEP_TOO_LARGE' })
    expect(await backup.step(1).catch((error: unknown) => error)).toBe(first)
    expect(await backup.finish().catch((error: unknown) => error)).toBe(first)
  })

  it('says that it has ended, after its end', async () => {
    const backup = await beginBackup(memory(), memory())
    await finished(backup)
    await expect(backup.step(1)).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_ENDED' })
    await expect(backup.finish()).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_ENDED' })
  })
})

describe('a database that is open elsewhere', () => {
  it('is waited for, as long as the callback says, and named when that ends', async () => {
    const owner = classic('busy')
    await owner.open()
    const source = kept(new ClassicLevel(at('busy')))
    const tries: number[] = []
    const refused = beginBackup(source, memory(), {
      onBusy: ({ tries: count }) => {
        tries.push(count)
        return count < 3
      },
    })
    await expect(refused).rejects.toMatchObject({ code: 'HOTBACKUP_STEP_BUSY' })
    expect(tries).toEqual([1, 2, 3])
    const again = beginBackup(source, memory(), {
      onBusy: async () => {
        await owner.close()
        return true
      },
    })
    await finished(await again)
  })

  it('is given up after the timeout', async () => {
    await home().open()
    const source = kept(new TimberLevel(at('home')))
    await expect(beginBackup(source, memory(), { busyTimeoutMs: 0 })).rejects.toMatchObject({
      code: 'HOTBACKUP_STEP_BUSY',
    })
  })
})
