import { setTimeout as pause } from 'node:timers/promises'
import {
  readConfirmations,
  readWanted,
  ReachedWriter,
  TimberlineError,
  writeConfirmation,
} from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'
import { afterEach, describe, expect, test } from 'vitest'
import type { ArchivedOptions } from '../src/commit/archived-options.ts'
import type { EngineEvent } from '../src/session/open-options.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import type { TimberMemoryLevelOptions } from '../src/timber-memory-level.ts'

const HOME = '/home'
const LOG = '/home/log'
/** Longer than any test: whoever waits for it hangs. */
const NEVER_MS = 600_000

const opened = new Set<TimberMemoryLevel>()
afterEach(async () => {
  for (const db of opened) await db.close()
  opened.clear()
})

interface Scene {
  readonly disk: CrashFileSystem
  readonly db: TimberMemoryLevel
  readonly events: EngineEvent[]
  /** What a shipper does once the archive has read back everything through a record. */
  readonly confirm: (name: string, lsn: number, timeline?: number) => Promise<void>
}

async function openScene(
  archived: Partial<ArchivedOptions> = {},
  { disk = new CrashFileSystem(), ...options }: { disk?: CrashFileSystem } & Options = {},
): Promise<Scene> {
  const events: EngineEvent[] = []
  const db = new TimberMemoryLevel({
    log: { home: HOME, fileSystem: disk },
    durability: 'archived',
    archived: { archives: ['vault'], timeoutMs: NEVER_MS, ...archived },
    onEvent: (event) => events.push(event),
    ...options,
  })
  opened.add(db)
  await db.open()
  const confirm = (name: string, lsn: number, timeline = 1): Promise<void> =>
    writeConfirmation(LOG, name, { segmentNumber: 0, lsn, timeline }, disk)
  return { disk, db, events, confirm }
}

type Options = Partial<TimberMemoryLevelOptions<string, string>>

interface Watched {
  readonly outcome: Promise<Error | undefined>
  isSettled: boolean
}

function watched(work: Promise<unknown>): Watched {
  const outcome = work.then(
    () => undefined,
    (error: Error) => error,
  )
  const watch: Watched = { outcome, isSettled: false }
  void outcome.then(() => (watch.isSettled = true))
  return watch
}

/** Resolves once the database has read a confirmation through `lsn`, by a commit that waits for no more than that. */
async function heard(scene: Scene, name: string, lsn: number): Promise<void> {
  const before = watched(scene.db.put('heard', String(lsn)))
  await scene.confirm(name, lsn)
  expect(await before.outcome).toBeUndefined()
}

function codeOf(error: unknown): string | undefined {
  return error instanceof TimberlineError ? error.code : undefined
}

