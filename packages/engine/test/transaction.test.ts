import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { join } from 'node:path'
import { TimberLevel } from '../src/timber-level.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0
// Both have the same interface as far as it is used here.
const variants: Record<'classic' | 'memory', () => TimberLevel> = {
  classic: () => new TimberLevel(join(folder, String((homes += 1)))),
  memory: () => new TimberMemoryLevel() as unknown as TimberLevel,
}

describe.each(['classic', 'memory'] as const)('a transaction over %s', (variant) => {
  let db: TimberLevel

  beforeEach(async () => {
    db = variants[variant]()
    await db.open()
    await db.batch(['a', 'b', 'c', 'd'].map((key) => ({ type: 'put', key, value: key.toUpperCase() })))
  })
  afterEach(() => db.close())

  test('sees the state at its beginning and its own writes, and nothing of others', async () => {
    const seen: unknown[] = []
    const aborted = db.transaction(async (tx) => {
      await db.put('a', 'changed outside')
      await tx.put('e', 'E')
      await tx.del('b')
      seen.push(await tx.get('a'), tx.getSync('a'), await db.get('e'))
      seen.push(await tx.getMany(['a', 'b', 'e', 'x']), await tx.hasMany(['b', 'c', 'e']))
      // It read what was changed meanwhile; without this it would have to run again.
      throw new Error('enough')
    })
    await expect(aborted).rejects.toThrow('enough')
    expect(seen).toEqual(['A', 'A', undefined, ['A', undefined, 'E', undefined], [false, true, true]])
    expect(await db.get('e')).toBeUndefined()
  })

  test('walks its own writes and the state as one, in order, both ways, with bounds and limits', async () => {
    await db.transaction(async (tx) => {
      await tx.batch([
        { type: 'put', key: 'bb', value: 'BB' },
        { type: 'del', key: 'c' },
        { type: 'put', key: 'a', value: 'A2' },
        { type: 'put', key: 'z', value: 'Z' },
      ])
      expect(await tx.iterator().all()).toEqual([
        ['a', 'A2'],
        ['b', 'B'],
        ['bb', 'BB'],
        ['d', 'D'],
        ['z', 'Z'],
      ])
      expect(await tx.keys({ reverse: true }).all()).toEqual(['z', 'd', 'bb', 'b', 'a'])
      expect(await tx.keys({ gt: 'a', lte: 'd', limit: 2 }).all()).toEqual(['b', 'bb'])
      expect(await tx.values({ lt: 'bb', reverse: true }).all()).toEqual(['B', 'A2'])
      const iterator = tx.keys()
      iterator.seek('bb')
      expect(await iterator.next()).toBe('bb')
      expect(await iterator.next()).toBe('d')
      await iterator.close()
    })
    expect(await db.keys().all()).toEqual(['a', 'b', 'bb', 'd', 'z'])
  })

  test('commits all it wrote as one transaction with its meta, or leaves no trace', async () => {
    const seen: unknown[] = []
    const subscription = db.commits$.subscribe((commit) => seen.push([commit.operations.length, commit.meta]))
    await db.transaction(
      async (tx) => {
        await tx.put('x', '1')
        await tx.put('y', '2')
      },
      { meta: { why: 'test' } },
    )
    await expect(
      db.transaction(async (tx) => {
        await tx.put('x', 'lost')
        throw new Error('aborted')
      }),
    ).rejects.toThrow('aborted')
    await db.transaction(async (tx) => tx.get('x'))
    await db.put('end', '')
    subscription.unsubscribe()
    expect(seen).toEqual([
      [2, { why: 'test' }],
      [1, undefined],
    ])
    expect(await db.getMany(['x', 'y'])).toEqual(['1', '2'])
  })

  test('refuses write skew: of two that each read what the other writes, one runs again', async () => {
    // Two doctors on call; each may leave only while the other stays.
    await db.batch([
      { type: 'put', key: 'alice', value: 'on' },
      { type: 'put', key: 'bob', value: 'on' },
    ])
    let runs = 0
    const bothHaveRead = meeting(2)
    const leave = (own: string, other: string): Promise<void> =>
      db.transaction(async (tx) => {
        runs += 1
        const stays = (await tx.get(other)) === 'on'
        if (runs <= 2) await bothHaveRead()
        if (stays) await tx.put(own, 'off')
      })
    await Promise.all([leave('alice', 'bob'), leave('bob', 'alice')])
    expect(new Set(await db.getMany(['alice', 'bob']))).toEqual(new Set(['off', 'on']))
    expect(runs).toBe(3)
  })

  test('refuses write skew over ranges: a key that appeared where it had looked counts as changed', async () => {
    let runs = 0
    const bothHaveRead = meeting(2)
    const insert = (key: string): Promise<void> =>
      db.transaction(async (tx) => {
        runs += 1
        const count = (await tx.keys({ gte: 'seat/', lt: 'seat0' }).all()).length
        if (runs <= 2) await bothHaveRead()
        if (count === 0) await tx.put(`seat/${key}`, 'taken')
      })
    await Promise.all([insert('7a'), insert('7b')])
    expect(await db.keys({ gte: 'seat/', lt: 'seat0' }).all()).toHaveLength(1)
    expect(runs).toBe(3)
  })

  test('counts plain puts, deletions, batches and clears as commits of others', async () => {
    const others: (() => Promise<void>)[] = [
      () => db.put('a', 'other'),
      () => db.del('a'),
      () => db.batch([{ type: 'put', key: 'a', value: 'batch' }]),
      () => db.batch().put('a', 'chained').write(),
      () => db.clear({ lte: 'a' }),
    ]
    for (const other of others) {
      await db.put('a', 'before')
      let runs = 0
      await db.transaction(async (tx) => {
        runs += 1
        await tx.get('a')
        if (runs === 1) await other()
        await tx.put('result', String(runs))
      })
      expect(runs).toBe(2)
    }
  })

  test.each([
    ['forward', { limit: 2 }, 'aa'],
    ['backward', { limit: 2, reverse: true }, 'bb'],
  ])(
    'runs again where a key appears in what it passed on its way %s, though it stopped there',
    async (_, range, key) => {
      await db.clear()
      await db.batch(['a', 'b', 'c'].map((each) => ({ type: 'put', key: each, value: '1' })))
      let runs = 0
      await db.transaction(async (tx) => {
        runs += 1
        await tx.keys(range).all()
        if (runs === 1) await db.put(key, 'appeared')
        await tx.put('result', String(runs))
      })
      expect(runs).toBe(2)
    },
  )

  test('is not disturbed by writes to what it has not read, or only passed over beyond its limit', async () => {
    let runs = 0
    await db.transaction(async (tx) => {
      runs += 1
      expect(await tx.keys({ limit: 2 }).all()).toEqual(['a', 'b'])
      await db.put('c', 'beyond')
      await tx.put('d', 'blind')
      await db.put('d', 'blind too')
    })
    expect(runs).toBe(1)
    // Blind writes have no order of their own: the log's counts.
    expect(await db.get('d')).toBe('blind')
    await db.transaction(async (tx) => {
      runs += 1
      expect(await tx.keys({ limit: 2, reverse: true }).all()).toEqual(['d', 'c'])
      await db.put('b', 'beyond')
      await tx.put('d', 'last')
    })
    expect(runs).toBe(2)
  })

  test('sees commits that were appended before it began and are not yet readable as commits of others', async () => {
    const early = db.put('a', 'early')
    let runs = 0
    await db.transaction(async (tx) => {
      runs += 1
      const value = await tx.get('a')
      await tx.put('copy', value ?? '')
    })
    await early
    expect(await db.get('copy')).toBe('early')
  })

  test('gives up after its retries, with the code for a conflict', async () => {
    let runs = 0
    const hopeless = db.transaction(
      async (tx) => {
        runs += 1
        await tx.get('a')
        await db.put('a', String(runs))
        await tx.put('b', '')
      },
      { retries: 3 },
    )
    await expect(hopeless).rejects.toMatchObject({ code: 'ENGINE_TRANSACTION_CONFLICT', kind: 'conflict' })
    expect(runs).toBe(4)
  })

  test('works in sublevels, its own and those of the database', async () => {
    const outside = db.sublevel<string, number>('s', { valueEncoding: 'json' })
    await outside.put('n', 1)
    await db.transaction(async (tx) => {
      const inside = tx.sublevel<string, number>('s', { valueEncoding: 'json' })
      await inside.put('n', ((await inside.get('n')) ?? 0) + 1)
      await tx.batch([{ type: 'put', key: 'm', value: 5 as never, sublevel: outside as never }])
      expect(await inside.iterator().all()).toEqual([
        ['m', 5],
        ['n', 2],
      ])
    })
    expect(await outside.iterator().all()).toEqual([
      ['m', 5],
      ['n', 2],
    ])
  })

  test('can clear a range', async () => {
    await db.transaction(async (tx) => {
      await tx.put('bb', '')
      await tx.clear({ gt: 'a', lt: 'd' })
      expect(await tx.keys().all()).toEqual(['a', 'd'])
    })
    expect(await db.keys().all()).toEqual(['a', 'd'])
  })

  test('runs hooks and emits events of the database once, at its commit', async () => {
    const written: unknown[] = []
    db.hooks.prewrite.add((operation, batch) => {
      if (operation.type === 'put') batch.add({ type: 'put', key: 'indexed', value: 'by hook' })
    })
    db.on('write', (operations) => written.push(operations.length))
    await db.transaction((tx) => tx.put('x', '1'))
    expect(written).toEqual([2])
    expect(await db.get('indexed')).toBe('by hook')
  })

  test('refuses calls after its end', async () => {
    let late:
      | { get(key: string): Promise<unknown>; put(key: string, value: string): Promise<void> }
      | undefined
    await db.transaction((tx) => {
      late = tx
    })
    await expect(late?.get('a')).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
    await expect(late?.put('a', '')).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
  })

  test('keeps the sum of money constant under contention', async () => {
    const random = seededRandom(7)
    const accounts = ['k0', 'k1', 'k2', 'k3', 'k4']
    await db.batch(accounts.map((key) => ({ type: 'put', key, value: '100' })))
    const transfer = (): Promise<void> =>
      db.transaction(
        async (tx) => {
          const from = accounts[Math.floor(random() * 5)] ?? ''
          const to = accounts[Math.floor(random() * 5)] ?? ''
          const [a, b] = await tx.getMany([from, to])
          if (from === to) return
          await tx.put(from, String(Number(a) - 7))
          await tx.put(to, String(Number(b) + 7))
        },
        { retries: 1000 },
      )
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let round = 0; round < 20; round += 1) await transfer()
      }),
    )
    const values = await db.getMany(accounts)
    expect(values.reduce((sum, value) => sum + Number(value), 0)).toBe(500)
  })
})

/** Resolves for all once so many have come. */
function meeting(count: number): () => Promise<void> {
  let come = 0
  let open = (): void => undefined
  const all = new Promise<void>((resolve) => {
    open = resolve
  })
  return () => {
    come += 1
    if (come >= count) open()
    return all
  }
}
