import { describe, expect, test } from 'vitest'
import { OperationWindow } from '../src/tables/operation-window.ts'
import { encodeTransaction, type OperationInput } from '../src/records/transaction-codec.ts'
import { TransactionCursor } from '../src/records/transaction-cursor.ts'
import { seededRandom } from './support/scratch.ts'

/** What a comparison of bytes says; of one key the last operation first. */
function compared(keys: readonly Buffer[]): number[] {
  return keys
    .map((key, index) => ({ key, index }))
    .toSorted((a, b) => Buffer.compare(a.key, b.key) || b.index - a.index)
    .map(({ index }) => index)
}

function ordered(keys: readonly Buffer[]): number[] {
  const window = new OperationWindow()
  for (const key of keys) window.put(key, Buffer.from('value'))
  return [...window.inOrder()]
}

describe('keys in one memory', () => {
  test.each([
    ['of few bytes, many the beginnings of others', [0, 1, 0x61, 0xff], 8],
    ['of any bytes', [...Array(256).keys()], 6],
    ['of zeros alone', [0], 40],
  ])('%s are in the order of their bytes', (_, bytes, bytesMax) => {
    const random = seededRandom(3)
    const pick = (): number => bytes[Math.floor(random() * bytes.length)] ?? 0
    const keys = Array.from({ length: 3000 }, () =>
      Buffer.from(Array.from({ length: 1 + Math.floor(random() * bytesMax) }, pick)),
    )
    expect(ordered(keys)).toEqual(compared(keys))
  })

  test('that begin with much in common are too', () => {
    const keys = Array.from({ length: 2000 }, (_, index) =>
      Buffer.from(
        `!users!${String((index * 7919) % 1000)}!of a long name that they share!${String(index % 30)}`,
      ),
    )
    expect(ordered(keys)).toEqual(compared(keys))
  })

  test('that are all the same stand with the last one first', () => {
    const keys = Array.from({ length: 500 }, () => Buffer.from('one key'))
    expect(ordered(keys)).toEqual(compared(keys))
    expect(ordered([])).toEqual([])
  })
})

test('transactions that were gathered whole come back as what they wrote, without what their authors said', () => {
  const window = new OperationWindow()
  const cursor = new TransactionCursor()
  const operations: OperationInput[] = []
  for (let index = 0; index < 3000; index += 1) {
    const own: OperationInput[] = Array.from({ length: index % 5 }, (_, part) => {
      const key = Buffer.from(`${String(part)} of ${String(index)}`)
      return part === 3
        ? { type: 'del', key }
        : { type: 'put', key, value: Buffer.alloc((index * 13) % 700, part) }
    })
    operations.push(...own)
    const meta = index % 2 === 0 ? undefined : 'said '.repeat(20_000)
    cursor.begin(encodeTransaction({ operations: own, meta }))
    window.addAll(cursor)
    expect(cursor.meta()).toBe(meta)
  }
  expect(window.count).toBe(operations.length)
  expect(window.bytes).toBeLessThan(10_000_000)
  const texts = operations.map((operation) =>
    operation.type === 'put'
      ? `${String(operation.key)} ${String(operation.value)}`
      : `${String(operation.key)} deleted`,
  )
  const found = texts.map((_, index) =>
    window.isDeletion(index)
      ? `${String(window.key(index))} deleted`
      : `${String(window.key(index))} ${String(window.value(index))}`,
  )
  expect(found).toEqual(texts)
})

test('what was gathered comes back, also when its memory had to grow, and after it was used again', () => {
  const window = new OperationWindow()
  for (let round = 1; round <= 2; round += 1) {
    for (let index = 0; index < 20_000; index += 1) {
      const key = Buffer.from(`${String(round)}-${String(index)}`)
      if (index % 5 === 0) window.del(key)
      else window.put(key, Buffer.alloc(round * 50, index))
    }
    window.put(Buffer.from('long'), Buffer.alloc(3_000_000, round))
    expect(window.count).toBe(20_001)
    for (const index of [0, 1, 9999, 19_999]) {
      expect(window.key(index).toString()).toBe(`${String(round)}-${String(index)}`)
      expect(window.value(index)).toEqual(index % 5 === 0 ? undefined : Buffer.alloc(round * 50, index))
    }
    expect(window.value(20_000)?.equals(Buffer.alloc(3_000_000, round))).toBe(true)
    window.clear()
    expect(window.bytes).toBe(0)
  }
})
