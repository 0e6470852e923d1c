/*
 * Fault model: a byte flipped, an object cut or removed, anywhere below the journal of an archive with whole segments, pieces and
 * two backups; sources that are damaged as well; a store that fails between removal and put, or refuses to remove. Held: a
 * verification names exactly the object; a repair puts back the same content from each kind of source, changes nothing without
 * `apply` or without a right source, and what is recovered afterwards is the state that was.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  archiveError,
  type ArchiveFinding,
  type ArchiveStore,
  createArchive,
  memoryStore,
  openArchive,
  repairArchive,
  type RepairArchiveOptions,
  type RepairStep,
  verifyArchive,
} from '@timberline/archive'
import { homeLayout } from '@timberline/engine'
import { openLog, readLog } from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lostBy, recover } from '../src/index.ts'
import { backupInto, contentOf, Environment, scratchFolder, ship } from './environment.ts'

/** One environment for all tests; each damages a copy of its archive. */
interface Scene {
  readonly env: Environment
  readonly store: ArchiveStore
  /** Another archive of the same environment, with pieces of another owner. */
  readonly other: ArchiveStore
  /** Names below the journal. */
  readonly names: readonly string[]
}

let scene: Scene
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-repair-'))
  const env = await Environment.create(join(folder, 'home'))
  const { environmentId } = env.identity
  const store = memoryStore('memory:first')
  const archive = await createArchive(store, { environmentId })
  const other = memoryStore('memory:other')
  const second = await createArchive(other, { environmentId, now: () => 1 })
  // Its owner has another epoch, so that its pieces have other names.
  await ship(env, second, { only: () => false })
  await env.writeMany(4)
  for (const label of ['b1', 'b2']) {
    const checkpoint = await env.checkpoint()
    await env.writeMany(3)
    // A backup with a whole segment in it, and the beginning of the next.
    await env.log.roll()
    await env.writeMany(2)
    for (const one of [archive, second]) await backupInto(env, one, { checkpoint, label })
    await env.log.roll()
    await env.writeMany(3)
  }
  await env.writeMany(6)
  for (const one of [archive, second]) await ship(env, one)
  await archive.putObject('file/pushed', Buffer.alloc(500, 'pushed '))
  await second.putObject('file/pushed', Buffer.alloc(500, 'pushed '))
  await env.close()
  const names = (await namesOf(store)).filter((name) => !/^(archive\.json|journal\/|page\/)/.test(name))
  scene = { env, store, other, names }
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function namesOf(store: ArchiveStore): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('')) names.push(name)
  return names
}

type Damage = 'flip' | 'cut' | 'header' | 'remove'

async function damaged(store: ArchiveStore, names: readonly string[], damage: Damage): Promise<ArchiveStore> {
  const copy = memoryStore(`copy of ${store.url}`)
  for (const name of await namesOf(store)) {
    const content = await store.get(name)
    if (!names.includes(name)) await copy.put(name, content)
    else if (damage === 'flip') await copy.put(name, flipped(content, Math.max(74, content.length >> 1)))
    else if (damage === 'cut') await copy.put(name, content.subarray(0, content.length - 5))
    else if (damage === 'header') await copy.put(name, flipped(content, 40))
  }
  return copy
}

function flipped(content: Buffer, at: number): Buffer {
  const copy = Buffer.from(content)
  copy.writeUInt8(copy.readUInt8(at) ^ 0x10, at)
  return copy
}

async function findingsIn(store: ArchiveStore): Promise<ArchiveFinding[]> {
  const findings: ArchiveFinding[] = []
  for await (const finding of verifyArchive(await openArchive(store))) findings.push(finding)
  return findings
}

async function repair(
  store: ArchiveStore,
  options: Omit<RepairArchiveOptions, 'archive' | 'from'> & { readonly from?: readonly ArchiveStore[] },
): Promise<RepairStep[]> {
  const { from: stores = [], ...rest } = options
  const from: Archive[] = []
  for (const one of stores) from.push(await openArchive(one))
  const steps: RepairStep[] = []
  for await (const step of repairArchive({ ...rest, archive: await openArchive(store), from }))
    steps.push(step)
  return steps
}

/** Content by name: two objects of one content may differ in their bytes. */
async function contentIn(store: ArchiveStore, name: string): Promise<Buffer> {
  if (name.endsWith('manifest.json')) return store.get(name)
  return (await openArchive(store)).getObject(name)
}

async function expectSame(store: ArchiveStore): Promise<void> {
  for (const name of scene.names) {
    expect((await contentIn(store, name)).equals(await contentIn(scene.store, name)), name).toBe(true)
  }
  expect(await findingsIn(store)).toEqual([])
}

const isPiece = (name: string): boolean => name.startsWith('piece/')
const isPushed = (name: string): boolean => name.startsWith('file/')

