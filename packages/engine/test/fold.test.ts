/**
 * The one idea, as a property: the state is the fold of the commits in log order, whatever ran at once and however it was read.
 * Random programs of unawaited writes, clears and transactions; their commits are gathered from `commits$` and folded by hand.
 */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CommittedTransaction } from '../src/commit/commits.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0
const variants: Record<'classic' | 'memory', () => TimberLevel> = {
  classic: () => new TimberLevel(join(folder, String((homes += 1))), { log: { segmentBytesMax: 8192 } }),
  memory: () => new TimberMemoryLevel() as unknown as TimberLevel,
}

const key = fc.integer({ min: 0, max: 9 }).map((index) => `k${index}`)
const value = fc.integer({ min: 0, max: 999 }).map(String)
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), key, value, sync: fc.boolean() }),
  fc.record({ do: fc.constant('del' as const), key }),
  fc.record({
    do: fc.constant('batch' as const),
    entries: fc.array(fc.tuple(key, fc.option(value)), { maxLength: 5 }),
  }),
  fc.record({
    do: fc.constant('clear' as const),
    from: key,
    limit: fc.integer({ min: 1, max: 5 }),
    reverse: fc.boolean(),
  }),
  fc.record({ do: fc.constant('move' as const), from: key, to: key }),
  fc.record({ do: fc.constant('count' as const), key }),
  fc.constant({ do: 'wait' as const }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function begin(db: TimberLevel, one: Step): Promise<unknown> {
  switch (one.do) {
    case 'put':
      return db.put(one.key, one.value, { sync: one.sync })
    case 'del':
      return db.del(one.key)
    case 'batch':
      return db.batch(
        one.entries.map(([at, to]) =>
          to === null ? { type: 'del', key: at } : { type: 'put', key: at, value: to },
        ),
      )
    case 'clear':
      return db.clear({ gte: one.from, limit: one.limit, reverse: one.reverse })
    case 'move':
      // Keeps the number of keys that exist, or leaves all as it is.
      return db.transaction(
        async (tx) => {
          const [source, target] = await tx.getMany([one.from, one.to])
          if (source === undefined || target !== undefined) return
          await tx.batch([
            { type: 'del', key: one.from },
            { type: 'put', key: one.to, value: source },
          ])
        },
        { retries: 1000, meta: 'move' },
      )
    case 'count':
      return db.transaction(
        async (tx) => {
          const keys = await tx.keys().all()
          await tx.put(one.key, `count ${keys.length}`)
        },
        { retries: 1000, meta: 'count' },
      )
    case 'wait':
      return new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Folds commits, and checks each transaction against the state right before it: that it read just this. */
function fold(commits: readonly CommittedTransaction[]): Map<string, string> {
  const state = new Map<string, string>()
  for (const { operations, meta } of commits) {
    const before = new Map(state)
    for (const one of operations) {
      if (one.type === 'put') state.set(one.key.toString(), one.value.toString())
      else state.delete(one.key.toString())
    }
    if (meta === 'move' && state.size !== before.size) throw new Error('a move changed the number of keys')
    const counted = operations[0]?.type === 'put' ? operations[0].value.toString() : ''
    if (meta === 'count' && counted !== `count ${before.size}`)
      throw new Error(`${counted} of ${before.size}`)
  }
  return state
}

describe.each(['memory', 'classic'] as const)('over %s', (variant) => {
  test('the state is the fold of the commits, and each transaction read the state right before it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const db = variants[variant]()
        await db.open()
        const commits: CommittedTransaction[] = []
        db.commits$.subscribe((commit) => commits.push(commit))
        const running: Promise<unknown>[] = []
        for (const one of steps) {
          if (one.do === 'wait') await begin(db, one)
          else running.push(begin(db, one))
        }
        await Promise.all(running)
        const shown = await db.iterator().all()
        // Closing makes durable, and so shows, what was written with `sync: false`.
        await db.close()
        const expected = [...fold(commits)].sort(([a], [b]) => (a < b ? -1 : 1))
        expect(shown).toEqual(expected)
        await db.open()
        expect(await db.iterator().all()).toEqual(expected)
        await db.close()
      }),
      { numRuns: variant === 'memory' ? 150 : 25 },
    )
  })
})
