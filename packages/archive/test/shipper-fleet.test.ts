/**
 * Several archives of one log. A dead one is a target whose opening is refused until the test lets it; a slow one, a store whose puts
 * wait for a gate. Nothing here waits for a clock: gates open when the test says so, and each step waits for a state.
 */
import {
  type Confirmation,
  type FileSystem,
  type Log,
  readConfirmations,
  TimberlineError,
} from '@timberline/wal'
import { FaultFileSystem, failOn } from '@timberline/wal/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type Archive,
  archiveError,
  type ArchiveStore,
  directoryStore,
  type FleetMember,
  type FleetTarget,
  memoryStore,
  openArchive,
  runShippers,
  type RunShippersOptions,
  type ShipperEvent,
  type ShipperFleet,
  verifyArchive,
} from '../src/index.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  LOG,
  openTestLog,
  ship,
} from './support/archive-scene.ts'

const away = (): TimberlineError => archiveError('ARCHIVE_STORE_FAILED', 'the store is away')

/** A promise that the test fulfils. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** A store whose puts wait. */
function slowStore(until: Promise<void>): ArchiveStore {
  const store = memoryStore()
  return {
    ...store,
    put: async (name, content) => {
      // The archive itself is made at once: what is slow is shipping.
      if (name.startsWith('segment') || name.startsWith('piece')) await until
      return store.put(name, content)
    },
  }
}

/** A file system whose renames wait for what is asked to be waited for. */
function renaming(fileSystem: CrashFileSystem, before: (to: string) => Promise<void>): FileSystem {
  return new Proxy(fileSystem, {
    get: (disk, key) => {
      if (key === 'rename') {
        return async (from: string, to: string) => {
          await before(to)
          return disk.rename(from, to)
        }
      }
      const value: unknown = Reflect.get(disk, key)
      return typeof value === 'function' ? value.bind(disk) : value
    },
  })
}

class Scene {
  readonly disk = new CrashFileSystem()
  readonly stop = new AbortController()
  readonly log: Log
  readonly archives = new Map<string, Archive>()
  readonly events = new Map<string, ShipperEvent[]>()
  fleet: ShipperFleet | undefined

  private constructor(disk: CrashFileSystem, log: Log) {
    this.disk = disk
    this.log = log
  }

  static async begin(): Promise<Scene> {
    const disk = new CrashFileSystem()
    const scene = new Scene(disk, await openTestLog(disk))
    onTestFinished(async () => {
      scene.stop.abort()
      await scene.fleet?.done
      await scene.log.close()
    })
    return scene
  }

  /** A target that opens, unless told otherwise. */
  target(
    name: string,
    {
      store = memoryStore(),
      before = async () => undefined,
    }: { store?: ArchiveStore; before?: () => Promise<void> } = {},
  ): FleetTarget {
    return {
      name,
      open: async () => {
        await before()
        const archive = await archiveOn(store)
        this.archives.set(name, archive)
        return archive
      },
    }
  }

  run(targets: readonly FleetTarget[], options: Partial<RunShippersOptions> = {}): ShipperFleet {
    this.fleet = runShippers({
      targets,
      logDirectory: LOG,
      identity: IDENTITY,
      intervalMs: 20,
      retryMs: { first: 5, max: 20 },
      fileSystem: this.disk,
      signal: this.stop.signal,
      ...options,
    })
    for (const member of this.fleet.members) {
      const told: ShipperEvent[] = []
      this.events.set(member.name, told)
      member.events$.subscribe((event) => told.push(event))
    }
    return this.fleet
  }

  member(name: string): FleetMember {
    const member = this.fleet?.members.find((one) => one.name === name)
    if (member === undefined) throw new Error(`no member is called ${name}`)
    return member
  }

  async confirmed(): Promise<Readonly<Record<string, Pick<Confirmation, 'segmentNumber' | 'lsn'>>>> {
    const all = await readConfirmations(LOG, this.disk)
    return Object.fromEntries(all.map(({ name, segmentNumber, lsn }) => [name, { segmentNumber, lsn }]))
  }

