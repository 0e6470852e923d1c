/**
 * All histories of three steps and as many of four as the time allows, each from a position drawn from the seed, so that runs with
 * different seeds cover different parts and the count tells how far this one came. The fault model and what is expected stand in
 * `test/faults/histories/histories.test.ts`; here more outcomes are opened, and recoveries go to every LSN.
 */
import { seededRandom } from '@timberline/wal/testing'
import { afterAll, expect, test } from 'vitest'
import { HistoryCounts, runHistory } from '../faults/histories/history-run.ts'
import { historyAt, historyCount } from '../faults/histories/history-steps.ts'
import { ScratchDisk } from '../faults/power-loss/scratch-disk.ts'
import { roundsWithin, seed } from './soak-share.ts'

const WORKERS = 3
/** Histories between two looks at the clock. */
const ROUND = 30

const scratch = new ScratchDisk('timberline-histories-')
afterAll(() => scratch.remove())

test.each([3, 4])(
  'histories of %i steps keep their promises, wherever the power fails in the last',
  async (length) => {
    const counts = new HistoryCounts()
    const count = historyCount(length)
    const begin = seededRandom(seed + length).integer(count)
    const goOn = roundsWithin(2)
    let next = 0
    const worker = async (end: number): Promise<void> => {
      while (next < end) {
        const history = historyAt(length, (begin + next) % count)
        next += 1
        await runHistory(history, { scratch, seed, realOutcomesMax: 24, everyLsn: true }, counts)
      }
    }
    try {
      while (next < count && goOn()) {
        const end = Math.min(count, next + ROUND)
        await Promise.all(Array.from({ length: WORKERS }, () => worker(end)))
      }
    } finally {
      const range = `${String(next)} of ${String(count)} from number ${String(begin)}`
      console.log(`histories of ${String(length)} steps, seed ${String(seed)}: ${range}: ${String(counts)}`)
    }
    expect(counts.histories).toBe(next)
    expect(counts.states).toBeGreaterThan(0)
  },
)
