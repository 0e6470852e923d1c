import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ClassicLevel } from 'classic-level'
import { describe, expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { codeOf } from '../src/errors.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { RESERVED_FLOOR } from '../src/reserved-keys.ts'
import { TimberLevel } from '../src/timber-level.ts'
import type { EngineEvent } from '../src/session/open-options.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0
const newHome = (): string => join(folder, `home${(homes += 1)}`)
const child = fileURLToPath(new URL('./support/home-child.ts', import.meta.url))

async function failure(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => new Error('it did not fail'),
    (error: Error) => error,
  )
}

describe('a TimberLevel in the place of a ClassicLevel', () => {
  test('takes the same arguments, opens by itself, and reads what it wrote', async () => {
    const db = new TimberLevel<string, { n: number }>(newHome(), {
      valueEncoding: 'json',
      cacheSize: 1024 * 1024,
    })
    expect(db.status).toBe('opening')
    const early = db.get('a')
    await db.put('a', { n: 1 })
    expect(await early).toBeUndefined()
    expect(await db.get('a')).toEqual({ n: 1 })
    expect(db.getSync('a')).toEqual({ n: 1 })
    expect(await db.get('a', { valueEncoding: 'utf8' })).toBe('{"n":1}')
    await db.close()
    expect(db.status).toBe('closed')
  })

  test('can be handed over as a class', async () => {
    const program = async ({ Level }: { Level: typeof ClassicLevel }): Promise<unknown> => {
      const db = new Level<string, string>(newHome())
      await db.put('a', '1')
      const all = await db.iterator().all()
      await db.close()
      return all
    }
    expect(await program({ Level: TimberLevel as unknown as typeof ClassicLevel })).toEqual([['a', '1']])
  })

  test('tells the location that it was given', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    expect(db.location).toBe(home)
    await db.close()
    expect(() => new TimberLevel('')).toThrow(TypeError)
  })

  test('names classic-level’s features, all of them', async () => {
    const db = new TimberLevel(newHome())
    const classic = new ClassicLevel(newHome())
    expect(db.supports).toEqual(classic.supports)
    await Promise.all([db.close(), classic.close()])
  })

  test('offers compactRange, approximateSize and getProperty', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', 'x'.repeat(1000))
    await db.compactRange('a', 'z')
    expect(await db.approximateSize('a', 'z')).toBeTypeOf('number')
    expect(db.getProperty('leveldb.num-files-at-level0')).toMatch(/^\d+$/)
    await db.close()
  })

  test('opens again after it was closed, with everything in it', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', '1')
    await db.close()
    await db.open()
    expect(await db.get('a')).toBe('1')
    await db.put('a', '2')
    await db.close()
    await db.open()
    expect(await db.get('a')).toBe('2')
    await db.close()
  })

  test('refuses a second opener as Level does, naming who holds it', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    await db.open()
    const error = await failure(new TimberLevel(home).open())
    expect(codeOf(error)).toBe('LEVEL_DATABASE_NOT_OPEN')
    expect(codeOf(error.cause)).toBe('LEVEL_LOCKED')
    expect(String(error.cause)).toContain(String(process.pid))
    expect(codeOf((error.cause as Error).cause)).toBe('ENGINE_HOME_LOCKED')
    const { stdout } = await promisify(execFile)(process.execPath, [testProgram(child), 'open', home])
    expect(JSON.parse(stdout)).toEqual({
      code: 'LEVEL_DATABASE_NOT_OPEN',
      cause: 'LEVEL_LOCKED',
      pid: process.pid,
    })
    await db.close()
  })

  test('is destroyed as a whole, and only if it is a home', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    await db.put('a', '1')
    expect(codeOf(await failure(TimberLevel.destroy(home)))).toBe('ENGINE_HOME_LOCKED')
    await db.close()
    for (const path of homeLayout(home).recordPaths) writeFileSync(path, '{}')
    await TimberLevel.destroy(home)
    expect(existsSync(home)).toBe(false)
    expect(codeOf(await failure(TimberLevel.destroy(home)))).toBe('ENGINE_HOME_MISSING')
    expect(codeOf(await failure(new TimberLevel(home, { createIfMissing: false }).open()))).toBe(
      'LEVEL_DATABASE_NOT_OPEN',
    )
  })

  test('needs no repair, and says so', async () => {
    expect(codeOf(await failure(TimberLevel.repair(newHome())))).toBe('ENGINE_REPAIR_NEEDLESS')
  })

  test.each([
    ['backup.json', 'ENGINE_BACKUP_NOT_RECOVERED'],
    ['recovery.json', 'ENGINE_RECOVERY_UNFINISHED'],
    ['CURRENT', 'ENGINE_HOME_NOT_ADOPTED'],
  ])('refuses a folder that holds %s', async (name, code) => {
    const home = newHome()
    mkdirSync(home)
    writeFileSync(join(home, name), '{}')
    const error = await failure(new TimberLevel(home).open())
    expect(codeOf(error.cause)).toBe(code)
  })

  test('takes the data of a plain LevelDB over in one step, and gives it back in one', async () => {
    const home = newHome()
    const plain = new ClassicLevel(home)
    await plain.put('old', '1')
    await plain.close()
    await TimberLevel.adopt(home)
    const db = new TimberLevel(home)
    await db.put('new', '2')
    expect(await db.iterator().all()).toEqual([
      ['new', '2'],
      ['old', '1'],
    ])
    expect((await db.homeStatus()).backupDue).toBe('adopted')
    await db.close()
    await TimberLevel.unadopt(home)
    const again = new ClassicLevel(home)
    expect(await again.iterator().all()).toEqual([
      ['new', '2'],
      ['old', '1'],
    ])
    await again.close()
  })
})

