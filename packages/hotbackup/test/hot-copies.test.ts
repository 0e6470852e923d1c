import { expect, test } from 'vitest'
import { hotCopies } from './hot-copies.ts'

/** The soak that a merge waits for makes 250 more. */
const COPIES = 20
const KILLS_MIN = 4

test(
  `hot copies of a home that is written, compacted, killed and reopened all hold a prefix and all that was durable`,
  { timeout: 300_000 },
  async () => {
    const report = await hotCopies({ copies: COPIES, killsMin: KILLS_MIN, killEveryMs: 400 })
    console.log(
      `${report.copies} copies, ${report.kills} kills, ${report.retried} pinned anew, ${report.lastTransaction} transactions`,
    )
    expect(report.failures).toEqual([])
    expect(report.kills).toBeGreaterThanOrEqual(KILLS_MIN)
  },
)
