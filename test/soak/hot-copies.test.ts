/**
 * Fault model: the owner of a home writes, compacts, takes checkpoints and is killed at random, while copies are made of it; every
 * other copy pauses between all of its steps. What is drawn at random is drawn by the machine's timing too, so a seed would not
 * bring a run back; the counts tell how much was tried. Expected of each copy: a whole prefix, with all that was durable before.
 */
import { expect, test } from 'vitest'
import { hotCopies, type HotCopiesOptions } from '../../packages/hotbackup/test/hot-copies.ts'
import { roundsWithin } from './soak-share.ts'

async function rounds(options: HotCopiesOptions): Promise<{ copies: number; kills: number }> {
  const goOn = roundsWithin(2)
  const counts = { copies: 0, kills: 0, retried: 0, transactions: 0 }
  const failures: string[] = []
  while (goOn()) {
    const report = await hotCopies(options)
    counts.copies += report.copies
    counts.kills += report.kills
    counts.retried += report.retried
    counts.transactions += report.lastTransaction
    failures.push(...report.failures)
  }
  console.log(`hot copies: ${JSON.stringify(counts)}`)
  expect(failures).toEqual([])
  return counts
}

test('hot copies under kills hold a prefix and all that was durable', async () => {
  const { copies, kills } = await rounds({ copies: 250, digestEvery: 10, killEveryMs: 1000 })
  expect(copies).toBeGreaterThanOrEqual(250)
  expect(kills).toBeGreaterThan(0)
})

test('hot copies of a larger home under rare kills hold a prefix and all that was durable', async () => {
  const { copies } = await rounds({
    copies: 10,
    shape: { keyCount: 20_000, valueBytes: 500 },
    killEveryMs: 10_000,
  })
  expect(copies).toBeGreaterThanOrEqual(10)
})
