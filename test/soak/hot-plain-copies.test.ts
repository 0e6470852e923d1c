/**
 * Fault model: an application that knows nothing of Timberline writes batches, deletes and values of several blocks to its LevelDB,
 * compacts, closes and opens it, and is killed at random, while copies are made of it; two of three pause between all of their steps, and one
 * of three has no hard links. What is drawn at random is drawn by the machine's timing too, so the counts tell how much was tried.
 * Expected of each copy: it opens, and holds a whole prefix with all that was acknowledged when it began.
 */
import { expect, test } from 'vitest'
import { hotPlainCopies } from '../../packages/hotbackup/test/hot-plain-copies.ts'
import { roundsWithin } from './soak-share.ts'

test('hot copies of a foreign LevelDB under kills open, and hold a prefix with all that was acknowledged', async () => {
  const goOn = roundsWithin(1)
  const counts = { copies: 0, kills: 0, retried: 0, triesMax: 0, logRecords: 0, transactions: 0 }
  while (goOn()) {
    const report = await hotPlainCopies({ copies: 300, killEveryMs: 1000 })
    expect(report.failures).toEqual([])
    counts.copies += report.copies
    counts.kills += report.kills
    counts.retried += report.retried
    counts.triesMax = Math.max(counts.triesMax, report.triesMax)
    counts.logRecords += report.logRecords
    counts.transactions += report.lastTransaction
  }
  console.log(`plain copies: ${JSON.stringify(counts)}`)
  expect(counts.copies).toBeGreaterThanOrEqual(300)
  expect(counts.kills).toBeGreaterThan(0)
})