  async recordsOf(name: string): Promise<number> {
    const archive = this.archives.get(name)
    return archive === undefined ? 0 : (await archivedRecords(archive)).length
  }

  /** Two sealed segments and a beginning of the third: 25 records. */
  async write(): Promise<void> {
    for (const count of [10, 10]) {
      await appendRecords(this.log, count)
      await this.log.roll()
    }
    await appendRecords(this.log, 5)
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 5000) throw new Error('it did not come to that')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

describe('a fleet', () => {
  it('of a dead, a slow and a healthy archive: the healthy one reaches the end, and the log waits for the others', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const [slow, dead] = [gate(), gate()]
    let isDead = true
    const fleet = scene.run([
      scene.target('dead', {
        before: async () => {
          if (isDead) throw away()
          dead.open()
        },
      }),
      scene.target('slow', { store: slowStore(slow.opened) }),
      scene.target('healthy'),
    ])
    expect(await scene.member('healthy').flushWhole()).toBe(25)
    expect(await scene.recordsOf('healthy')).toBe(25)
    await until(() => scene.member('dead').status().durableLsn === 25)
    await until(() => scene.member('slow').status().durableLsn === 25)
    expect(scene.member('dead').status()).toMatchObject({
      shippedLsn: 0,
      lagTransactions: 25,
      failing: [{ work: 'open', error: { code: 'ARCHIVE_STORE_FAILED' } }],
    })
    expect(await scene.confirmed()).toMatchObject({
      dead: { segmentNumber: 0, lsn: 0 },
      slow: { segmentNumber: 0, lsn: 0 },
      healthy: { segmentNumber: 2, lsn: 25 },
    })
    isDead = false
    slow.open()
    for (const name of ['dead', 'slow']) expect(await scene.member(name).flushWhole()).toBe(25)
    for (const { name } of fleet.members) expect(await scene.recordsOf(name)).toBe(25)
    await until(async () =>
      Object.values(await scene.confirmed()).every(({ segmentNumber }) => segmentNumber === 2),
    )
  })

  it('gives each folder bundles of its own, and a disk that refuses one part costs that archive a retry', async () => {
    const scene = await Scene.begin()
    const near = new FaultFileSystem(new CrashFileSystem())
    const faulty = new FaultFileSystem(new CrashFileSystem())
    scene.run([
      scene.target('near', { store: directoryStore('/near', near) }),
      scene.target('far', { store: directoryStore('/far', faulty) }),
    ])
    for (let round = 1; round <= 6; round++) {
      // One part is half written, the next time none can be, whatever the other archive does meanwhile.
      if (round === 2) faulty.inject(failOn({ kind: ['write', 'writeNow'], path: /\.bundle$/ }, 'short'))
      if (round === 4) faulty.inject(failOn({ kind: ['sync', 'syncNow'], path: /\.bundle$/ }, 'EIO'))
      await appendRecords(scene.log, 5)
      for (const name of ['near', 'far']) {
        await until(() => scene.member(name).status().shippedLsn === round * 5)
        expect(await scene.recordsOf(name)).toBe(round * 5)
      }
    }
    expect(faulty.injected.map(({ fault }) => fault)).toEqual(['short', 'EIO'])
    const told = (name: string): number =>
      scene.events.get(name)?.filter(({ type }) => type === 'ship.retried').length ?? 0
    expect([told('near'), told('far') > 0]).toEqual([0, true])
    // What is left of the refused parts is in no bundle that counts, and in no other archive. Of all that were begun: some may be merged by now.
    const begun = ({ operations }: FaultFileSystem): number =>
      new Set(
        operations
          .flatMap(({ kind, path }) => (kind === 'writeNow' || kind === 'write' ? [path] : []))
          .filter((path) => path.endsWith('.bundle')),
      ).size
    expect(begun(near)).toBeGreaterThan(0)
    expect(begun(faulty)).toBeGreaterThan(begun(near))
    for (const archive of scene.archives.values()) {
      for await (const finding of verifyArchive(archive)) expect.unreachable(finding.code)
    }
  })

  it('holds the log for every archive before it opens one', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const held = gate()
    const opened: string[] = []
    const note = (name: string) => ({ before: async () => void opened.push(name) })
    // The hold for b takes its time.
    const fileSystem = renaming(scene.disk, async (to) => {
      if (to.endsWith('confirmed.b.json')) await held.opened
    })
    scene.run([scene.target('a', note('a')), scene.target('b', note('b'))], { fileSystem })
    await until(async () => Object.keys(await scene.confirmed()).includes('a'))
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    const early = [...opened]
    held.open()
    expect(early).toEqual([])
    for (const name of ['a', 'b']) await scene.member(name).flushWhole()
    expect(opened.toSorted()).toEqual(['a', 'b'])
  })

