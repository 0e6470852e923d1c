import { appendFile, mkdir, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { nodeFileSystem, type FileHandle, type OpenMode } from '@timberline/wal'
import { FaultFileSystem, failAt, immediateFileSystem } from '@timberline/wal/testing'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { plainBackup, type HotbackupEvent } from '../src/index.ts'
import { contents, copyOf, makeFastFolder } from './fixture.ts'
import { stateOf, withoutLinks } from './hot-plain-copies.ts'

let folder = ''
let source = ''
let target = ''
const closing: { close(): Promise<void> }[] = []
const at = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await makeFastFolder()
  source = at('application')
  target = at('copy')
})

afterEach(async () => {
  for (const level of closing.splice(0)) await level.close()
  await rm(folder, { recursive: true, force: true })
})

type Options = NonNullable<ConstructorParameters<typeof ClassicLevel>[1]>

async function openPlain(options: Options = {}): Promise<ClassicLevel> {
  const db = new ClassicLevel(source, options as object)
  await db.open()
  closing.push(db)
  return db
}

/** Tables on two levels and a log behind them; open. */
async function fill(db: ClassicLevel, count = 40): Promise<ClassicLevel> {
  const put = (index: number): Promise<void> =>
    db.put(`k${String(index).padStart(4, '0')}`, String(index).repeat(50))
  for (let index = 0; index < count; index++) await put(index)
  await db.compactRange('k', 'k0020')
  for (let index = 20; index < count; index++) await put(index)
  await db.compactRange('k0030', 'l')
  await db.batch([
    { type: 'put', key: 'last', value: 'in the log' },
    { type: 'del', key: 'k0001' },
  ])
  return db
}

async function states(db: ClassicLevel): Promise<Map<string, string>> {
  return new Map(await db.iterator().all())
}

/** A handle that is in the set until it is closed. */
async function held(path: string, mode: OpenMode, open: Set<FileHandle>): Promise<FileHandle> {
  const handle = await nodeFileSystem.open(path, mode)
  open.add(handle)
  const close = handle.close.bind(handle)
  return Object.assign(handle, {
    close: () => {
      open.delete(handle)
      return close()
    },
  })
}

const leftovers = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => !['application', 'copy'].includes(name))