describe('a verification', () => {
  test('names exactly the object that was damaged, and the subject tells what goes with it', async () => {
    const { store, names } = scene
    const kinds = new Set<string>()
    for (const name of names) {
      for (const damage of ['flip', 'cut', 'remove'] as const) {
        if (damage === 'remove' && (isPiece(name) || isPushed(name))) continue
        const findings = await findingsIn(await damaged(store, [name], damage))
        expect(
          findings.map((finding) => finding.name),
          `${damage} ${name}`,
        ).toEqual([name])
        kinds.add(findings[0]?.subject?.type ?? '')
      }
    }
    expect([...kinds].toSorted()).toEqual(['backup-file', 'file', 'manifest', 'piece', 'segment'])
  })

  test('tells that of a piece removed from between others all behind it is unreachable', async () => {
    const { store, names, env } = scene
    const pieces = names.filter(isPiece)
    expect(pieces).toHaveLength(2)
    const copy = await damaged(store, pieces.slice(0, 1), 'remove')
    const findings = await findingsIn(copy)
    const subjects = findings.flatMap(({ subject }) => subject ?? [])
    expect(subjects).not.toEqual([])
    const { total } = lostBy(await (await openArchive(copy)).catalogue(), subjects)
    expect(total).toMatchObject([{ timeline: 1, throughLsn: env.lsn }])
  })
})

