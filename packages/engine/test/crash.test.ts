/**
 * Fault model: the machine stops before or after any single operation of the log's file system, and comes back with what the
 * simulated disk kept, by seed: synced bytes for certain, unsynced ones lost, kept, torn or zeroed, names likewise. The state is
 * what the log gives on reopening, so the memory database shows all there is to it.
 *
 * Expected: a prefix of the commits in LSN order, whole ones only, with every durably acknowledged one in it; and the
 * database goes on from there.
 */
import {
  CrashFileSystem,
  FaultFileSystem,
  failAt,
  failOn,
  immediateFileSystem,
} from '@timberline/wal/testing'
import type { Fault } from '@timberline/wal/testing'
import type { FileSystem } from '@timberline/wal'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TimberLevel } from '../src/timber-level.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

type State = readonly (readonly [string, string])[]

interface Step {
  /** Launched together; each is one commit. */
  readonly run: (db: TimberMemoryLevel) => Promise<unknown>[]
  /** The changes of each, in order; `undefined` deletes. */
  readonly commits: readonly (readonly [string, string | undefined][])[]
  readonly durable: boolean
}

const large = 'x'.repeat(3000)
const steps: readonly Step[] = Array.from({ length: 6 }, (_, round) => stepsOf(round)).flat()

function stepsOf(round: number): Step[] {
  const key = `k${round}`
  return [
    {
      durable: true,
      run: (db) => [
        db.put(key, 'a'),
        db.put('shared', `${round}`),
        db.batch(
          [
            { type: 'put', key: `${key}b`, value: large },
            { type: 'del', key: `k${round - 1}` },
          ],
          { meta: round },
        ),
      ],
      commits: [
        [[key, 'a']],
        [['shared', `${round}`]],
        [
          [`${key}b`, large],
          [`k${round - 1}`, undefined],
        ],
      ],
    },
    {
      durable: false,
      run: (db) => [db.put('lazy', `${round}`, { sync: false })],
      commits: [[['lazy', `${round}`]]],
    },
    { durable: true, run: (db) => [db.mark(`mark ${round}`)], commits: [[]] },
    {
      durable: true,
      run: (db) => [
        db.transaction(async (tx) => {
          await tx.put('count', String(Number((await tx.get('count')) ?? 0) + 1))
        }),
      ],
      commits: [[['count', String(round + 1)]]],
    },
    {
      durable: true,
      run: (db) => [db.clear({ gte: 'k', lt: 'l' })],
      commits: [
        [
          [key, undefined],
          [`${key}b`, undefined],
        ],
      ],
    },
  ]
}

