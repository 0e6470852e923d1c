import { expect, test } from 'vitest'
import { OperationWindow } from '../src/tables/operation-window.ts'

test('holds more than it expected, in bytes and in operations', () => {
  const window = new OperationWindow(100)
  const entries = Array.from({ length: 3000 }, (_, at) => [`k${String(at)}`, 'v'.repeat(at % 50)] as const)
  for (const [key, value] of entries) window.put(Buffer.from(key), Buffer.from(value))
  expect(window.count).toBe(entries.length)
  const found = entries.map((_, at) => [window.key(at).toString(), window.value(at)?.toString()])
  expect(found).toEqual(entries)
})