describe('a repair', () => {
  test('finds the right content in a copy of the archive, and puts it there only when told to', async () => {
    const { store, names } = scene
    for (const name of names) {
      for (const damage of ['flip', 'cut', 'header', 'remove'] as const) {
        const isNameless = damage === 'remove' && (isPiece(name) || isPushed(name))
        const isUnproven = isPushed(name) && damage === 'header'
        if (isNameless || isUnproven) continue
        const copy = await damaged(store, [name], damage)
        const before = await copy.get(name).catch(() => undefined)
        const dry = await repair(copy, { from: [store] })
        expect(dry, `${damage} ${name}`).toMatchObject([{ name, outcome: 'repairable' }])
        expect(await copy.get(name).catch(() => undefined)).toEqual(before)
        const done = await repair(copy, { from: [store], apply: true })
        expect(done, `${damage} ${name}`).toMatchObject([{ name, outcome: 'repaired' }])
        await expectSame(copy)
      }
    }
  })

  test('takes a piece from the pieces of another owner, and from the log of the home, though its header is lost', async () => {
    const { store, names, other, env } = scene
    for (const name of names.filter(isPiece)) {
      expect(await other.status(name)).toBeUndefined()
      for (const damage of ['flip', 'header'] as const) {
        for (const source of [{ from: [other] }, { home: env.home }]) {
          const copy = await damaged(store, [name], damage)
          expect(await repair(copy, { ...source, apply: true })).toMatchObject([
            { name, outcome: 'repaired' },
          ])
          await expectSame(copy)
        }
      }
    }
  })

  test('takes segments, log and tables of backups from the home', async () => {
    const { store, names, env } = scene
    // All at once, so that the archive itself has no second copy.
    const some = names.filter((one) => /^segment\/|\/log\/|\/tables\//.test(one))
    const copy = await damaged(store, some, 'flip')
    const steps = await repair(copy, { home: env.home, apply: true })
    expect(steps.filter(({ outcome }) => outcome !== 'repaired')).toEqual([])
    expect(new Set(steps.map(({ name }) => name))).toEqual(new Set(some))
    await expectSame(copy)
    for (const kind of ['log', 'checkpoint/tables']) {
      const place = join(env.home, kind)
      expect(
        steps.some(({ source }) => source?.startsWith(place) === true),
        kind,
      ).toBe(true)
    }
  })

  test('takes a segment from a backup of the same archive, and the log of a backup from a segment', async () => {
    const { store, names } = scene
    const log = names.filter((name) => name.includes('/log/'))
    const segments = names.filter((name) => name.startsWith('segment/'))
    const sources = new Map<string, string | undefined>()
    for (const name of [...log, ...segments]) {
      const copy = await damaged(store, [name], 'flip')
      const [step] = await repair(copy, { apply: true })
      sources.set(name, step?.outcome === 'repaired' ? step.source : undefined)
      if (step?.outcome === 'repaired') await expectSame(copy)
    }
    const from = (some: readonly string[], place: RegExp): number =>
      some.filter((name) => place.test(sources.get(name) ?? '')).length
    expect(from(log, / (segment|backup)\//)).toBe(log.length)
    expect(from(log, / segment\//)).toBeGreaterThan(0)
    expect(from(segments, / backup\//)).toBe(2)
  })

  test('mends everything at once, a manifest before the files that it names; the recovered state is the same', async () => {
    const { store, names, env } = scene
    const scratch = await scratchFolder()
    const lost = names.filter((name) => !isPiece(name) && !isPushed(name))
    const copy = await damaged(await damaged(store, lost, 'remove'), names.filter(isPiece), 'flip')
    const steps = await repair(copy, { from: [store], home: env.home, apply: true })
    expect(new Set(steps.map(({ outcome }) => outcome))).toEqual(new Set(['repaired']))
    expect(steps.map(({ name }) => name).toSorted()).toEqual(
      names.filter((name) => !isPushed(name)).toSorted(),
    )
    await expectSame(copy)
    const report = await recover({ from: { archive: await openArchive(copy) }, home: join(scratch, 'again') })
    expect(report.lsn).toBe(env.lsn)
    expect(await contentOf(join(scratch, 'again'))).toEqual(env.content(env.lsn))
    for (const lsn of [5, 8, 12]) {
      const home = join(scratch, `at-${lsn}`)
      await recover({
        from: { archive: await openArchive(copy) },
        home,
        target: { type: 'lsn', lsn, edge: 'through' },
      })
      expect(await contentOf(home)).toEqual(env.content(lsn))
    }
  })

  test('takes nothing from a source that is damaged too, and leaves the object as it is', async () => {
    const { store, names } = scene
    const unique = names.filter((name) => /manifest\.json$|^piece\/|^file\//.test(name))
    for (const name of unique) {
      for (const damage of ['flip', 'cut'] as const) {
        const copy = await damaged(store, [name], 'flip')
        const before = await copy.get(name)
        const steps = await repair(copy, { from: [await damaged(store, [name], damage)], apply: true })
        expect(steps).toMatchObject([{ name, outcome: 'unrepairable' }])
        expect(steps[0]?.tried).not.toEqual([])
        expect(await copy.get(name)).toEqual(before)
      }
    }
  })

  test('asks the next source when one is damaged', async () => {
    const { store, names } = scene
    const name = names.find(isPiece) ?? ''
    const copy = await damaged(store, [name], 'flip')
    const [step] = await repair(copy, { from: [await damaged(store, [name], 'cut'), store], apply: true })
    expect(step).toMatchObject({ outcome: 'repaired', source: expect.stringContaining('memory:first') })
    expect(step?.tried).toHaveLength(2)
  })

  test.each(['other records', 'the same records a moment later'])(
    'takes no log of a copied home that went on by itself with %s',
    async (way) => {
      const { store, names, env } = scene
      const copied = join(await scratchFolder(), 'copied')
      await cp(env.home, copied, { recursive: true })
      const { logDirectory } = homeLayout(copied)
      const segments = (await readdir(logDirectory)).filter((one) => /^log\.\d+$/.test(one)).toSorted()
      const newest = segments.at(-1) ?? ''
      const [{ firstLsn } = { firstLsn: 0 }] = (await env.segments()).slice(-1)
      const payloads: Buffer[] = []
      for await (const records of readLog({ directory: logDirectory, fromLsn: firstLsn })) {
        for (const { payload } of records) payloads.push(Buffer.from(payload))
      }
      // The same header, and from there on a history of its own.
      const whole = await readFile(join(logDirectory, newest))
      await writeFile(join(logDirectory, newest), whole.subarray(0, 96))
      let clock = 5_000_000
      const log = await openLog({
        directory: logDirectory,
        identity: env.identity,
        now: () => (clock += 10),
        preallocateBytes: 0,
        segmentAgeMsMax: 0,
      })
      for (const payload of payloads) {
        await log.commit(way === 'other records' ? Buffer.alloc(payload.length + 40, 'other') : payload)
      }
      await log.close()
      for (const name of names.filter(isPiece)) {
        const copy = await damaged(store, [name], 'header')
        const before = await copy.get(name)
        const steps = await repair(copy, { home: copied, apply: true })
        expect(steps).toMatchObject([{ name, outcome: 'unrepairable' }])
        expect(steps[0]?.tried).toHaveLength(1)
        expect(await copy.get(name)).toEqual(before)
      }
    },
  )

  test('puts no piece under a name that tells other records than it holds', async () => {
    const { store, names, env } = scene
    const pieces = names.filter(isPiece)
    for (const [at, name] of pieces.entries()) {
      const copy = await damaged(store, pieces.slice(at), 'remove')
      const parts = name.split('-')
      const wrong = (part: number): string =>
        parts.with(part, String(Number(parts[part]) - 1).padStart(parts[part]?.length ?? 0, '0')).join('-')
      for (const part of [4, 5, 6]) {
        const steps = await repair(copy, { home: env.home, names: [wrong(part)], apply: true })
        expect(steps, wrong(part)).toMatchObject([{ outcome: 'unrepairable' }])
      }
      expect(await repair(copy, { home: env.home, names: [name], apply: true })).toMatchObject([
        { outcome: 'repaired' },
      ])
    }
  })
})

describe('a repair that does not come to its end', () => {
  /** A store that breaks off at the first put of an object, as a process that is killed would. */
  function breaking(store: ArchiveStore, name: string): ArchiveStore {
    const put: ArchiveStore['put'] = (one, content) =>
      one === name ? Promise.reject(archiveError('ARCHIVE_STORE_FAILED', 'cut off')) : store.put(one, content)
    return { ...store, put }
  }

  test('between removal and put says so by name, and the next one ends it', async () => {
    const { store, names } = scene
    for (const name of names) {
      const copy = await damaged(store, [name], 'flip')
      const [step] = await repair(breaking(copy, name), { from: [store], apply: true })
      expect(step).toMatchObject({ name, outcome: 'removed', reason: expect.stringContaining('cut off') })
      expect(await copy.status(name)).toBeUndefined()
      if (isPushed(name)) continue
      // Nothing but its name tells of a piece.
      const again = await repair(copy, {
        from: [store],
        apply: true,
        ...(isPiece(name) ? { names: [name] } : {}),
      })
      expect(again, name).toMatchObject([{ name, outcome: 'repaired' }])
      await expectSame(copy)
    }
  })

  test('because the store keeps an object leaves that one and goes on with the others', async () => {
    const { store, names } = scene
    const [locked = '', ...rest] = names.filter((name) => /^segment\/|^piece\//.test(name))
    const copy = await damaged(store, [locked, ...rest], 'flip')
    const before = await copy.get(locked)
    const remove: ArchiveStore['delete'] = (name) =>
      name === locked
        ? Promise.reject(
            archiveError('ARCHIVE_STORE_FAILED', 'the store refused', { details: { status: 403 } }),
          )
        : copy.delete(name)
    const steps = await repair({ ...copy, delete: remove }, { from: [store], apply: true })
    for (const step of steps) {
      const reason = expect.stringContaining('ARCHIVE_REPAIR_REFUSED') as string
      expect(step).toMatchObject(
        step.name === locked ? { outcome: 'refused', reason } : { outcome: 'repaired' },
      )
    }
    expect(steps).toHaveLength(1 + rest.length)
    expect(await copy.get(locked)).toEqual(before)
  })
})

describe('a repair refuses', () => {
  test('a journal that is damaged: each archive has its own', async () => {
    const { store } = scene
    const copy = await damaged(store, ['journal/0000000000000003.json'], 'flip')
    await expect(repair(copy, { from: [store], apply: true })).rejects.toMatchObject({
      code: 'ARCHIVE_JOURNAL_DAMAGED',
    })
  })

  test('an archive of another environment as a source', async () => {
    const foreign = memoryStore()
    await createArchive(foreign, { environmentId: 'f0'.repeat(16) })
    await expect(repair(scene.store, { from: [foreign] })).rejects.toMatchObject({
      code: 'ARCHIVE_FOREIGN_ENVIRONMENT',
    })
  })

  test('to touch what is right by now, what nothing names, and a gap', async () => {
    const { store, names } = scene
    const name = names.find((one) => one.startsWith('segment/')) ?? ''
    const none =
      'piece/00000001/0000000099-000000000000-000000000100-000001-0000000000000001-0000000000000001-0000000000000001'
    expect(await repair(store, { names: [name, 'segment/none'], apply: true })).toMatchObject([
      { name, outcome: 'unneeded' },
      { name: 'segment/none', outcome: 'unneeded' },
    ])
    const invented = await repair(store, { names: [none], apply: true })
    expect(invented).toMatchObject([{ outcome: 'unrepairable' }])
    const copy = await damaged(store, [name], 'flip')
    // Somebody else repairs between the verification and the removal.
    const racing: ArchiveStore = {
      ...copy,
      list(prefix, options) {
        if (prefix === 'piece/' && isVerified) return raced()
        return copy.list(prefix, options)
      },
    }
    let isVerified = false
    async function* raced(): AsyncGenerator<{ name: string; bytes: number }> {
      isVerified = false
      await copy.delete(name)
      await copy.put(name, await store.get(name))
      yield* copy.list('piece/')
    }
    const steps: RepairStep[] = []
    const onProgress = (): void => void (isVerified = true)
    for await (const step of repairArchive({
      archive: await openArchive(racing),
      from: [await openArchive(store)],
      apply: true,
      onProgress,
    }))
      steps.push(step)
    expect(steps).toMatchObject([{ name, outcome: 'unneeded' }])
    const holed = await damaged(store, names.filter(isPiece).slice(0, 1), 'remove')
    for (const step of await repair(holed, { from: [store], apply: true })) {
      expect(step).toMatchObject({ outcome: 'unrepairable', reason: expect.stringContaining('started anew') })
    }
  })
})
