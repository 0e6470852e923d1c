/** The table of goals as it is put into a document: whether a goal was reached is said nowhere else. */
import { expect, test } from 'vitest'
import { type Goal, goalMarkdown, goalTable, limit } from '../../tools/bench/goals.ts'

const goal: Goal = { what: 'commits/s', against: 'a peer', ratios: [2, 9, 4], limit: limit('the disk') }

test('the median counts, beside the least and the most', () => {
  expect(cellsOf({ ...goal, atLeast: 4 })).toMatchObject({ median: '4.00', rounds: '2.00 to 9.00' })
})

test('a goal that is to be exceeded is reached from itself on', () => {
  expect(cellsOf({ ...goal, atLeast: 4 })).toMatchObject({ goal: 'at least 4', reached: 'yes' })
  expect(cellsOf({ ...goal, atLeast: 4.1 })).toMatchObject({ reached: 'no' })
})

test('a goal that is not to be exceeded is reached up to itself', () => {
  expect(cellsOf({ ...goal, atMost: 4 })).toMatchObject({ goal: 'at most 4', reached: 'yes' })
  expect(cellsOf({ ...goal, atMost: 3.9 })).toMatchObject({ reached: 'no' })
})

test('a limit is told where something was measured', () => {
  expect(cellsOf(goal)).toMatchObject({ limit: '', 'what bounds it': 'the disk' })
  const measured = limit('the disk', [200, 100, 300])
  expect(cellsOf({ ...goal, limit: measured })).toMatchObject({ limit: '200' })
})

test('a round that could not be measured is no goal reached', () => {
  expect(cellsOf({ ...goal, ratios: [Number.NaN], atLeast: 0 })).toMatchObject({ reached: 'no' })
  expect(cellsOf({ ...goal, ratios: [Number.NaN], atMost: 9 })).toMatchObject({ reached: 'no' })
})

test('both tables say the same', () => {
  const lines = goalTable([{ ...goal, atLeast: 1 }]).split('\n')
  const words = (line: string | undefined): string[] => (line ?? '').trim().split(/\s{2,}|\s*\|\s*/)
  const markdown = goalMarkdown([{ ...goal, atLeast: 1 }]).split('\n')
  expect(markdown).toHaveLength(lines.length)
  expect(words(markdown[2]).filter(Boolean)).toEqual(words(lines[2]))
})

/** Of the one line of a table, by the heads of its columns. */
function cellsOf(one: Goal): Record<string, string> {
  const [head = [], , cells = []] = goalMarkdown([one])
    .split('\n')
    .map((line) => line.slice(2, -2).split(' | '))
  return Object.fromEntries(head.map((title, column) => [title, cells[column] ?? '']))
}
