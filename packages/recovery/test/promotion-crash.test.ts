/*
 * Fault model: the promoting process dies before any operation on a file, before or after any request to the store; nothing of it
 * happens afterwards. Before it is run again, the old primary comes back and ships on, if the archive lets it. Held in every case:
 *
 * - the same call ends, in a home that has everything that was ever told to be archived;
 * - there is one successor, and from its event on the old primary is refused;
 * - until the label is gone, the folder does not open as a database.
 */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { type ArchiveStore, memoryStore, openArchive } from '@timberline/archive'
import { TimberLevel } from '@timberline/engine'
import { type FileSystem } from '@timberline/wal'
import { crashAt, FaultFileSystem, isMutation, immediateFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { promote } from '../src/index.ts'
import { contentOf, exists, ship } from './environment.ts'
import { followed, type Scene, shipperOf } from './standby-scene.ts'

const AT_ONCE = 4

/** A store whose client dies at one request: the ones after it never leave. */
class DyingStore {
  readonly store: ArchiveStore
  requests = 0
  readonly #diesAt: number
  readonly #isSent: boolean

  constructor(inner: ArchiveStore, dies: { readonly at: number; readonly isSent: boolean }) {
    this.#diesAt = dies.at
    this.#isSent = dies.isSent
    const step = async <Result>(request: () => Promise<Result>): Promise<Result> => {
      const index = this.requests++
      if (index === this.#diesAt && this.#isSent) await request()
      if (index >= this.#diesAt) throw Object.assign(new Error('the process is dead'), { code: 'ECONNRESET' })
      return request()
    }
    const counted = (): void => {
      if (this.requests++ >= this.#diesAt)
        throw Object.assign(new Error('the process is dead'), { code: 'ECONNRESET' })
    }
    this.store = {
      ...inner,
      put: (name, content) => step(() => inner.put(name, content)),
      get: (name, options) => step(() => inner.get(name, options)),
      status: (name) => step(() => inner.status(name)),
      delete: (name) => step(() => inner.delete(name)),
      getStream: (name) => {
        counted()
        return inner.getStream(name)
      },
      list: (prefix, options) => {
        counted()
        return inner.list(prefix, options)
      },
    }
  }
}

async function copyOf(store: ArchiveStore): Promise<ArchiveStore> {
  const copy = memoryStore()
  for await (const { name } of store.list('')) await copy.put(name, await store.get(name))
  return copy
}

/** Records 11 to 14 are archived when the standby, which has 10, is promoted. */
async function situation(): Promise<Scene> {
  const made = await followed()
  await made.env.writeMany(2)
  await made.env.log.roll()
  await made.env.writeMany(2)
  await ship(made.env, made.archive)
  return made
}

interface Dying {
  readonly fileSystem?: FileSystem
  readonly wrap?: (store: ArchiveStore) => ArchiveStore
}

/** Lets a promotion of a copy of all die, and holds what is promised. */
async function dieAndHold(
  made: Scene,
  name: string,
  { fileSystem, wrap = (same) => same }: Dying,
): Promise<void> {
  const { env, folder } = made
  const home = join(folder, name)
  await cp(made.home, home, { recursive: true })
  const store = await copyOf(made.store)
  const promoting = (async () =>
    promote({
      archive: await openArchive(wrap(store)),
      home,
      ...(fileSystem === undefined ? {} : { fileSystem }),
    }))()
  await expect(promoting, name).rejects.toBeInstanceOf(Error)
  const label = join(home, 'standby.json')
  const archive = await openArchive(store)
  const opened = (await exists(label))
    ? await outcomeOf(new TimberLevel(home).open())
    : 'LEVEL_DATABASE_NOT_OPEN'
  expect(opened, name).toBe('LEVEL_DATABASE_NOT_OPEN')
  const isEnded = (await archive.catalogue()).timelines.some(({ ended }) => ended !== undefined)
  const told = isEnded ? 14 : env.lsn
  const stop = new AbortController()
  const old = shipperOf(env, archive, stop.signal)
  const shipped = await outcomeOf(isEnded ? old.done : old.flush())
  expect(shipped, name).toBe(isEnded ? 'ARCHIVE_TIMELINE_ENDED' : 'resolved')
  const { parent, timeline } = await promote({ archive: await openArchive(store), home })
  expect({ parent, timeline }, name).toEqual({ parent: { timeline: 1, forkLsn: told }, timeline: 2 })
  stop.abort()
  await old.done.catch(() => undefined)
  const { timelines } = await archive.catalogue()
  expect(timelines, name).toMatchObject([
    { ended: { lsn: told, successor: 2 } },
    { timeline: 2, forkLsn: told },
  ])
  expect(await contentOf(home), name).toEqual(env.content(told))
  expect(await exists(label), name).toBe(false)
}

/** The code that work was refused with. */
function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )
}

/** Most of each case is waiting, so several go side by side. */
async function eachOf(cases: readonly (() => Promise<void>)[]): Promise<void> {
  const rest = [...cases]
  const lane = async (): Promise<void> => {
    for (let one = rest.shift(); one !== undefined; one = rest.shift()) await one()
  }
  // The others end first: the folder goes with the test.
  const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane))
  for (const one of lanes) if (one.status === 'rejected') throw one.reason
}

test('a promotion can die before any operation on a file and be run again', async () => {
  const made = await situation()
  const counting = new FaultFileSystem(immediateFileSystem)
  const clean = join(made.folder, 'clean')
  await cp(made.home, clean, { recursive: true })
  await promote({ archive: await openArchive(await copyOf(made.store)), home: clean, fileSystem: counting })
  const moments = counting.operations.filter((operation) => isMutation(operation)).map(({ index }) => index)
  // The old primary has written on: what it may still ship is told in some cases and not in others.
  await made.env.writeMany(1)
  await eachOf(
    oneIn(3, moments).map((index) => async () => {
      const faulty = new FaultFileSystem(immediateFileSystem, crashAt(index))
      await dieAndHold(made, `file-${index}`, { fileSystem: faulty })
      await faulty.releaseHandles()
      expect(faulty.injected).toHaveLength(1)
    }),
  )
  expect(moments.length).toBeGreaterThan(30)
}, 240_000)

test('a promotion can die before and after any request to the store and be run again', async () => {
  const made = await situation()
  const clean = join(made.folder, 'clean')
  await cp(made.home, clean, { recursive: true })
  const counting = new DyingStore(await copyOf(made.store), { at: Infinity, isSent: false })
  await promote({ archive: await openArchive(counting.store), home: clean })
  await made.env.writeMany(1)
  const moments = Array.from({ length: counting.requests }, (_, at) => at)
  await eachOf(
    oneIn(2, moments).flatMap((at) =>
      [false, true].map((isSent) => async () => {
        await dieAndHold(made, `request-${at}-${isSent}`, {
          wrap: (store) => new DyingStore(store, { at, isSent }).store,
        })
      }),
    ),
  )
  expect(moments.length).toBeGreaterThan(15)
}, 240_000)
