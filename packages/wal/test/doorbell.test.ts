import { expect, test } from 'vitest'
import { Doorbell } from '../src/reading/doorbell.ts'
import type { FileSystem } from '../src/index.ts'

const POLL_MS = 3_600_000

/** A bell that is rung by hand, and the count of times that its watch was put up. */
function handRung(): { fileSystem: FileSystem; ring: () => void; watches: () => number } {
  let watches = 0
  let onRing = (): void => undefined
  const watch = (_: string, onChange: () => void): (() => void) => {
    watches += 1
    onRing = onChange
    return () => (onRing = () => undefined)
  }
  return {
    fileSystem: { watch } as unknown as FileSystem,
    ring: () => onRing(),
    watches: () => watches,
  }
}

test('a caller that knows of more to come is asked again at once, and no watch is put up for it', async () => {
  const { fileSystem, ring, watches } = handRung()
  const bell = new Doorbell(fileSystem, '/log', undefined)
  ring()
  const answers = [true, true, false]
  const asked: boolean[] = []
  const gather = async (rang: boolean): Promise<boolean> => {
    asked.push(rang)
    return answers.shift() ?? false
  }
  for (const expected of [1, 1, 2]) {
    expect(await bell.wait(POLL_MS, gather)).toBe(true)
    expect(watches()).toBe(expected)
  }
  expect(asked).toEqual([true, true, true])
  // Now it listens again: what rings from here on is heard.
  const waiting = bell.wait(POLL_MS, gather)
  ring()
  expect(await waiting).toBe(true)
  bell.close()
})

test('a watch that is up already is not put up twice after silence', async () => {
  const { fileSystem, watches } = handRung()
  const bell = new Doorbell(fileSystem, '/log', undefined)
  expect(await bell.wait(1, async () => false)).toBe(false)
  expect(watches()).toBe(1)
  bell.close()
})