describe('a hot copy of a LevelDB folder that is not ours', () => {
  it('opens as a LevelDB, with what was written last and is in no table yet', async () => {
    const db = await fill(await openPlain())
    const events: HotbackupEvent[] = []
    const result = await plainBackup({ folder: source, target, onEvent: (event) => events.push(event) })
    expect(result).toMatchObject({
      logCount: 1,
      logRecordCount: 1,
      pinnedBy: 'links',
      tries: 1,
      leftBehind: [],
    })
    expect(result.tableCount).toBeGreaterThan(0)
    expect(
      Object.values(await contents(target)).reduce(
        (sum, text) => sum + Buffer.from(text, 'base64').length,
        0,
      ),
    ).toBe(result.bytes)
    expect(events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['plain.pinned', 'file.copied', 'progressed', 'plain.ended']),
    )
    expect(await leftovers()).toEqual([])
    const state = await states(db)
    expect(state.get('last')).toBe('in the log')
    expect(await stateOf(target)).toEqual(state)
    // The owner still has its lock, and goes on.
    await expect(new ClassicLevel(source).open()).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
    await db.put('later', 'x')
  })

  it('changes nothing in the folder, and shares nothing with it', async () => {
    await fill(await openPlain())
    const before = await contents(source)
    await plainBackup({ folder: source, target })
    expect(await contents(source)).toEqual(before)
    for (const name of await readdir(target)) {
      expect((await nodeFileSystem.status(join(target, name)))?.linkCount).toBe(1)
    }
    // A LevelDB that writes into the copy writes nothing into the live one.
    await using copy = new ClassicLevel(target, { createIfMissing: false })
    await fill(copy, 400)
    expect(await contents(source)).toEqual(before)
  })

  it('is made from open handles where files get no second name', async () => {
    const db = await fill(await openPlain())
    const result = await plainBackup({ folder: source, target, fileSystem: withoutLinks(nodeFileSystem) })
    expect(result.pinnedBy).toBe('handles')
    expect(await stateOf(target)).toEqual(await states(db))
  })

  it('closes what it held open, whether it stands or fails', async () => {
    await fill(await openPlain())
    const open = new Set<FileHandle>()
    const counting = withoutLinks({ ...nodeFileSystem, open: (path, mode) => held(path, mode, open) })
    await plainBackup({ folder: source, target, fileSystem: counting })
    expect(open.size).toBe(0)
    const end = new AbortController()
    const stopped = plainBackup({
      folder: source,
      target: at('second'),
      fileSystem: counting,
      signal: end.signal,
      onEvent: ({ type }) => type === 'plain.pinned' && end.abort(),
    })
    await expect(stopped).rejects.toMatchObject({ code: 'HOTBACKUP_ABORTED' })
    expect(open.size).toBe(0)
  })

  it.each<[string, Options]>([
    ['without compression', { compression: false }],
    ['with large blocks', { blockSize: 64 * 1024 }],
  ])('may have tables %s', async (_, options) => {
    const db = await fill(await openPlain(options))
    expect(await plainBackup({ folder: source, target })).toMatchObject({ uncheckedCount: 0 })
    expect(await stateOf(target)).toEqual(await states(db))
  })

  it('may be of an empty, a closed, or a just copied one', async () => {
    const db = await openPlain()
    expect(await plainBackup({ folder: source, target: at('empty') })).toMatchObject({ tableCount: 0 })
    expect(await stateOf(at('empty'))).toEqual(new Map())
    const state = await states(await fill(db))
    await db.close()
    await plainBackup({ folder: source, target })
    await plainBackup({ folder: target, target: at('again') })
    expect(await stateOf(at('again'))).toEqual(state)
  })

  it('takes a folder whose own log is gone for what its tables are', async () => {
    const db = await fill(await openPlain())
    await db.close()
    for (const name of await readdir(source)) if (name.endsWith('.log')) await rm(join(source, name))
    expect(await plainBackup({ folder: source, target })).toMatchObject({ logCount: 0, logRecordCount: 0 })
    expect(await stateOf(target)).toEqual(await stateOf(source))
  })

  it('takes tables of the old name', async () => {
    const db = await fill(await openPlain())
    const state = await states(db)
    await db.close()
    for (const name of await readdir(source)) {
      if (name.endsWith('.ldb')) await rename(join(source, name), join(source, name.replace('.ldb', '.sst')))
    }
    await plainBackup({ folder: source, target })
    expect(await stateOf(target)).toEqual(state)
  })

  it('ends at the last whole record of a log that a kill tore, at each place where it can be torn', async () => {
    const db = await openPlain()
    for (let n = 1; n <= 6; n++)
      await db.batch([
        { type: 'put', key: 'n', value: String(n) },
        { type: 'put', key: `k${n}`, value: 'x'.repeat(20) },
      ])
    await db.close()
    const log = (await readdir(source)).find((name) => name.endsWith('.log')) ?? ''
    const whole = await readFile(join(source, log))
    let last = 6
    for (let bytes = whole.length; bytes >= 0; bytes -= 5) {
      const torn = await copyOf(source, at('torn'))
      await truncate(join(torn, log), bytes)
      const { logRecordCount, tornBytes } = await plainBackup({ folder: torn, target })
      expect(logRecordCount).toBeLessThanOrEqual(last)
      last = logRecordCount
      expect((await nodeFileSystem.status(join(target, log)))?.bytes).toBe(bytes - tornBytes)
      const state = await stateOf(target)
      expect([Number(state.get('n') ?? '0'), state.size]).toEqual([last, last === 0 ? 0 : last + 1])
      for (const path of [torn, target]) await rm(path, { recursive: true })
    }
    expect(last).toBe(0)
  })

  it('is held to a rate, and stops by a signal without a trace', async () => {
    const db = await openPlain({ compression: false })
    for (const range of ['a', 'b', 'c']) {
      for (let index = 0; index < 20; index++) await db.put(`${range}${index}`, 'x'.repeat(10_000))
      await db.compactRange(range, `${range}~`)
    }
    const begunAtMs = performance.now()
    const { bytes, tableCount } = await plainBackup({ folder: source, target, maxMbPerS: 0.5 })
    expect(tableCount).toBe(3)
    expect(bytes).toBeGreaterThan(600_000)
    // The last table is not waited for, and idle time of a tenth of a second is caught up with.
    expect(performance.now() - begunAtMs).toBeGreaterThan(600)
    const stop = new AbortController()
    const stopped = plainBackup({
      folder: source,
      target: at('other'),
      signal: stop.signal,
      onEvent: ({ type }) => {
        if (type === 'plain.pinned') stop.abort()
      },
    })
    await expect(stopped).rejects.toMatchObject({ code: 'HOTBACKUP_ABORTED' })
    expect(await leftovers()).toEqual([])
  })
})

