/**
 * All histories of three steps one by one, and those up to four as a tree, as many as the time allows, each from a position drawn from
 * the seed, so that runs with different seeds cover different parts and the count tells how far this one came. The fault model and what
 * is expected stand in `test/faults/histories/histories.test.ts`; here more outcomes are opened, and recoveries of the first
 * kind go to every LSN.
 */
import { seededRandom } from '@timberline/wal/testing'
import { afterAll, expect, test } from 'vitest'
import { HistoryCounts, runHistory } from '../faults/histories/history-run.ts'
import { historyAt, historyCount } from '../faults/histories/history-steps.ts'
import { HistoryWalk } from '../faults/histories/history-walk.ts'
import { ScratchDisk } from '../faults/power-loss/scratch-disk.ts'
import { roundsWithin, seed } from './soak-share.ts'

const WORKERS = 3
const OUTCOMES_MAX = 24

const scratch = new ScratchDisk('timberline-histories-')
afterAll(() => scratch.remove())

test('histories of 3 steps keep their promises, wherever the power fails in the last', async () => {
  const counts = new HistoryCounts()
  const count = historyCount(3)
  const options = { scratch, seed, realOutcomesMax: OUTCOMES_MAX, everyLsn: true }
  const lived = await inTurn({ count, title: 'histories of 3 steps', counts }, (number) =>
    runHistory(historyAt(3, number), options, counts),
  )
  expect(counts.histories).toBe(lived)
})

test('histories up to 4 steps, opened before each, keep their promises, wherever the power fails in any', async () => {
  const counts = new HistoryCounts()
  const walk = new HistoryWalk(
    { scratch, seed, length: 4, realOutcomesMax: OUTCOMES_MAX, everyLsn: false },
    counts,
  )
  const { branches } = walk
  const title = 'branches of histories up to 4 steps'
  await inTurn({ count: branches.length, title, counts }, async (number) => {
    const branch = branches[number]
    if (branch !== undefined) await walk.walk(branch)
  })
  expect(counts.histories).toBeGreaterThan(0)
})

interface Work {
  readonly count: number
  readonly title: string
  readonly counts: HistoryCounts
}

/** Some at a time, from a drawn one on and around, until the time is over; returns how many. */
async function inTurn(
  { count, title, counts }: Work,
  work: (number: number) => Promise<void>,
): Promise<number> {
  const begin = seededRandom(seed + count).integer(count)
  const goOn = roundsWithin(2)
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count && goOn()) {
      const number = (begin + next) % count
      next += 1
      await work(number)
    }
  }
  try {
    await Promise.all(Array.from({ length: WORKERS }, worker))
  } finally {
    const range = `${String(next)} of ${String(count)} from number ${String(begin)}`
    console.log(`${title}, seed ${String(seed)}: ${range}: ${String(counts)}`)
  }
  return next
}
