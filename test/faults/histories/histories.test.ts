/**
 * Bounded exhaustive histories, after CrashMonkey: all sequences of up to two steps of {put, delete, transaction, clear, roll, ship,
 * mark, retain, crash, checkpoint, hot backup, restore, bulk load, follow, promote} over three keys, but for those whose follower has no
 * archive or whose promotion has no standby, and a sample by seed of those of three and four; in each, the power fails
 * before every operation of the last step that changes the disk, and after it.
 *
 * Fault model: of files and names, what was synced survives, the rest is lost, kept, torn, zeroed or reordered, on a disk that keeps
 * order in its journal (`ext4`) or not (`posix`); see `CrashFileSystem`. Histories with a step in which LevelDB has a part
 * run on a real one, whose files survive as the head of `MirrorFileSystem` tells; of their outcomes, a share is drawn.
 *
 * Expected of each outcome: the home opens to the exact content of a prefix with everything acknowledged; what was shipped is in the
 * archive, whose records alone give the content at each LSN; what was confirmed is there; every backup that was made is whole and
 * has the digest of the prefix that it names, one under way is whole or absent; a restore under way is whole or refused. A load is all
 * there or not at all, and what leads past it from before is refused by name. A standby shows exactly a prefix of the line that it
 * follows, all that was shipped once nobody ships; a promotion goes on from wherever the power failed, and loses nothing that was
 * shipped. Retention lets nothing go that an instant since the newest archived checkpoint needs, on whichever line; what it does, is not
 * owed. At the end every backup, with the archive behind it, is really recovered to its marks, its end and an LSN between.
 *
 * Replay: SEED draws outcomes and sample; a failure names history, place and loss. The soak goes through all of three and four.
 */
import { seededRandom } from '@timberline/wal/testing'
import { afterAll, expect, test } from 'vitest'
import { ScratchDisk } from '../power-loss/scratch-disk.ts'
import { HistoryCounts, runHistory } from './history-run.ts'
import { HistoryWalk } from './history-walk.ts'
import { historiesOf, historyAt, historyCount, isVain, needsReal, type History } from './history-steps.ts'

const SEED = Number(process.env['SEED'] ?? 20_261_125)
const SAMPLE = { simulated: 18, real: 6 }
/** Orders in which parts meet that no history of two steps has; too rare to be left to a sample. */
const CHOSEN: readonly History[] = [
  ['ship', 'put', 'checkpoint', 'ship'],
  ['ship', 'backup', 'put', 'restore'],
  ['backup', 'put', 'ship', 'restore'],
  ['ship', 'backup', 'restore', 'ship'],
  ['backup', 'mark', 'crash', 'restore'],
  ['backup', 'restore', 'checkpoint', 'backup'],
  // An archive begun after a recovery from a backup elsewhere: it must know whose child its first timeline is.
  ['backup', 'restore', 'ship', 'restore'],
  ['ship', 'backup', 'follow', 'promote'],
  ['ship', 'backup', 'load', 'ship', 'follow'],
  ['ship', 'backup', 'follow', 'put', 'ship', 'promote', 'put', 'ship', 'restore'],
]
/** Something really goes, and life goes on: with log that the home still has, after a loss of power, on a new line, twice. */
const RETAINING: readonly History[] = [
  ['put', 'roll', 'ship', 'checkpoint', 'backup', 'roll', 'put', 'roll', 'ship', 'retain'],
  ['put', 'roll', 'put', 'roll', 'ship', 'backup', 'checkpoint', 'backup', 'retain', 'roll', 'ship'],
  ['put', 'roll', 'put', 'roll', 'ship', 'checkpoint', 'backup', 'retain', 'put', 'crash', 'ship', 'restore'],
  [
    'ship',
    'backup',
    'put',
    'ship',
    'restore',
    'put',
    'roll',
    'put',
    'roll',
    'ship',
    'backup',
    'checkpoint',
    'backup',
    'retain',
  ],
  [
    'put',
    'roll',
    'put',
    'roll',
    'ship',
    'checkpoint',
    'backup',
    'put',
    'ship',
    'restore',
    'put',
    'ship',
    'retain',
    'restore',
  ],
  [
    'put',
    'roll',
    'ship',
    'checkpoint',
    'backup',
    'retain',
    'put',
    'roll',
    'put',
    'ship',
    'checkpoint',
    'backup',
    'retain',
  ],
]

