/** What the bench makes of its samples: a wrong median would be told to everybody, and no figure looks wrong by itself. */
import { describe, expect, test } from 'vitest'
import { comparedRow, median, medianRatio, quantile, ratios, table } from '../../tools/bench/statistics.ts'

describe('medians and quantiles', () => {
  test('are of the sorted samples, which stay as they were', () => {
    const samples = [30, 4, 100, 20, 1]
    expect(median(samples)).toBe(20)
    expect(samples).toEqual([30, 4, 100, 20, 1])
    // Of two in the middle it is the larger.
    expect(median([4, 1, 3, 2])).toBe(3)
  })

  test('the whole share is the largest', () => {
    expect(quantile([3, 9, 1], 1)).toBe(9)
    expect(quantile([3, 9, 1], 0)).toBe(1)
  })

  test('a hundredth of a hundred samples is above the p99', () => {
    const samples = Array.from({ length: 100 }, (_, index) => index)
    expect(quantile(samples, 0.99)).toBe(99)
    expect(quantile(samples, 0.5)).toBe(50)
  })

  test('of nothing there is none', () => {
    expect(median([])).toBeNaN()
  })
})

describe('ratios', () => {
  test('are taken within a round, so that a slow round slows both sides', () => {
    expect(ratios([10, 1, 30], [5, 0.5, 10])).toEqual([2, 2, 3])
    // The medians are 10 each, and their ratio is that of no round.
    expect(medianRatio([10, 1, 30], [1, 10, 40])).toBe(0.75)
  })

  test('there are as many as rounds that both have', () => {
    expect(ratios([1, 2, 3], [1, 1])).toEqual([1, 2])
    expect(ratios([1], [1, 1])).toEqual([1])
    expect(ratios([1, 2], [])).toEqual([])
  })
})

test('a line has the median of the figures, and of their ratios', () => {
  expect(comparedRow('cp', [1000.4, 10, 2000], [0.5, 1.234, 9])).toEqual(['cp', '1000', '1.23'])
})

test('a table is as wide as its widest cells, figures to the right', () => {
  expect(
    table(
      ['', 'MB/s'],
      [
        ['timberline', '9'],
        ['cp', '12345'],
      ],
    ),
  ).toBe(['             MB/s', '----------  -----', 'timberline      9', 'cp          12345'].join('\n'))
})
