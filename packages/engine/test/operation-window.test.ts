import { expect, test } from 'vitest'
import { TransactionEncoder } from '../src/records/transaction-codec.ts'
import { TransactionCursor } from '../src/records/transaction-cursor.ts'
import { OperationWindow } from '../src/tables/operation-window.ts'

test('holds more than it expected, in bytes and in operations', () => {
  const window = new OperationWindow(100)
  const entries = Array.from({ length: 3000 }, (_, at) => [`k${String(at)}`, 'v'.repeat(at % 50)] as const)
  for (const [key, value] of entries) window.put(Buffer.from(key), Buffer.from(value))
  expect(window.count).toBe(entries.length)
  const found = entries.map((_, at) => [window.key(at).toString(), window.value(at)?.toString()])
  expect(found).toEqual(entries)
})

test('holds transactions that make it grow while they are taken in', () => {
  const window = new OperationWindow(100)
  const transactions = [3, 200, 5].map((count, round) =>
    Array.from({ length: count }, (_, at) => [`${String(round)} ${String(at)}`, 'v'.repeat(at)] as const),
  )
  for (const operations of transactions) {
    const encoder = new TransactionEncoder()
    encoder.begin()
    for (const [key, value] of operations) encoder.put(key, value)
    const cursor = new TransactionCursor()
    cursor.begin(encoder.end())
    window.addAll(cursor)
  }
  const entries = transactions.flat()
  const found = entries.map((_, at) => [window.key(at).toString(), window.value(at)?.toString()])
  expect([window.count, found]).toEqual([entries.length, entries])
})