describe('the engine’s own keys', () => {
  const reserved = Buffer.concat([RESERVED_FLOOR, Buffer.from('x')])
  const buffers = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

  test('are refused in every kind of write', async () => {
    const db = new TimberLevel<Buffer, Buffer>(newHome(), buffers)
    await db.open()
    const value = Buffer.from('v')
    const below = Buffer.alloc(15, 0xff)
    await db.put(below, value)
    for (const write of [
      () => db.put(reserved, value),
      () => db.del(reserved),
      () =>
        db.batch([
          { type: 'put', key: below, value },
          { type: 'del', key: reserved },
        ]),
      async () => db.batch().put(reserved, value).write(),
      () => db.transaction((tx) => tx.put(reserved, value)),
    ]) {
      expect(codeOf(await failure(write()))).toBe('ENGINE_KEY_RESERVED')
    }
    expect(await db.get(below)).toEqual(value)
    await db.close()
  })

  test('are seen by no iterator and touched by no clear', async () => {
    const db = new TimberLevel<Buffer, Buffer>(newHome(), buffers)
    const key = Buffer.from([0xff])
    await db.put(key, Buffer.from('v'))
    const ranges = [
      {},
      { gte: Buffer.from([0xfe]) },
      { lte: Buffer.alloc(40, 0xff) },
      { lt: reserved },
      { gt: RESERVED_FLOOR },
    ]
    for (const range of ranges) {
      const expected = 'gt' in range ? [] : [key]
      expect(await db.keys(range).all()).toEqual(expected)
      expect(await db.keys({ ...range, reverse: true }).all()).toEqual(expected)
    }
    const utf8 = db.keys({ keyEncoding: 'hex', reverse: true })
    utf8.seek('ff'.repeat(30), { keyEncoding: 'hex' })
    expect(await utf8.all()).toEqual(['ff'])
    await db.clear({ gte: Buffer.from([0xf0]) })
    expect(await db.keys().all()).toEqual([])
    await db.close()
    await db.open()
    expect(db.opened?.state.rebuilt).toBe(false)
    await db.close()
  })
})

