import { expect, test } from 'vitest'
import { inTurns } from '../src/turns.ts'

test('a long list lets others have their turn between its pieces, and keeps its order', async () => {
  let running = true
  let turns = 0
  const others = (): void => {
    turns += 1
    if (running) setImmediate(others)
  }
  setImmediate(others)
  const seen: number[] = []
  await inTurns(Array.from({ length: 5500 }).keys(), (item) => seen.push(item))
  running = false
  expect(seen).toEqual(Array.from({ length: 5500 }, (_, item) => item))
  // After each thousand.
  expect(turns).toBeGreaterThanOrEqual(5)
})

test('a short list is done at once', async () => {
  let turns = 0
  setImmediate(() => (turns += 1))
  const seen: string[] = []
  await inTurns(['a', 'b'], (item) => seen.push(item))
  expect({ seen, turns }).toEqual({ seen: ['a', 'b'], turns: 0 })
})
