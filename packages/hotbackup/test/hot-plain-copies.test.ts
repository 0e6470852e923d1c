import { expect, test } from 'vitest'
import { hotPlainCopies } from './hot-plain-copies.ts'

/** The soak makes 300 more. */
const COPIES = 20

test(
  `${COPIES} hot copies of a foreign LevelDB that is written, compacted, reopened and killed all open, and hold a prefix with all that was acknowledged`,
  { timeout: 300_000 },
  async () => {
    const { failures, ...counts } = await hotPlainCopies({ copies: COPIES, killEveryMs: 700 })
    console.log(`plain copies: ${JSON.stringify(counts)}`)
    expect(failures).toEqual([])
    expect(counts.kills).toBeGreaterThan(2)
    expect(counts.logRecords).toBeGreaterThan(COPIES)
  },
)
