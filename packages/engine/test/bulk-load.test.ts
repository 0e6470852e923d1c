import { join } from 'node:path'
import { placeHold, readLog, writeConfirmation } from '@timberline/wal'
import { FaultFileSystem, immediateFileSystem } from '@timberline/wal/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BULK_LOAD_MARK, isBulkLoad } from '../src/records/bulk-load-mark.ts'
import { readBackupDue } from '../src/home/home-backup-due.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import type { EngineEvent } from '../src/session/open-options.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0

/** A small write buffer, so that tables with parts of a load in them are written while it runs. */
async function opened(options: object = {}): Promise<TimberLevel> {
  const db = new TimberLevel(join(folder, String((homes += 1))), { writeBufferSize: 64 * 1024, ...options })
  await db.open()
  return db
}

const key = (number: number): string => `k${String(number).padStart(6, '0')}`
const value = (number: number): string => `${number} `.repeat(20)

function* pairs(count: number, from = 0): Generator<readonly [string, string]> {
  for (let number = from; number < from + count; number += 1) yield [key(number), value(number)]
}

/** A source that stops in the middle until it is told to go on. */
function stopped(count: number): {
  entries: AsyncGenerator<readonly [string, string]>
  goOn: () => void
  reached: Promise<void>
} {
  let goOn = (): void => undefined
  let reach = (): void => undefined
  const gate = new Promise<void>((resolve) => (goOn = resolve))
  const reached = new Promise<void>((resolve) => (reach = resolve))
  async function* entries(): AsyncGenerator<readonly [string, string]> {
    yield* pairs(count / 2)
    reach()
    await gate
    yield* pairs(count / 2, count / 2)
  }
  return { entries: entries(), goOn, reached }
}

/** Larger than a batch of the load and than LevelDB's memory, so that half of it really is in the state. */
const MANY = 40_000

async function all(db: TimberLevel): Promise<Map<string, string>> {
  return new Map(await db.iterator().all())
}

