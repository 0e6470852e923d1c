import { lastValueFrom, take, toArray } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { CrashFileSystem } from '@timberline/wal/testing'

const home = '/home'

describe('a clear', () => {
  test('is logged as the keys it found, so that its replay does not look again', async () => {
    const fileSystem = new CrashFileSystem()
    const db = new TimberMemoryLevel({ log: { home, fileSystem } })
    await db.batch(['a', 'b', 'c', 'd'].map((key) => ({ type: 'put', key, value: '' })))
    await db.clear({ gt: 'a', limit: 2, reverse: true })
    const [, cleared] = await lastValueFrom(db.commitsFrom(1).pipe(take(2), toArray()))
    expect(cleared?.operations.map(({ type, key }) => `${type} ${key.toString()}`)).toEqual([
      'del d',
      'del c',
    ])
    await db.close()
    const again = new TimberMemoryLevel({ log: { home, fileSystem } })
    expect(await again.keys().all()).toEqual(['a', 'b'])
    await again.close()
  })

  test('of nothing commits nothing', async () => {
    const db = new TimberMemoryLevel()
    await db.put('a', '')
    await db.clear({ gt: 'a' })
    expect((await db.mark('next')).lsn).toBe(2)
    await db.close()
  })

  test('of 100,000 keys is one transaction, of more it is several, in key order', async () => {
    const db = new TimberMemoryLevel()
    const key = (index: number): string => String(index).padStart(6, '0')
    for (const [count, expected] of [
      [100_000, [100_000]],
      [100_001, [100_000, 1]],
    ] as const) {
      await db.batch(
        Array.from({ length: count }, (_, index) => ({ type: 'put', key: key(index), value: '' })),
      )
      const commits: number[] = []
      const firsts: string[] = []
      const subscription = db.commits$.subscribe(({ operations }) => {
        commits.push(operations.length)
        firsts.push(operations[0]?.key.toString() ?? '')
      })
      await db.clear()
      subscription.unsubscribe()
      expect(commits).toEqual(expected)
      expect(firsts).toEqual(expected.map((_, index) => key(index * 100_000)))
      expect(await db.keys().all()).toEqual([])
    }
    await db.close()
  })

  test('with a snapshot deletes what was there then, but nothing written since the call', async () => {
    const db = new TimberMemoryLevel()
    await db.batch(['a', 'b', 'c'].map((key) => ({ type: 'put', key, value: 'old' })))
    const snapshot = db.snapshot()
    await db.put('a', 'newer than the snapshot')
    await db.put('d', 'not in the snapshot')
    const clearing = db.clear({ snapshot })
    const late = db.put('b', 'newer than the call')
    await Promise.all([clearing, late])
    await snapshot.close()
    expect(await db.iterator().all()).toEqual([
      ['b', 'newer than the call'],
      ['d', 'not in the snapshot'],
    ])
    await db.close()
  })

  test('keeps its meta', async () => {
    const db = new TimberMemoryLevel()
    await db.put('a', '')
    const seen: unknown[] = []
    db.commits$.subscribe(({ meta }) => seen.push(meta))
    await db.clear({ meta: 'tidying' } as object)
    expect(seen).toEqual(['tidying'])
    await db.close()
  })
})