describe('the target', () => {
  it('is refused when something is there, and when it overlaps the folder', async () => {
    await fill(await openPlain())
    await mkdir(target)
    await plainBackup({ folder: source, target })
    const refused = { code: 'HOTBACKUP_TARGET_NOT_BACKUP' }
    await expect(plainBackup({ folder: source, target })).rejects.toMatchObject(refused)
    await writeFile(at('file'), 'x')
    await expect(plainBackup({ folder: source, target: at('file') })).rejects.toMatchObject(refused)
    const overlaps = { code: 'HOTBACKUP_TARGET_OVERLAPS' }
    await expect(plainBackup({ folder: source, target: join(source, 'copy') })).rejects.toMatchObject(
      overlaps,
    )
    await expect(plainBackup({ folder: source, target: '' })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
    await expect(plainBackup({ folder: source, target: at('new'), maxMbPerS: 0 })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
    await rm(at('file'))
    expect(await leftovers()).toEqual([])
  })

  it('that got content while it was copied keeps it', async () => {
    await fill(await openPlain())
    const copying = plainBackup({
      folder: source,
      target,
      fileSystem: {
        ...nodeFileSystem,
        rename: async (from, to) => {
          if (to === target) await mkdir(join(to, 'own'), { recursive: true })
          return nodeFileSystem.rename(from, to)
        },
      },
    })
    await expect(copying).rejects.toMatchObject({ code: 'HOTBACKUP_TARGET_NOT_BACKUP' })
    expect(await readdir(target)).toEqual(['own'])
    expect(await leftovers()).toEqual([])
  })

  it('is durable, file by file, before it has its name', async () => {
    await fill(await openPlain())
    const faulty = new FaultFileSystem(immediateFileSystem)
    await plainBackup({ folder: source, target, fileSystem: faulty })
    const { operations } = faulty
    const renamed = operations.findLastIndex(({ kind }) => kind === 'rename')
    const synced = operations
      .slice(0, renamed)
      .filter(({ kind, path }) => kind === 'sync' && path.includes('/scratch/copy/'))
      .map(({ path }) => basename(path))
    expect(synced.toSorted()).toEqual((await readdir(target)).toSorted())
    expect(operations[renamed - 1]).toMatchObject({ kind: 'syncDirectory' })
    expect(operations[renamed + 1]).toMatchObject({ kind: 'syncDirectory', path: folder })
  })

  it('is whole or absent, and the folder as it was, whichever operation fails or is the last one', async () => {
    const db = await fill(await openPlain())
    const state = await states(db)
    const before = await contents(source)
    const clean = new FaultFileSystem(immediateFileSystem)
    await plainBackup({ folder: source, target, fileSystem: clean })
    const seen = { absent: 0, whole: 0, succeeded: 0 }
    for (const fault of ['crash', 'EIO', 'ENOSPC'] as const) {
      for (let index = 1; index <= clean.operations.length; index++) {
        await rm(target, { recursive: true, force: true })
        const faulty = new FaultFileSystem(immediateFileSystem, failAt(index, fault))
        const failed = await plainBackup({ folder: source, target, fileSystem: faulty }).then(
          () => false,
          () => true,
        )
        await faulty.releaseHandles()
        const isThere = (await readdir(folder)).includes('copy')
        seen[isThere ? 'whole' : 'absent'] += 1
        if (!failed) seen.succeeded += 1
        // A dead process cannot tell; from all others a copy that was not promised is none.
        const isRight = fault === 'crash' || isThere === !failed
        const found = isThere ? await stateOf(target) : state
        expect({ isRight, found }, `${fault} at ${index}`).toEqual({ isRight: true, found: state })
        expect(await contents(source)).toEqual(before)
      }
    }
    console.log(`${clean.operations.length} operations, each with three faults: ${JSON.stringify(seen)}`)
    expect(seen.absent).toBeGreaterThan(seen.whole)
    await rm(target, { recursive: true, force: true })
    await plainBackup({ folder: source, target })
    expect(await leftovers()).toEqual([])
  })
})

describe('what is no sound LevelDB', () => {
  const ENGINE_DAMAGED = ['ENGINE_MANIFEST_DAMAGED', 'ENGINE_CURRENT_DAMAGED']
  const refusal = async (path: string): Promise<{ code?: string } | undefined> =>
    plainBackup({ folder: path, target }).then(
      () => undefined,
      (error: { code?: string }) => error,
    )

  it('is refused by name: no folder, no database, a home of Timberline, RocksDB', async () => {
    await mkdir(at('nothing'))
    const wrong = { code: 'HOTBACKUP_PLAIN_SOURCE' }
    expect(await refusal(at('nothing'))).toMatchObject(wrong)
    expect(await refusal(at('missing'))).toMatchObject(wrong)
    const home = new TimberLevel(at('home'))
    await home.open()
    closing.push(home)
    expect(await refusal(at('home'))).toMatchObject(wrong)
    await mkdir(at('rocks'))
    for (const name of ['CURRENT', 'IDENTITY', 'OPTIONS-000007'])
      await writeFile(join(at('rocks'), name), 'x')
    expect(await refusal(at('rocks'))).toMatchObject({ ...wrong, details: { file: 'IDENTITY' } })
    expect((await readdir(folder)).includes('copy')).toBe(false)
  })

  it('is refused by name: a table missing, cut or changed, a log missing before another one', async () => {
    const db = await fill(await openPlain())
    await db.close()
    const names = await readdir(source)
    const table = names.find((name) => name.endsWith('.ldb')) ?? ''
    const log = names.find((name) => name.endsWith('.log')) ?? ''
    const damages: Record<string, (path: string) => Promise<void>> = {
      missing: (path) => rm(join(path, table)),
      longer: (path) => appendFile(join(path, table), 'x'),
      changed: async (path) => {
        const bytes = await readFile(join(path, table))
        bytes.writeUInt8((bytes[20] ?? 0) ^ 1, 20)
        await writeFile(join(path, table), bytes)
      },
    }
    for (const [what, damage] of Object.entries(damages)) {
      const path = await copyOf(source, at(what))
      await damage(path)
      expect(await refusal(path), what).toMatchObject({
        code: 'HOTBACKUP_PLAIN_DAMAGED',
        details: { file: table },
      })
    }
    const path = await copyOf(source, at('holed'))
    await rename(join(path, log), join(path, '999999.log'))
    expect(await refusal(path)).toMatchObject({ code: 'HOTBACKUP_PLAIN_DAMAGED', details: { file: log } })
    expect((await readdir(folder)).includes('copy')).toBe(false)
  })

  it('is refused by name when a bit of a MANIFEST or log is turned; or it is taken for the torn end of a log, and only that is lost', async () => {
    const db = await openPlain()
    await db.put('a', '1')
    await db.compactRange('a', 'b')
    await db.put('b', '2')
    await db.put('c', '3')
    await db.close()
    const whole = await stateOf(source)
    // Opening it wrote a new log; what is damaged now is of that LevelDB's last life.
    await using again = new ClassicLevel(source)
    await again.put('d', '4')
    await again.put('e', '5')
    whole.set('d', '4').set('e', '5')
    await again.close()
    const cut = (...keys: string[]): ReadonlyMap<string, string> =>
      new Map([...whole].filter(([key]) => !keys.includes(key)))
    // A length that reaches beyond the end looks as if LevelDB were writing: the record counts as torn.
    const allowed = [cut('e'), cut('d', 'e'), 'HOTBACKUP_PLAIN_DAMAGED', ...ENGINE_DAMAGED]
    const counts = { refused: 0, cut: 0 }
    for (const name of await readdir(source)) {
      if (!/^(MANIFEST-|.*\.log$)/.test(name)) continue
      const bytes = await readFile(join(source, name))
      // A MANIFEST that is damaged at its beginning is waited for, as if it were being made.
      const places = [...bytes.keys()].filter((index) => name.endsWith('.log') || index % 4 === 0)
      for (const index of oneIn(2, places)) {
        const path = await copyOf(source, at('damaged'))
        const damaged = Buffer.from(bytes)
        damaged.writeUInt8((damaged[index] ?? 0) ^ (1 << ((index * 3) % 8)), index)
        await writeFile(join(path, name), damaged)
        const error = await refusal(path)
        const outcome = error?.code ?? (await stateOf(target))
        expect(allowed).toContainEqual(outcome)
        counts[typeof outcome === 'string' ? 'refused' : 'cut'] += 1
        await rm(target, { recursive: true, force: true })
        await rm(path, { recursive: true })
      }
    }
    console.log(`bits turned: ${JSON.stringify(counts)}`)
    expect(counts.refused).toBeGreaterThan(10 * counts.cut)
  })
})
