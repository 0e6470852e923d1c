import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { lastValueFrom, take, toArray } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { TimberLevel } from '../src/timber-level.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import type { CommittedTransaction } from '../src/commit/commits.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0
const newHome = (): string => join(folder, `home${(homes += 1)}`)

const outline = ({ lsn, operations, meta }: CommittedTransaction): unknown[] => [
  lsn,
  operations.map((one) => `${one.type} ${one.key.toString()}`),
  meta,
]

describe('the stream of commits', () => {
  test('shows a transaction as it was committed: place, time, operations, meta', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', '1')
    await db.batch(
      [
        { type: 'put', key: 'b', value: '2' },
        { type: 'del', key: 'a' },
      ],
      { meta: { actor: 'x' } },
    )
    await db.mark('not a transaction')
    await db.del('b', { meta: 'bye' })
    const commits = await lastValueFrom(db.commitsFrom(1).pipe(take(3), toArray()))
    expect(commits.map(outline)).toEqual([
      [1, ['put a'], undefined],
      [2, ['put b', 'del a'], { actor: 'x' }],
      [4, ['del b'], 'bye'],
    ])
    const times = commits.map(({ committedAtUs }) => committedAtUs)
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(Math.abs((times[0] ?? 0) / 1000 - Date.now())).toBeLessThan(60_000)
    await db.close()
  })

  test('has no gap and no repeat where the past ends and the present begins, under a writer that never stops', async () => {
    const db = new TimberLevel(newHome(), {
      log: { segmentBytesMax: 64 * 1024 },
      // On a fast disk one would let go what the last of the readers begin with.
      checkpoint: { checkpointBytes: 0 },
    })
    await db.open()
    let isWriting = true
    let written = 0
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      while (isWriting) {
        await db.put(`w${writer}`, `${(written += 1)}`.repeat(10), { sync: writer % 2 === 0 })
      }
    })
    const seen: number[][] = []
    const done: Promise<unknown>[] = []
    for (let index = 0; index < 12; index += 1) {
      await new Promise((resolve) => setTimeout(resolve, 60))
      const lsns: number[] = []
      seen.push(lsns)
      done.push(
        new Promise((resolve, reject) => {
          db.commitsFrom(1 + index * 10).subscribe({
            next: ({ lsn }) => lsns.push(lsn),
            error: reject,
            complete: () => resolve(undefined),
          })
        }),
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    isWriting = false
    await Promise.all(writers)
    await db.put('last', '')
    written += 1
    // The first one sees all from the beginning; the note of the first checkpoint may take an LSN among them, or after them.
    const [all = []] = seen
    await expect.poll(() => all.length, { timeout: 10_000 }).toBe(written)
    await expect.poll(() => seen.every((lsns) => lsns.at(-1) === all.at(-1)), { timeout: 10_000 }).toBe(true)
    await db.close()
    await Promise.all(done)
    expect(all.every((lsn, at) => at === 0 || lsn > (all[at - 1] ?? 0))).toBe(true)
    seen.forEach((lsns, index) => expect(lsns).toEqual(all.filter((lsn) => lsn >= 1 + index * 10)))
  })

  test('begins with what comes, when no LSN is given', async () => {
    const db = new TimberLevel(newHome())
    await db.put('before', '')
    const lsns: number[] = []
    const subscription = db.commits$.subscribe(({ lsn }) => lsns.push(lsn))
    await db.put('after', '')
    await db.put('after', '2')
    subscription.unsubscribe()
    await db.put('unseen', '')
    expect(lsns).toEqual([2, 3])
    await db.close()
  })

  test('may be asked for before the database is open, and for an LSN that is not there yet', async () => {
    const db = new TimberLevel(newHome())
    const first = lastValueFrom(db.commits$.pipe(take(1)))
    const third = lastValueFrom(db.commitsFrom(3).pipe(take(1)))
    await db.open()
    await new Promise(setImmediate)
    for (const key of ['a', 'b', 'c']) await db.put(key, '')
    expect((await first).lsn).toBe(1)
    expect((await third).lsn).toBe(3)
    await db.close()
  })

  test('goes on from an LSN across a restart', async () => {
    const db = new TimberLevel(newHome())
    await db.put('a', '')
    await db.close()
    await db.open()
    await db.put('b', '')
    const kept = await lastValueFrom(db.commitsFrom(2).pipe(take(1)))
    expect(outline(kept)[1]).toEqual(['put b'])
    await db.close()
  })

  test('shows nothing that is not durable', async () => {
    const db = new TimberLevel(newHome())
    await db.open()
    const lsns: number[] = []
    db.commits$.subscribe(({ lsn }) => lsns.push(lsn))
    await db.put('a', '', { sync: false })
    expect(lsns).toEqual([])
    await db.put('b', '')
    expect(lsns).toEqual([1, 2])
    await db.close()
  })

  test('fails by name where the log has been removed', async () => {
    const home = newHome()
    const db = new TimberLevel(home)
    await db.put('a', '')
    await db.switchSegment()
    await db.put('b', '')
    const [oldest = ''] = readdirSync(join(home, 'log')).filter((name) => name.startsWith('log.'))
    rmSync(join(home, 'log', oldest))
    await expect(lastValueFrom(db.commitsFrom(1))).rejects.toMatchObject({
      code: 'ENGINE_LSN_PRUNED',
      kind: 'gap',
    })
    expect((await lastValueFrom(db.commitsFrom(2).pipe(take(1)))).lsn).toBe(2)
    await db.close()
  })

  test('completes when the database is closed', async () => {
    const db = new TimberLevel(newHome())
    await db.open()
    const all = lastValueFrom(db.commits$.pipe(toArray()))
    await db.put('a', '')
    await db.close()
    expect((await all).map(({ lsn }) => lsn)).toEqual([1])
  })

  test('shows all of the past before it completes, when the database is closed at once', async () => {
    const db = new TimberLevel(newHome())
    for (let index = 0; index < 300; index += 1) await db.put('a', String(index), { sync: false })
    const all = lastValueFrom(db.commitsFrom(1).pipe(toArray()))
    await db.close()
    expect(await all).toHaveLength(300)
  })

  test('of a memory database without a log has a present, and no past', async () => {
    const db = new TimberMemoryLevel()
    await db.put('a', '')
    await expect(lastValueFrom(db.commitsFrom(1))).rejects.toMatchObject({ code: 'ENGINE_LSN_PRUNED' })
    const next = lastValueFrom(db.commits$.pipe(take(1)))
    await db.put('b', '')
    expect((await next).lsn).toBe(2)
    await db.close()
  })

  test('a listener that throws disturbs no writer', async () => {
    const db = new TimberLevel(newHome())
    await db.open()
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error.message))
    db.commits$.subscribe(() => {
      throw new Error('mine')
    })
    await db.put('a', '1')
    await db.put('a', '2')
    await new Promise((resolve) => setTimeout(resolve, 20))
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
    expect(thrown.length).toBeGreaterThan(0)
    expect(await db.get('a')).toBe('2')
    await db.close()
  })
})
