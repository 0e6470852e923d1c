import { expect, test } from 'vitest'
import { hotCopies } from '../../packages/hotbackup/test/hot-copies.ts'

test('3,000 hot copies under kills hold a prefix and all that was durable', async () => {
  const report = await hotCopies({ copies: 3000, digestEvery: 10 })
  console.log(report)
  expect(report.failures).toEqual([])
})

test('300 hot copies of a larger home under rare kills hold a prefix and all that was durable', async () => {
  const report = await hotCopies({
    copies: 300,
    shape: { keyCount: 20_000, valueBytes: 500 },
    killEveryMs: 10_000,
  })
  console.log(report)
  expect(report.failures).toEqual([])
})