describe('a bulk load', () => {
  test('takes pairs and objects, of iterables and async iterables, the last one on a key', async () => {
    const db = await opened()
    const report = await db.bulkLoad([['b', '1'], { key: 'a', value: '2' }, ['b', '3']])
    expect(report).toMatchObject({ entries: 3, bytes: 6 })
    async function* more(): AsyncGenerator<{ key: string; value: string }> {
      yield { key: 'c', value: '4' }
    }
    await db.bulkLoad(more())
    expect(await db.iterator().all()).toEqual([
      ['a', '2'],
      ['b', '3'],
      ['c', '4'],
    ])
    await db.close()
    await db.open()
    expect(await db.keys().all()).toEqual(['a', 'b', 'c'])
    await db.close()
  })

  test('encodes as the database does, as a call says, or as a sublevel does', async () => {
    const db = await opened({ valueEncoding: 'json' })
    await db.bulkLoad<string, unknown>([['a', { n: 1 }]])
    await db.bulkLoad<Buffer, Buffer>([[Buffer.from('b'), Buffer.from('[2]')]], {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    })
    const sublevel = db
      .sublevel<string, unknown>('s', { valueEncoding: 'json' })
      .sublevel<string, unknown>('t', { valueEncoding: 'json' })
    await db.bulkLoad<string, unknown>([['c', 3]], { sublevel })
    expect(await db.get('a')).toEqual({ n: 1 })
    expect(await db.get('b')).toEqual([2])
    expect(await sublevel.get('c')).toBe(3)
    const foreign = await opened()
    await expect(db.bulkLoad([['d', '4']], { sublevel: foreign.sublevel('s') })).rejects.toMatchObject({
      code: 'ENGINE_OPTION_INVALID',
    })
    await foreign.close()
    await db.close()
  })

  test('is seen by nobody before it is seen whole, on whatever way they read', async () => {
    const db = await opened()
    await db.batch([
      { type: 'put', key: key(3), value: 'old' },
      { type: 'put', key: 'other', value: 'old' },
    ])
    const before = await db.digest()
    const earlier = db.snapshot()
    const source = stopped(MANY)
    const load = db.bulkLoad(source.entries)
    await source.reached
    const during = db.snapshot()
    const iterator = db.iterator({ gte: key(3) })
    const reads = async (options: object): Promise<unknown[]> => [
      await db.get(key(3), options),
      db.getSync(key(3), options),
      await db.get(key(1), options),
      await db.getMany([key(3), key(4)], options),
      await db.has(key(3), options),
      await db.has(key(4), options),
      await db.hasMany([key(3), key(4)], options),
      await db.keys(options).all(),
      await db.values(options).all(),
      await db.iterator({ reverse: true, limit: 1, ...options }).all(),
    ]
    const old = [
      'old',
      'old',
      undefined,
      ['old', undefined],
      true,
      false,
      [true, false],
      [key(3), 'other'],
      ['old', 'old'],
      [['other', 'old']],
    ]
    expect(await reads({})).toEqual(old)
    expect(await reads({ snapshot: during })).toEqual(old)
    expect(db.snapshotLsn(during)).toBeGreaterThanOrEqual(before.lsn)
    expect((await db.digest()).hex).toBe(before.hex)
    source.goOn()
    const { lsn } = await load
    expect((await all(db)).size).toBe(MANY + 1)
    expect(await db.get(key(3))).toBe(value(3))
    // What was begun before goes on with what it saw.
    expect(await iterator.all()).toEqual([
      [key(3), 'old'],
      ['other', 'old'],
    ])
    expect(await reads({ snapshot: during })).toEqual(old)
    expect(await reads({ snapshot: earlier })).toEqual(old)
    const after = db.snapshot()
    expect(db.snapshotLsn(after)).toBeGreaterThanOrEqual(lsn)
    for (const snapshot of [earlier, during, after]) await snapshot.close()
    await db.close()
  })

  test('lets writes, marks and clears wait, which then come after it', async () => {
    const db = await opened()
    await db.put('zz', '0')
    const source = stopped(2000)
    const load = db.bulkLoad(source.entries)
    await source.reached
    const done: string[] = []
    const writes = [
      db.put(key(0), 'later').then(() => done.push('put')),
      db.mark('m').then(({ lsn }) => done.push(`mark ${String(lsn)}`)),
      db.clear({ gte: key(1), lt: key(5) }).then(() => done.push('clear')),
      db.transaction((tx) => tx.put('t', '1')).then(() => done.push('transaction')),
    ]
    await db.get('zz')
    expect(done).toEqual([])
    source.goOn()
    const { lsn } = await load
    await Promise.all(writes)
    expect(done).toHaveLength(4)
    expect(Number(done.find((each) => each.startsWith('mark'))?.slice(5))).toBeGreaterThan(lsn)
    expect(await db.getMany([key(0), key(1), key(4), key(5), 't'])).toEqual([
      'later',
      undefined,
      undefined,
      value(5),
      '1',
    ])
    await db.close()
  })

  test('makes transactions run again that read before it', async () => {
    const db = await opened()
    await db.put(key(1), '1')
    const seen: (string | undefined)[] = []
    let load: Promise<unknown> | undefined
    await db.transaction(async (tx) => {
      seen.push(await tx.get(key(1)))
      load ??= db.bulkLoad([[key(1), '10']])
      await load
      await tx.put('sum', `${String(seen.at(-1))}+1`)
    })
    expect(seen).toEqual(['1', '10'])
    expect(await db.get('sum')).toBe('10+1')
    await db.close()
  })

  test('comes one after the other, and between checkpoints', async () => {
    const db = await opened()
    const loads = [1, 2, 3].map((round) => db.bulkLoad([...pairs(500, round * 500)]))
    const checkpoint = db.checkpoint()
    const lsns = (await Promise.all(loads)).map(({ lsn }) => lsn)
    expect(lsns).toEqual([...lsns].toSorted((a, b) => a - b))
    expect((await checkpoint).lsn).toBeGreaterThanOrEqual(lsns[2] ?? Infinity)
    expect((await all(db)).size).toBe(1500)
    await db.close()
  })

  test('waits for a pause to end, and a pause waits for it', async () => {
    const db = await opened()
    await db.put('a', '1')
    const source = stopped(2000)
    const load = db.bulkLoad(source.entries)
    await source.reached
    const paused = db.quiesce({ maxMs: 60_000 })
    source.goOn()
    const { lsn } = await load
    const pause = await paused
    expect(pause.lsn).toBeGreaterThanOrEqual(lsn)
    let isLoaded = false
    const second = db.bulkLoad(pairs(10)).then((report) => {
      isLoaded = true
      return report
    })
    expect(await db.get(key(1))).toBe(value(1))
    expect(isLoaded).toBe(false)
    await pause.resume()
    expect((await second).lsn).toBeGreaterThan(pause.lsn ?? Infinity)
    await db.close()
  })

  test('behind a full log waits until the archive has it, or until the database is closed', async () => {
    const events: string[] = []
    const db = await opened({
      log: { preallocateBytes: 0 },
      checkpoint: { checkpointBytes: 0, checkpointAgeMs: 0, logBytesMax: 60_000, logFullPolicy: 'stall' },
      onEvent: ({ type }: { type: string }) => events.push(type),
    })
    const { logDirectory } = homeLayout(db.location)
    const confirm = (segmentNumber: number): Promise<void> =>
      writeConfirmation(logDirectory, 'offsite', { segmentNumber, lsn: 0, timeline: 1 })
    const fill = async (): Promise<void> => {
      events.length = 0
      await confirm(0)
      for (let number = 0; number < 60; number += 1) await db.put('large', 'x'.repeat(2000))
      while (!events.includes('log.stalled')) await db.checkpoint()
    }
    await fill()
    const load = db.bulkLoad(pairs(10))
    await confirm(1_000_000)
    expect((await load).entries).toBe(10)
    await fill()
    const [result] = await Promise.allSettled([db.bulkLoad(pairs(10)), db.close()])
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_CLOSED' } })
  }, 60_000)

  test('of nothing leaves nothing', async () => {
    const db = await opened()
    await db.put('a', '1')
    const { lsn, entries } = await db.bulkLoad([])
    expect(entries).toBe(0)
    expect(lsn).toBeLessThanOrEqual((await db.mark('m')).lsn)
    expect(await readBackupDue(db.location)).toBeUndefined()
    await db.close()
  })
})