/** The states after 0, 1, 2, … commits. */
function statesOf(): State[] {
  const map = new Map<string, string>()
  const states: State[] = [[]]
  for (const commit of steps.flatMap(({ commits }) => commits)) {
    for (const [key, value] of commit) {
      if (value === undefined) map.delete(key)
      else map.set(key, value)
    }
    states.push([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
  return states
}

const states = statesOf()

function open(fileSystem: FileSystem): TimberMemoryLevel {
  return new TimberMemoryLevel({
    log: { home: '/home', fileSystem, segmentBytesMax: 8192, preallocateBytes: 4096 },
  })
}

/** Runs the steps until the machine stops; returns how many commits were durably acknowledged. */
async function runSteps(db: TimberMemoryLevel): Promise<number> {
  let commits = 0
  let acknowledged = 0
  try {
    await db.open()
    for (const step of steps) {
      const results = await Promise.allSettled(step.run(db))
      for (const result of results) {
        commits += 1
        if (result.status === 'rejected') return acknowledged
        if (step.durable) acknowledged = commits
      }
    }
    await db.close()
  } catch {
    // Opening or closing was struck: nothing more was promised.
  }
  return acknowledged
}

async function inspect(disk: FileSystem): Promise<{ commits: number; state: State }> {
  const db = open(disk)
  await db.open()
  const state = await db.iterator().all()
  const { lsn } = await db.mark('after the crash')
  await db.put('goes on', '1')
  expect(await db.get('goes on')).toBe('1')
  await db.close()
  const again = open(disk)
  expect(await again.get('goes on')).toBe('1')
  await again.close()
  return { commits: lsn - 1, state }
}

describe('a crash', () => {
  test('at no operation loses an acknowledged commit, or leaves half of one', async () => {
    const clean = new FaultFileSystem(new CrashFileSystem())
    expect(await runSteps(open(clean))).toBe(states.length - 1)
    const count = clean.operations.length
    let crashes = 0
    for (let index = 1; index <= count; index += 1) {
      for (const fault of ['crash', 'crash-after'] satisfies Fault[]) {
        const disk = new CrashFileSystem({ model: index % 2 === 0 ? 'ext4' : 'posix' })
        const faulty = new FaultFileSystem(disk, failAt(index, fault))
        const acknowledged = await runSteps(open(faulty))
        crashes += faulty.injected.length
        const seed = index * 2 + (fault === 'crash' ? 0 : 1)
        const { commits, state } = await inspect(disk.crash(seed))
        const where = `${fault} at operation ${index}, seed ${seed}`
        expect(commits, where).toBeGreaterThanOrEqual(acknowledged)
        expect(state, where).toEqual(states[commits])
      }
    }
    // Timing moves background writes a little, so a late index may find no operation; nearly all must.
    expect(crashes).toBeGreaterThan(count * 2 * 0.9)
  }, 300_000)
})

describe('a failing log under LevelDB', () => {
  test('stops writes by name while reads go on, closes, and is mended by opening again', async () => {
    const home = join(folder, 'failing')
    const fileSystem = new FaultFileSystem(immediateFileSystem)
    const db = new TimberLevel(home, { fileSystem })
    await db.put('before', '1')
    fileSystem.inject(failOn({ path: '/log/', kind: ['sync', 'syncNow'] }, 'EIO', { once: false }))
    await expect(db.put('a', '1')).rejects.toMatchObject({
      code: 'ENGINE_LOG_FAILED',
      kind: 'unavailable',
      details: { outcome: 'unknown', systemCode: 'EIO' },
    })
    await expect(db.clear()).rejects.toMatchObject({ code: 'ENGINE_LOG_FAILED' })
    // The device was asked while the state took it up: a write of unknown outcome may be seen until the database is reopened.
    expect(await db.iterator().all()).toEqual([
      ['a', '1'],
      ['before', '1'],
    ])
    expect((await db.homeStatus()).failure).toContain('log')
    fileSystem.inject(undefined)
    await db.close()
    await db.open()
    await db.del('a')
    await db.put('after', '1')
    expect(await db.keys().all()).toEqual(['after', 'before'])
    await db.close()
    await fileSystem.releaseHandles()
  })
})

describe('a failing log', () => {
  test.each([
    // Of unknown outcome, so they may be seen; what was refused may not.
    ['EIO', 'syncNow', 'unknown', ['a', 'b', 'before']],
    ['ENOSPC', 'writeNow', 'rejected', ['before']],
  ] as const)(
    '%s on %s stops writes by name, goes on reading, and is mended by reopening',
    async (fault, kind, outcome, seen) => {
      const disk = new CrashFileSystem()
      const faulty = new FaultFileSystem(disk)
      const events: string[] = []
      const db = new TimberMemoryLevel({
        log: { home: '/home', fileSystem: faulty, preallocateBytes: 0 },
        onEvent: ({ type }) => events.push(type),
      })
      await db.put('before', '1')
      faulty.inject((operation) => (operation.kind === kind ? fault : undefined))
      const results = await Promise.allSettled([db.put('a', '1'), db.put('b', '1')])
      for (const result of results) {
        expect(result).toMatchObject({
          status: 'rejected',
          reason: { code: 'ENGINE_LOG_FAILED', details: { outcome } },
        })
      }
      faulty.inject(undefined)
      await expect(db.put('c', '1')).rejects.toMatchObject({
        code: 'ENGINE_LOG_FAILED',
        details: { outcome: 'rejected' },
      })
      await expect(db.transaction((tx) => tx.put('d', '1'))).rejects.toMatchObject({
        code: 'ENGINE_LOG_FAILED',
      })
      expect(await db.get('before')).toBe('1')
      expect(await db.keys().all()).toEqual(seen)
      expect(events).toEqual(['database.failed'])
      await db.close()
      await db.open()
      expect(await db.get('before')).toBe('1')
      await db.put('after', '1')
      await db.close()
      const again = new TimberMemoryLevel({ log: { home: '/home', fileSystem: disk.crash(1) } })
      const keys = new Set(await again.keys().all())
      // What was rejected never comes back; what is unknown may.
      if (outcome === 'unknown') for (const key of ['a', 'b']) keys.delete(key)
      expect(keys).toEqual(new Set(['after', 'before']))
      await again.close()
    },
  )
})

describe('a home whose files the system refuses to read', () => {
  test('does not open, and says so by a code with a next step', async () => {
    const home = join(folder, 'refused')
    const fileSystem = new FaultFileSystem(immediateFileSystem)
    const db = new TimberLevel(home, { fileSystem })
    await db.put('a', '1')
    await db.close()
    fileSystem.inject(failOn({ kind: 'open', path: 'timberline.json' }, 'EMFILE'))
    await expect(db.open()).rejects.toMatchObject({
      cause: { code: 'ENGINE_IO_FAILED', details: { home, systemCode: 'EMFILE' }, cause: { code: 'EMFILE' } },
    })
    await db.open()
    expect(await db.get('a')).toBe('1')
    await db.close()
  })
})