  it('gives up one that is wrong, and keeps no log for what was never meant', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const foreign = memoryStore()
    await archiveOn(foreign, 'f0'.repeat(16))
    scene.run([
      scene.target('not a name'),
      { name: 'foreign', open: () => openArchive(foreign) },
      {
        name: 'address',
        open: async () => {
          throw archiveError('ARCHIVE_URL_UNKNOWN', 'no store is known for this address')
        },
      },
      {
        name: 'damaged',
        open: async () => {
          throw archiveError('ARCHIVE_JOURNAL_DAMAGED', 'an event is damaged')
        },
      },
      scene.target('healthy'),
    ])
    const codeOf = (name: string): Promise<unknown> =>
      scene
        .member(name)
        .done.catch((error: unknown) => (error instanceof TimberlineError ? error.code : error))
    expect(await codeOf('not a name')).toBe('WAL_INVALID')
    expect(await codeOf('foreign')).toBe('ARCHIVE_FOREIGN_ENVIRONMENT')
    expect(await codeOf('address')).toBe('ARCHIVE_URL_UNKNOWN')
    expect(await codeOf('damaged')).toBe('ARCHIVE_JOURNAL_DAMAGED')
    expect(scene.member('address').status()).toMatchObject({
      state: 'failed',
      error: { code: 'ARCHIVE_URL_UNKNOWN' },
    })
    expect(scene.events.get('address')?.map(({ type }) => type)).toEqual(['ship.ended'])
    expect(await scene.member('healthy').flushWhole()).toBe(25)
    // A damaged archive may be mended, and wants the log then.
    expect(Object.keys(await scene.confirmed()).toSorted()).toEqual(['damaged', 'healthy'])
    await expect(scene.member('address').flushWhole()).rejects.toMatchObject({ code: 'ARCHIVE_URL_UNKNOWN' })
  })

  it('takes back no hold that an earlier run placed', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const first = scene.run([scene.target('a')])
    await scene.member('a').flushWhole()
    scene.member('a').stop()
    await first.done
    const again = scene.run([
      {
        name: 'a',
        open: async () => {
          throw archiveError('ARCHIVE_URL_UNKNOWN', 'mistyped this time')
        },
      },
    ])
    await again.done
    expect(scene.member('a').status()).toMatchObject({ state: 'failed', archivedSegment: 2, shippedLsn: 25 })
    expect(await scene.confirmed()).toEqual({ a: { segmentNumber: 2, lsn: 25 } })
  })

  it('loses the archive that another shipper took over, and goes on with the rest', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const shared = memoryStore()
    scene.run([scene.target('shared', { store: shared }), scene.target('healthy')])
    for (const name of ['shared', 'healthy']) await scene.member(name).flushWhole()
    const other = ship(scene.disk, await openArchive(shared), { name: 'other' })
    await other.shipper.flush()
    await appendRecords(scene.log, 5)
    await expect(scene.member('shared').done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    expect(await scene.member('healthy').flushWhole()).toBe(30)
    expect(scene.member('healthy').status().state).toBe('running')
    await other.stop()
  })

  it('stops as a whole, also one that waits for its next try or was just opened', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const opening = gate()
    const fleet = scene.run(
      [
        scene.target('dead', {
          before: async () => {
            throw away()
          },
        }),
        scene.target('opening', { before: () => opening.opened }),
        scene.target('healthy'),
      ],
      { retryMs: { first: 3_600_000, max: 3_600_000 } },
    )
    await scene.member('healthy').flushWhole()
    await until(() => scene.member('dead').status().state === 'retrying')
    scene.stop.abort()
    opening.open()
    await fleet.done
    await expect(scene.member('dead').flushWhole()).rejects.toMatchObject({ code: 'ARCHIVE_ABORTED' })
    for (const member of fleet.members) {
      await expect(member.done).resolves.toBeUndefined()
      expect(member.status().state).toBe('ended')
      expect(scene.events.get(member.name)?.filter(({ type }) => type === 'ship.ended')).toHaveLength(1)
    }
  })

  it('gives up one that could not be opened as often as it was told to try, and keeps its log', async () => {
    const scene = await Scene.begin()
    await scene.write()
    let tries = 0
    const before = async (): Promise<void> => {
      tries++
      throw away()
    }
    const fleet = scene.run([scene.target('dead', { before })], { openTriesMax: 3 })
    await fleet.done
    await expect(scene.member('dead').done).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
    expect(tries).toBe(3)
    expect(scene.events.get('dead')).toMatchObject([
      { type: 'ship.retried', work: 'open', tries: 1, delayMs: 5 },
      { type: 'ship.retried', work: 'open', tries: 2, delayMs: 10 },
      { type: 'ship.ended' },
    ])
    expect(await scene.confirmed()).toEqual({ dead: { segmentNumber: 0, lsn: 0 } })
  })

  it('tells how late an archive is that neither opens nor fails', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const opening = gate()
    scene.run([scene.target('hangs', { before: () => opening.opened })], { heartbeatMs: 5 })
    await until(() => scene.member('hangs').status().durableLsn === 25)
    await appendRecords(scene.log, 5)
    await until(() => scene.member('hangs').status().lagTransactions === 30)
    expect(scene.member('hangs').status()).toMatchObject({ state: 'beginning', failing: [] })
    expect(scene.member('hangs').status().lagBytes).toBeGreaterThan(1000)
    opening.open()
    expect(await scene.member('hangs').flushWhole()).toBe(30)
  })

  it('tells how late an archive is that opens and does not answer then', async () => {
    const scene = await Scene.begin()
    await scene.write()
    const store = memoryStore()
    await archiveOn(store)
    let isAway = false
    const flaky: ArchiveStore = {
      ...store,
      put: (name, content) => (isAway ? Promise.reject(away()) : store.put(name, content)),
    }
    scene.run([
      {
        name: 'flaky',
        open: async () => {
          const archive = await openArchive(flaky)
          isAway = true
          return archive
        },
      },
    ])
    await until(() => scene.member('flaky').status().lagTransactions === 25)
    await until(() => scene.member('flaky').status().failing.length > 0)
    expect(scene.member('flaky').status()).toMatchObject({
      state: 'retrying',
      durableLsn: 25,
      failing: [{ work: 'begin' }],
    })
    isAway = false
    expect(await scene.member('flaky').flushWhole()).toBe(25)
  })

  it('is refused with no archive, too many, or two of one name', async () => {
    const scene = await Scene.begin()
    const refused = expect.objectContaining({ code: 'ARCHIVE_OPTION_INVALID' })
    for (const names of [[], ['a', 'a'], Array.from({ length: 17 }, (_, index) => `a${String(index)}`)]) {
      expect(() => scene.run(names.map((name) => scene.target(name)))).toThrow(refused)
    }
    expect(await scene.confirmed()).toEqual({})
  })
})