describe('a bulk load into a home without an entry', () => {
  test('shows readers nothing until it is whole, with LevelDB closed below them', async () => {
    const db = await opened()
    const { lsn: before } = await db.mark('before')
    const earlier = await db.digest()
    const source = stopped(MANY)
    const load = db.bulkLoad(source.entries)
    await source.reached
    const sublevel = db.sublevel('s')
    await sublevel.open()
    const during = [db.snapshot(), sublevel.snapshot()]
    const iterator = db.iterator()
    iterator.seek(key(7))
    const reads = async (options: object): Promise<unknown[]> => [
      await db.get(key(3), options),
      db.getSync(key(3), options),
      await db.getMany([key(3), key(4)], options),
      await db.has(key(3), options),
      await db.hasMany([key(3), key(4)], options),
      await db.keys(options).all(),
      await db.values(options).all(),
      await db.iterator({ reverse: true, limit: 1, ...options }).all(),
      await sublevel.get('a', options),
      await sublevel.keys(options).all(),
    ]
    const nothing = [
      undefined,
      undefined,
      [undefined, undefined],
      false,
      [false, false],
      [],
      [],
      [],
      undefined,
      [],
    ]
    expect(await reads({})).toEqual(nothing)
    for (const snapshot of during) {
      expect(await reads({ snapshot })).toEqual(nothing)
      expect(db.snapshotLsn(snapshot)).toBeGreaterThanOrEqual(before)
    }
    expect((await db.digest()).hex).toBe(earlier.hex)
    // LevelDB itself cannot be asked.
    expect(db.getProperty('leveldb.stats')).toBe('')
    expect(await db.approximateSize(key(0), key(MANY))).toBe(0)
    await db.compactRange(key(0), key(MANY))
    expect((await db.homeStatus()).appliedLsn).toBeGreaterThanOrEqual(before)
    source.goOn()
    await load
    expect(await all(db)).toEqual(new Map(pairs(MANY)))
    expect(db.getProperty('leveldb.stats')).not.toBe('')
    // What was begun before it was whole goes on with what it saw.
    for (const snapshot of during) expect(await reads({ snapshot })).toEqual(nothing)
    expect(await iterator.all()).toEqual([])
    for (const snapshot of during) await snapshot.close()
    await db.put(key(3), 'later')
    await db.close()
    await db.open()
    expect(db.opened?.state.rebuilt).toBe(false)
    expect(await all(db)).toEqual(new Map([...pairs(MANY), [key(3), 'later']]))
    await db.close()
  })

  test('keeps of a key that comes again the last value', async () => {
    const db = await opened()
    await db.bulkLoad(
      (function* () {
        for (let round = 0; round < 4; round += 1) {
          for (const [name] of pairs(MANY)) yield [name, String(round).repeat(120)] as const
        }
      })(),
    )
    expect(new Set(await db.values().all())).toEqual(new Set(['3'.repeat(120)]))
    await db.close()
  })

  test.each(['iterator', 'snapshot'] as const)('leaves LevelDB open for an open %s', async (kind) => {
    const db = await opened()
    const sublevel = db.sublevel('s')
    await sublevel.open()
    const held = kind === 'iterator' ? db.iterator() : sublevel.snapshot()
    const source = stopped(MANY)
    const load = db.bulkLoad(source.entries)
    await source.reached
    expect(db.getProperty('leveldb.stats')).not.toBe('')
    source.goOn()
    await load
    expect((await all(db)).size).toBe(MANY)
    await held.close()
    await db.close()
  })

  test.each([true, false])(
    'is not hidden by what was deleted before: checkpoint between %s',
    async (taken) => {
      const db = await opened()
      await db.batch([...pairs(100)].map(([k, v]) => ({ type: 'put', key: k, value: v })))
      if (taken) await db.checkpoint()
      await db.clear()
      if (taken) await db.checkpoint()
      // So much that some of it would lie below the deletions.
      const long = new Map([...pairs(MANY)].map(([k, v]) => [k, v.repeat(3)]))
      await db.bulkLoad(long)
      expect(await all(db)).toEqual(long)
      // By key LevelDB goes by levels.
      expect(await db.get(key(7))).toBe(long.get(key(7)))
      await db.close()
      await db.open()
      expect(await all(db)).toEqual(long)
      await db.close()
    },
  )

  test('is no such home for what was written behind the checkpoint that the load begins with', async () => {
    const faulty = new FaultFileSystem(immediateFileSystem)
    const db = await opened({ fileSystem: faulty })
    await db.mark('something for a checkpoint')
    let put: Promise<void> | undefined
    faulty.inject(({ path }) => {
      if (/\d{8}\.json/.test(path)) put ??= db.put('early', '1')
      return undefined
    })
    await db.bulkLoad(pairs(10))
    await put
    faulty.inject(undefined)
    const expected = new Map([['early', '1'], ...pairs(10)])
    expect(await all(db)).toEqual(expected)
    await db.close()
    await db.open()
    expect(await all(db)).toEqual(expected)
    await db.close()
  })

  test('is not new any more for what is written before the load has its turn', async () => {
    for (let turns = 0; turns < 12; turns += 1) {
      const db = await opened()
      const load = db.bulkLoad(pairs(10))
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      await db.put('early', '1')
      await load
      expect(await all(db), String(turns)).toEqual(new Map([['early', '1'], ...pairs(10)]))
      await db.close()
    }
  })

  test('needs no checkpoint before the load while it is new; nobody waits for the one behind', async () => {
    const taken: number[] = []
    let isTaken = (): void => undefined
    const next = new Promise<void>((resolve) => (isTaken = resolve))
    const db = await opened({
      onEvent: (event: EngineEvent) => {
        if (event.type !== 'checkpoint.taken') return
        taken.push(event.lsn)
        if (event.lsn > 0) isTaken()
      },
    })
    const seen: number[] = []
    const failing = db.bulkLoad(
      (function* () {
        seen.push(taken.length)
        yield* pairs(10)
        throw new Error('source')
      })(),
    )
    await expect(failing).rejects.toThrow('source')
    // LevelDB was written to: what is in it is no longer what the log says.
    const { lsn } = await db.bulkLoad(
      (function* () {
        seen.push(taken.length)
        yield* pairs(MANY)
      })(),
    )
    seen.push(taken.length)
    expect(seen).toEqual([0, 1, 1])
    await next
    expect(taken).toEqual([0, lsn])
    expect((await all(db)).size).toBe(MANY)
    await db.close()
  })

  test('is one only if it has none: the entries of any other are shown meanwhile', async () => {
    const db = await opened()
    await db.put('a', '1')
    const source = stopped(MANY)
    const load = db.bulkLoad(source.entries)
    await source.reached
    expect(await db.iterator().all()).toEqual([['a', '1']])
    expect(await db.get('a')).toBe('1')
    source.goOn()
    await load
    expect((await all(db)).size).toBe(MANY + 1)
    await db.close()
  })

  test('that fails when all is staged is taken back again and again, and the home goes on', async () => {
    const faulty = new FaultFileSystem(immediateFileSystem)
    const db = await opened({ fileSystem: faulty })
    const before = await db.digest()
    for (let round = 0; round < 3; round += 1) {
      const abort = new AbortController()
      faulty.inject(({ path }) => {
        if (path.includes('load.json')) abort.abort()
        return undefined
      })
      await expect(db.bulkLoad(pairs(MANY), { signal: abort.signal })).rejects.toThrow('abort')
      expect((await db.digest()).hex).toBe(before.hex)
      expect(await db.get(key(1))).toBeUndefined()
    }
    faulty.inject(undefined)
    await db.bulkLoad(pairs(10))
    await db.put('after', '1')
    await db.checkpoint()
    const expected = new Map([...pairs(10), ['after', '1']])
    expect(await all(db)).toEqual(expected)
    await db.close()
    await db.open()
    expect(db.opened?.state.rebuilt).toBe(false)
    expect(await all(db)).toEqual(expected)
    await db.close()
  })

  test('whose undoing fails leaves a database that shows nothing, refuses writes and can be closed', async () => {
    const events: string[] = []
    const faulty = new FaultFileSystem(immediateFileSystem)
    const db = await opened({
      fileSystem: faulty,
      onEvent: ({ type }: { type: string }) => events.push(type),
    })
    const load = db.bulkLoad(
      (function* () {
        yield* pairs(10)
        faulty.inject(({ path }) => (path.startsWith(join(db.location, 'data')) ? 'EIO' : undefined))
        throw new Error('source')
      })(),
    )
    await expect(load).rejects.toThrow('source')
    expect(events).toContain('database.failed')
    expect(await db.get(key(1))).toBeUndefined()
    expect(await db.keys().all()).toEqual([])
    await expect(db.put('a', '1')).rejects.toMatchObject({ code: 'ENGINE_LOG_FAILED' })
    await expect(db.clear()).rejects.toBeDefined()
    await expect(db.checkpoint()).rejects.toBeDefined()
    faulty.inject(undefined)
    await db.close().catch(() => undefined)
    await db.open()
    expect(await db.keys().all()).toEqual([])
    await db.put('a', '1')
    await db.close()
  })
})