const scratch = new ScratchDisk('timberline-histories-')
afterAll(() => scratch.remove())

async function run(histories: readonly History[], counts: HistoryCounts, realOutcomesMax = 8): Promise<void> {
  const waiting = [...histories]
  const worker = async (): Promise<void> => {
    for (let history = waiting.shift(); history !== undefined; history = waiting.shift()) {
      await runHistory(history, { scratch, seed: SEED, realOutcomesMax, everyLsn: false }, counts)
    }
  }
  // Half of each is waiting for LevelDB or for a turn of the loop.
  await Promise.all([worker(), worker(), worker()])
}

test('every history of up to two steps keeps its promises, wherever the power fails in the last', async () => {
  const counts = new HistoryCounts()
  const histories = [0, 1, 2].flatMap(historiesOf).filter((history) => !isVain(history))
  await run(histories, counts)
  console.log(`histories up to 2 steps, SEED=${String(SEED)}: ${String(counts)}`)
  expect(counts.histories).toBe(1 + 13 + 170)
  expect(counts.realHistories).toBe(4 + 89)
  expect(counts.states).toBeGreaterThan(400)
  expect(counts.recoveries).toBeGreaterThan(20)
})

test('a sample of the histories of three and four steps keeps its promises, wherever the power fails in the last', async () => {
  const counts = new HistoryCounts()
  const random = seededRandom(SEED)
  const drawn = (wanted: boolean, length: number): History => {
    for (;;) {
      const history = historyAt(length, random.integer(historyCount(length)))
      if (needsReal(history) === wanted && !isVain(history)) return history
    }
  }
  const sample = [
    ...CHOSEN,
    ...Array.from({ length: SAMPLE.simulated }, (_, index) => drawn(false, 3 + (index % 2))),
    ...Array.from({ length: SAMPLE.real }, (_, index) => drawn(true, 3 + (index % 2))),
  ]
  await run(sample, counts)
  console.log(`histories of 3 and 4 steps, SEED=${String(SEED)}: ${String(counts)}`)
  expect(counts.histories).toBe(sample.length)
  expect(counts.states).toBeGreaterThan(100)
})

test('branches of the tree of histories up to three steps keep their promises, wherever the power fails in any step', async () => {
  const counts = new HistoryCounts()
  const walk = new HistoryWalk(
    { scratch, seed: SEED, length: 3, realOutcomesMax: 5, everyLsn: false },
    counts,
  )
  const random = seededRandom(SEED)
  const { branches } = walk
  const simulated = branches.filter(({ ground }) => !ground.isReal)
  const real = branches.filter(({ ground, second }) => ground.isReal && needsReal([second]))
  for (const some of [simulated, simulated, real]) {
    const branch = some[random.integer(some.length)]
    if (branch !== undefined) await walk.walk(branch)
  }
  console.log(`branches of histories up to 3 steps, SEED=${String(SEED)}: ${String(counts)}`)
  expect(counts.histories + counts.sameHistories).toBeGreaterThanOrEqual(10 + 10 + 13)
  expect(counts.states).toBeGreaterThan(20)
})

test('a step that does nothing leads to the state that it came from', async () => {
  const counts = new HistoryCounts()
  const walk = new HistoryWalk(
    { scratch, seed: SEED, length: 3, realOutcomesMax: 1, everyLsn: false },
    counts,
  )
  // Without an archive there is nothing to let go.
  const branch = walk.branches.find(({ first, second }) => first === 'put' && second === 'retain')
  if (branch !== undefined) await walk.walk(branch)
  expect(counts).toMatchObject({ histories: 2, sameHistories: 9 })
})

test('histories in which retention lets go keep what stays promised, wherever the power fails in the last step', async () => {
  const counts = new HistoryCounts()
  await run(RETAINING, counts, 5)
  console.log(`histories with retention, SEED=${String(SEED)}: ${String(counts)}`)
  expect(counts.histories).toBe(RETAINING.length)
  expect(counts.letGo).toBeGreaterThanOrEqual(10)
  expect(counts.recoveries).toBeGreaterThanOrEqual(RETAINING.length)
})