describe('a write', () => {
  test('is copied at the call: the caller may reuse its buffers at once', async () => {
    const db = new TimberLevel<Buffer, Buffer>(newHome(), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    await db.open()
    const key = Buffer.from('key0')
    const value = Buffer.alloc(100, 1)
    const written = [db.put(key, value)]
    key[3] = 0x31
    value.fill(2)
    written.push(db.batch([{ type: 'put', key, value }]))
    key[3] = 0x32
    value.fill(3)
    const chained = db.batch().put(key, value)
    key[3] = 0x33
    value.fill(4)
    await Promise.all([...written, chained.write()])
    expect(await db.iterator().all()).toEqual(
      [1, 2, 3].map((byte) => [Buffer.from(`key${byte - 1}`), Buffer.alloc(100, byte)]),
    )
    await db.close()
  })

  test('not awaited keeps its place: in 500 rounds of unawaited batches the last one stands', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    await db.open()
    for (let round = 0; round < 500; round += 1) {
      const writes = []
      for (let index = 0; index < 16; index += 1) {
        writes.push(db.batch([{ type: 'put', key: 'k', value: `${round}/${index}` }]))
      }
      await Promise.all(writes)
      expect(db.getSync('k')).toBe(`${round}/15`)
    }
    await db.close()
  })

  test('with sync: false is ordered and readable, and durable with the next durable one', async () => {
    const db = new TimberLevel(newHome())
    await db.open()
    const before = (await db.homeStatus()).durableLsn
    await db.put('a', '1', { sync: false })
    expect(await db.get('a')).toBe('1')
    const between = await db.homeStatus()
    expect(between.lastLsn).toBe(before + 1)
    expect(between.durableLsn).toBe(before)
    await db.put('b', '2')
    expect((await db.homeStatus()).durableLsn).toBe(before + 2)
    await db.close()
  })

  test('with sync: false becomes durable within a second by itself', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', '1', { sync: false })
    await expect.poll(async () => (await db.homeStatus()).durableLsn, { timeout: 1500 }).toBe(1)
    await db.close()
  })

  test('waits while too much is under way, in its order, and nothing is lost', async () => {
    const db = new TimberLevel(newHome(), { queuedBytesMax: 64 * 1024 })
    await db.open()
    const value = 'x'.repeat(4000)
    const order: number[] = []
    const writes = Array.from({ length: 200 }, (_, index) =>
      db.put(`k${String(index).padStart(3, '0')}`, value + index).then(() => order.push(index)),
    )
    expect((await db.homeStatus()).queuedBytes).toBeLessThan(80 * 1024)
    await Promise.all(writes)
    expect(order).toEqual([...order.keys()])
    expect(await db.keys().all()).toHaveLength(200)
    expect((await db.homeStatus()).queuedBytes).toBe(0)
    await db.close()
  })

  test('larger than a log record is refused before anything of it is written', async () => {
    const db = new TimberLevel(newHome(), { log: { recordBytesMax: 1000 } })
    await db.put('a', 'small')
    expect(codeOf(await failure(db.put('b', 'x'.repeat(2000))))).toBe('WAL_RECORD_TOO_LARGE')
    await db.put('c', 'after')
    expect(await db.keys().all()).toEqual(['a', 'c'])
    await db.close()
  })

  test('that comes while the database closes is refused or kept, never half', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    await db.open()
    const results = Array.from({ length: 50 }, (_, index) =>
      db.put(`k${index}`, '').then(
        () => index,
        () => -1,
      ),
    )
    const closing = db.close()
    results.push(
      db.put('late', '').then(
        () => 1000,
        () => -1,
      ),
    )
    const kept = (await Promise.all(results)).filter((index) => index >= 0)
    await closing
    await db.open()
    expect((await db.keys().all()).length).toBe(kept.length)
    await db.close()
  })

  test('of a clear unawaited before a put leaves the put, after it takes it', async () => {
    const db = new TimberLevel(newHome())
    await db.batch([
      { type: 'put', key: 'a', value: 'old' },
      { type: 'put', key: 'b', value: 'old' },
    ])
    const before = db.put('c', 'goes')
    const clearing = db.clear()
    const after = db.put('a', 'stays')
    await Promise.all([before, clearing, after])
    expect(await db.iterator().all()).toEqual([['a', 'stays']])
    await db.close()
  })
})

describe('opening', () => {
  test('reports what it did, and replays only what the last checkpoint lacks', async () => {
    const home = newHome()
    const events: string[] = []
    const onEvent = (event: EngineEvent): void => void events.push(event.type)
    const db = new TimberLevel(home, { onEvent })
    await db.put('a', '1')
    expect(db.opened).toMatchObject({ created: true, state: { created: true, replayed: 0 } })
    const { lsn } = await db.mark('before-import')
    expect(lsn).toBe(2)
    await db.close()
    await db.open()
    expect(db.opened).toMatchObject({ created: false, timeline: 1, state: { rebuilt: false } })
    // The note about the checkpoint that closing took.
    expect(db.opened?.state.replayed).toBeLessThanOrEqual(1)
    await db.close()
    expect(events.filter((type) => type.startsWith('database.'))).toEqual([
      'database.opened',
      'database.closed',
      'database.opened',
      'database.closed',
    ])
  })

  test('takes checkpoints, switches segments and tells digests on request', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', '1')
    expect(await db.checkpoint({ digest: true })).toMatchObject({ lsn: 1, created: true })
    const digest = await db.digest()
    expect(digest).toMatchObject({ algorithm: 'sha256', entries: 1, bytes: 2 })
    await db.put('b', '2')
    expect(await db.switchSegment()).toMatchObject({ lastLsn: 3 })
    await db.close()
  })
})