describe('what is left of a bulk load that fails', () => {
  const failures: Record<string, (db: TimberLevel) => Promise<unknown>> = {
    'its source throws': (db) =>
      db.bulkLoad(
        (function* () {
          yield* pairs(MANY)
          throw new Error('source')
        })(),
      ),
    'its source rejects': (db) =>
      db.bulkLoad(
        (async function* () {
          yield* pairs(MANY)
          throw new Error('source')
        })(),
      ),
    'a value is missing': (db) => db.bulkLoad([...pairs(MANY), [key(1), undefined as never]]),
    'an entry is none': (db) => db.bulkLoad([...pairs(MANY), 7 as never]),
    'a key is the engine’s own': (db) =>
      db.bulkLoad<Buffer, string>(
        [
          [Buffer.from(key(1)), '1'],
          [Buffer.alloc(20, 0xff), '2'],
        ],
        { keyEncoding: 'buffer' },
      ),
    'its signal says so': (db) => {
      const abort = new AbortController()
      const entries = (function* () {
        yield* pairs(MANY)
        abort.abort()
        yield* pairs(MANY)
      })()
      return db.bulkLoad(entries, { signal: abort.signal })
    },
    'its source never answers again': async (db) => {
      const abort = new AbortController()
      const source = stopped(MANY)
      const load = db.bulkLoad(source.entries, { signal: abort.signal })
      await source.reached
      abort.abort()
      return load
    },
  }

  const starts = ['entries', 'nothing'].flatMap((start) => Object.keys(failures).map((name) => [name, start]))
  test.each(starts)(
    'because %s, where there was %s: what was there before, here and after a crash',
    async (name = '', start) => {
      const db = await opened()
      if (start === 'entries') {
        await db.batch([...pairs(50, 100)].map(([k, v]) => ({ type: 'put', key: k, value: `old ${v}` })))
        await db.put(key(MANY * 2), 'beyond')
      }
      const before = await db.digest()
      const [result] = await Promise.allSettled([failures[name]?.(db)])
      expect(result.status).toBe('rejected')
      expect((await db.digest()).hex).toBe(before.hex)
      await db.put('after', '1')
      const after = await db.digest()
      expect(await readBackupDue(db.location)).toBeUndefined()
      await db.close()
      await db.open()
      expect(db.opened?.state.rebuilt).toBe(false)
      expect((await db.digest()).hex).toBe(after.hex)
      await db.close()
    },
  )

  test('over any keys: what was there before, none of them forgotten', async () => {
    const db = await opened()
    const keys = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes))
    const texts = fc.string({ minLength: 1, maxLength: 8, unit: 'binary' }).map((text) => Buffer.from(text))
    const some = fc.array(fc.oneof(keys, texts), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(some, some, fc.boolean(), async (old, loaded, asText) => {
        await db.clear()
        const bytes = { keyEncoding: 'buffer' } as const
        await db.batch(
          old.map((each) => ({ type: 'put' as const, key: each, value: 'old' })),
          bytes,
        )
        const before = await db.digest()
        const entries = (function* () {
          for (const each of loaded) yield [asText ? each.toString() : each, 'new'] as const
          throw new Error('source')
        })()
        await expect(db.bulkLoad<string | Buffer, string>(entries, asText ? {} : bytes)).rejects.toThrow(
          'source',
        )
        expect((await db.digest()).hex).toBe(before.hex)
      }),
      { numRuns: 60, seed: 20_261_126 },
    )
    await db.close()
  })

  test('because the database is closed: nothing', async () => {
    const db = await opened()
    await db.put('a', '1')
    const source = stopped(MANY)
    const load = db.bulkLoad(source.entries)
    await source.reached
    const [result] = await Promise.allSettled([load, db.close()])
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_CLOSED' } })
    await db.open()
    expect(db.opened?.state.rebuilt).toBe(false)
    expect(await db.iterator().all()).toEqual([['a', '1']])
    await db.close()
  })

  test('that is refused before it begins: nothing', async () => {
    const db = await opened()
    await expect(db.bulkLoad(7 as never)).rejects.toMatchObject({ code: 'ENGINE_OPTION_INVALID' })
    await expect(db.bulkLoad([['a', '1']], { signal: AbortSignal.abort() })).rejects.toThrow('abort')
    expect(await db.keys().all()).toEqual([])
    await db.close()
  })
})