describe('a commit with durability archived', () => {
  test('is durable and readable at once, and resolves only with the confirmation that reaches it', async () => {
    const scene = await openScene()
    const first = watched(scene.db.put('a', '1'))
    const second = watched(scene.db.put('b', '2'))
    while ((await scene.db.get('b')) === undefined) await pause(1)
    await scene.confirm('vault', 1)
    expect(await first.outcome).toBeUndefined()
    expect(second.isSettled).toBe(false)
    await scene.confirm('vault', 2)
    expect(await second.outcome).toBeUndefined()
  })

  test('waits for k of the named archives, whichever they are, and for none that is not named', async () => {
    const scene = await openScene({ archives: ['a', 'b', 'c'], atLeast: 2 })
    const write = watched(scene.db.put('k', 'v'))
    await scene.confirm('other', 9)
    await scene.confirm('c', 1)
    // One that needs no archive goes through meanwhile: time has passed, and looks were made.
    await pause(20)
    expect(write.isSettled).toBe(false)
    await scene.confirm('a', 1)
    expect(await write.outcome).toBeUndefined()
  })

  test('takes the quick word of an archive, and a confirmation from one that gives none', async () => {
    const scene = await openScene({ archives: ['a', 'b'], atLeast: 2 })
    const quick = new ReachedWriter({ directory: LOG, name: 'a' }, scene.disk)
    const writes = ['k', 'l', 'm'].map((key) => watched(scene.db.put(key, 'v')))
    await scene.confirm('b', 2)
    await quick.tell({ lsn: 3, timeline: 2 })
    await pause(20)
    expect(writes.map(({ isSettled }) => isSettled)).toEqual([false, false, false])
    await quick.tell({ lsn: 3, timeline: 1 })
    expect(await writes[0]?.outcome).toBeUndefined()
    expect(await writes[1]?.outcome).toBeUndefined()
    expect(writes[2]?.isSettled).toBe(false)
    await scene.confirm('b', 3)
    expect(await writes[2]?.outcome).toBeUndefined()
    await quick.close()
  })

  test('forgets at opening what an archive said before, and leaves no word behind', async () => {
    const disk = new CrashFileSystem()
    const before = await openScene({}, { disk })
    const quick = new ReachedWriter({ directory: LOG, name: 'vault' }, disk)
    await quick.tell({ lsn: 9, timeline: 1 })
    await before.db.close()
    await quick.close()
    expect(await quick.tell({ lsn: 9, timeline: 1 })).toBe(false)
    const scene = await openScene({}, { disk })
    const write = watched(scene.db.put('k', 'v'))
    await pause(20)
    expect(write.isSettled).toBe(false)
    await scene.confirm('vault', 1)
    expect(await write.outcome).toBeUndefined()
  })

  test('does not take the word that an archive gave about another timeline', async () => {
    const scene = await openScene()
    const write = watched(scene.db.put('k', 'v'))
    await scene.confirm('vault', 5, 2)
    await pause(20)
    expect(write.isSettled).toBe(false)
    await scene.confirm('vault', 1)
    expect(await write.outcome).toBeUndefined()
  })

  test('does not take a word that was ahead of the log when it was opened: it is about other records', async () => {
    const disk = new CrashFileSystem()
    const before = await openScene({}, { disk })
    await before.confirm('vault', 3)
    await before.db.close()
    const scene = await openScene({}, { disk })
    const writes = ['a', 'b', 'c', 'd'].map((key) => watched(scene.db.put(key, 'v')))
    await pause(20)
    expect(writes.map(({ isSettled }) => isSettled)).toEqual([false, false, false, false])
    await scene.confirm('vault', 4)
    for (const write of writes) expect(await write.outcome).toBeUndefined()
  })

  test.each([
    ['batch', (db: TimberMemoryLevel) => db.batch([{ type: 'put', key: 'a', value: '1' }])],
    ['chained batch', (db: TimberMemoryLevel) => db.batch().put('a', '1').write()],
    ['del', (db: TimberMemoryLevel) => db.del('a')],
    ['transaction', (db: TimberMemoryLevel) => db.transaction((tx) => tx.put('a', '1'))],
    ['mark', (db: TimberMemoryLevel) => db.mark('here')],
    ['sublevel', (db: TimberMemoryLevel) => db.sublevel('s').put('a', '1')],
  ])('may be a %s', async (_name, write) => {
    const scene = await openScene()
    const done = watched(write(scene.db))
    while ((await readWanted({ directory: LOG, timeline: 1 }, scene.disk)) !== 1) await pause(1)
    expect(done.isSettled).toBe(false)
    await scene.confirm('vault', 1)
    expect(await done.outcome).toBeUndefined()
  })

  test('may be a clear, which waits once at its end', async () => {
    const scene = await openScene()
    await scene.db.batch(
      [
        { type: 'put', key: 'a', value: '1' },
        { type: 'put', key: 'b', value: '2' },
      ],
      { durability: 'local' },
    )
    const done = watched(scene.db.clear())
    while ((await readWanted({ directory: LOG, timeline: 1 }, scene.disk)) !== 2) await pause(1)
    expect(await scene.db.keys().all()).toEqual([])
    expect(done.isSettled).toBe(false)
    await scene.confirm('vault', 2)
    expect(await done.outcome).toBeUndefined()
  })

  test('is what one write asks for, or what a database does for all that say nothing', async () => {
    const scene = await openScene({}, { durability: 'local' })
    await scene.db.put('a', '1')
    const asked = watched(scene.db.put('b', '2', { durability: 'archived' }))
    await scene.db.put('c', '3')
    expect(asked.isSettled).toBe(false)
    await scene.confirm('vault', 2)
    expect(await asked.outcome).toBeUndefined()
    const forAll = await openScene()
    await forAll.db.put('a', '1', { durability: 'local' })
    await forAll.db.put('b', '2', { sync: false })
  })

  test('cannot be had without sync or without archives, and then nothing is written', async () => {
    const scene = await openScene()
    const unsynced = scene.db.put('a', '1', { durability: 'archived', sync: false })
    await expect(unsynced).rejects.toMatchObject({ code: 'ENGINE_OPTION_INVALID' })
    const wrong = scene.db.put('a', '1', { durability: 'everywhere' as never })
    await expect(wrong).rejects.toMatchObject({ code: 'ENGINE_OPTION_INVALID' })
    expect(await scene.db.get('a')).toBeUndefined()
    const plain = new TimberMemoryLevel()
    opened.add(plain)
    const nowhere = plain.put('a', '1', { durability: 'archived' })
    await expect(nowhere).rejects.toMatchObject({ code: 'ENGINE_OPTION_INVALID' })
    expect(await plain.get('a')).toBeUndefined()
  })

  test.each<[string, Options]>([
    ['no archive', { durability: 'archived', archived: undefined }],
    ['an empty list', { archived: { archives: [] } }],
    ['a name twice', { archived: { archives: ['a', 'a'] } }],
    ['a malformed name', { archived: { archives: ['a/b'] } }],
    ['none of them', { archived: { archives: ['a'], atLeast: 0 } }],
    ['more than there are', { archived: { archives: ['a'], atLeast: 2 } }],
    ['no time', { archived: { archives: ['a'], timeoutMs: 0 } }],
    ['an unknown policy', { archived: { archives: ['a'], whenLate: 'hope' as never } }],
    ['an unknown durability', { durability: 'everywhere' as never }],
    ['no log', { log: undefined }],
  ])('is refused at open with %s', async (_name, options) => {
    const opening = openScene({}, options)
    const error = await opening.then(
      () => undefined,
      (cause: Error) => cause.cause,
    )
    expect(codeOf(error)).toBe('ENGINE_OPTION_INVALID')
  })
})

describe('while archives do not answer', () => {
  test('fail: a commit rejects in time, says that it stands, and does stand', async () => {
    const scene = await openScene({ timeoutMs: 20 })
    const error = await watched(scene.db.put('a', '1')).outcome
    expect(codeOf(error)).toBe('ENGINE_NOT_ARCHIVED')
    expect(error).toMatchObject({ details: { reason: 'late', lsn: 1, archivedLsn: 0 } })
    expect(await scene.db.get('a')).toBe('1')
    expect(scene.events).toMatchObject([{ type: 'archive.late', lsn: 1, whenLate: 'fail' }])
    await scene.db.close()
    const again = await openScene({}, { disk: scene.disk.crash(1) })
    expect(await again.db.get('a')).toBe('1')
  })

  test('fail: a commit that the archives hold resolves, though one before it was late', async () => {
    const scene = await openScene({ timeoutMs: 20 })
    expect(codeOf(await watched(scene.db.put('a', '1')).outcome)).toBe('ENGINE_NOT_ARCHIVED')
    await scene.confirm('vault', 2)
    while (scene.events.length < 2) await pause(1)
    expect(await watched(scene.db.put('b', '2')).outcome).toBeUndefined()
    expect(scene.events.map(({ type }) => type)).toEqual(['archive.late', 'archive.caughtUp'])
  })

  test('accept: the late commit resolves and is counted, later ones at once, until the archives caught up', async () => {
    const scene = await openScene({ timeoutMs: 20, whenLate: 'accept' })
    await scene.db.put('a', '1')
    expect(scene.events).toMatchObject([{ type: 'archive.late', lsn: 1, whenLate: 'accept' }])
    // None of them waits: each would tell anew that it was late, had the lateness not lasted.
    for (let index = 0; index < 20; index++) await scene.db.put('b', String(index))
    expect(scene.events).toHaveLength(1)
    await scene.confirm('vault', 1)
    while (scene.events.length < 2) await pause(1)
    expect(scene.events[1]).toEqual({ type: 'archive.caughtUp', archivedLsn: 1 })
  })

  test('accept: once they caught up, commits wait again', async () => {
    const scene = await openScene({ timeoutMs: 20, whenLate: 'accept' })
    await scene.db.put('a', '1')
    await scene.confirm('vault', 1)
    while (scene.events.length < 2) await pause(1)
    await scene.db.put('b', '2')
    expect(scene.events.slice(2)).toMatchObject([{ type: 'archive.late', lsn: 2 }])
  })

  test('a confirmation that cannot be read is named as the cause', async () => {
    const disk = new CrashFileSystem()
    const scene = await openScene({}, { disk })
    const file = await disk.open(`${LOG}/confirmed.vault.json`, 'write')
    await file.write(Buffer.from('no word'), 0)
    await file.close()
    let looks = 0
    const plainOpen = disk.open.bind(disk)
    disk.open = (path, mode) => {
      if (path.endsWith('confirmed.vault.json')) looks += 1
      return plainOpen(path, mode)
    }
    const write = watched(scene.db.put('a', '1'))
    // The second look begins after the first has failed.
    while (looks < 2) await scene.confirm('other', looks)
    await scene.db.close()
    const error = await write.outcome
    expect(codeOf(error)).toBe('ENGINE_NOT_ARCHIVED')
    expect(codeOf(error?.cause)).toBe('WAL_CONFIRMATION_DAMAGED')
  })
})