describe('the log', () => {
  test('marks a load, and says that a full backup is due', async () => {
    const db = await opened()
    await db.put('a', '1')
    const { logDirectory } = homeLayout(db.location)
    const hold = await placeHold(logDirectory, { purpose: 'test' })
    const { lsn, committedAtUs } = await db.bulkLoad(pairs(10))
    await db.put('b', '2')
    expect((await db.homeStatus()).backupDue).toBe('bulkload')
    expect(await readBackupDue(db.location)).toMatchObject({ reason: 'bulkload', lsn })
    const loads: unknown[] = []
    for await (const records of readLog({ directory: logDirectory, fromLsn: lsn })) {
      loads.push(...records.filter(isBulkLoad).map((record) => [record.lsn, record.committedAtUs]))
    }
    expect(loads).toEqual([[lsn, committedAtUs]])
    await hold.release()
    await expect(db.mark(BULK_LOAD_MARK)).rejects.toMatchObject({ code: 'ENGINE_OPTION_INVALID' })
    await db.close()
  })

  test('shows nobody the commits behind a load who asked for those before: they would lack what was loaded', async () => {
    const db = await opened()
    await db.put('a', '1')
    const live: unknown[] = []
    const failed = new Promise((resolve) => {
      db.commits$.subscribe({ next: ({ lsn }) => live.push(lsn), error: resolve })
    })
    const hold = await placeHold(homeLayout(db.location).logDirectory, { purpose: 'test' })
    const { lsn: put } = await db.mark('here')
    await db.put('b', '1')
    const { lsn } = await db.bulkLoad(pairs(10))
    expect(await failed).toMatchObject({ code: 'ENGINE_BULK_LOADED', details: { lsn } })
    expect(live).toEqual([put + 1])
    await db.put('c', '1')
    const from = (fromLsn: number): Promise<unknown> =>
      new Promise((resolve) => {
        const seen: string[] = []
        db.commitsFrom(fromLsn).subscribe({
          next: ({ operations }) => {
            seen.push(...operations.map((operation) => operation.key.toString()))
            if (seen.includes('c')) resolve(seen)
          },
          error: resolve,
        })
      })
    expect(await from(lsn)).toMatchObject({ code: 'ENGINE_BULK_LOADED' })
    expect(await from(lsn + 1)).toEqual(['c'])
    await hold.release()
    await db.close()
  })
})