describe('closing', () => {
  test('ends every wait by the policy, of commits under way too, and hangs on none', async () => {
    const scene = await openScene()
    const early = watched(scene.db.put('a', '1'))
    while ((await readWanted({ directory: LOG, timeline: 1 }, scene.disk)) !== 1) await pause(1)
    const under = watched(scene.db.put('b', '2'))
    const cleared = watched(scene.db.clear())
    await scene.db.close()
    for (const write of [early, under, cleared]) {
      const error = await write.outcome
      expect(codeOf(error)).toBe('ENGINE_NOT_ARCHIVED')
      expect(error).toMatchObject({ details: { reason: 'closing' } })
    }
    const accepting = await openScene({ whenLate: 'accept' })
    const write = watched(accepting.db.put('a', '1'))
    while ((await readWanted({ directory: LOG, timeline: 1 }, accepting.disk)) !== 1) await pause(1)
    await accepting.db.close()
    expect(await write.outcome).toBeUndefined()
  })

  test('is not held up by an archive that is late', async () => {
    const scene = await openScene({ timeoutMs: 10, whenLate: 'accept' })
    await scene.db.put('a', '1')
    await scene.db.close()
    expect(scene.db.status).toBe('closed')
  })
})

describe('the folder of the log', () => {
  test('says that somebody may wait, and for which record, until the database is closed', async () => {
    const scene = await openScene()
    expect(await readWanted({ directory: LOG, timeline: 1 }, scene.disk)).toBe(0)
    const write = watched(scene.db.batch([{ type: 'put', key: 'a', value: '1' }]))
    while ((await readWanted({ directory: LOG, timeline: 1 }, scene.disk)) !== 1) await pause(1)
    await scene.confirm('vault', 1)
    await write.outcome
    await scene.db.close()
    expect(await readWanted({ directory: LOG, timeline: 1 }, scene.disk)).toBeUndefined()
  })

  test('keeps the log for a named archive before its first shipper ran', async () => {
    const scene = await openScene({ archives: ['vault', 'known'] })
    expect(await readConfirmations(LOG, scene.disk)).toMatchObject([
      { name: 'known', segmentNumber: 0, lsn: 0, timeline: 1 },
      { name: 'vault', segmentNumber: 0, lsn: 0, timeline: 1 },
    ])
    await scene.confirm('known', 7)
    await scene.db.close()
    const again = await openScene({ archives: ['vault', 'known'] }, { disk: scene.disk })
    expect(await readConfirmations(LOG, again.disk)).toMatchObject([{ lsn: 7 }, { lsn: 0 }])
  })

  test('is not watched while nothing waits', async () => {
    const disk = new CrashFileSystem()
    let watches = 0
    const plainWatch = disk.watch.bind(disk)
    disk.watch = (path, onChange) => {
      watches += 1
      const stop = plainWatch(path, onChange)
      return () => {
        watches -= 1
        stop()
      }
    }
    const scene = await openScene({}, { disk })
    await scene.db.put('local', 'x', { durability: 'local' })
    expect(watches).toBe(0)
    await heard(scene, 'vault', 2)
    while (watches > 0) await pause(1)
  })
})
