import { expect, test } from 'vitest'
import { bytesOf, copyBytes } from '../src/byte-copy.ts'

test('bytes of any number are copied from and to any place, and none beside them', () => {
  const from = bytesOf(Buffer.from(Array.from({ length: 1200 }, (_, index) => (index * 7) % 256)))
  // A part of a larger memory, as buffers mostly are.
  const whole = Buffer.alloc(1300)
  const to = bytesOf(whole.subarray(13))
  for (const count of [...Array(40).keys(), 255, 511, 512, 513, 1023, 1024, 1025]) {
    for (const [at, fromAt] of [
      [0, 0],
      [1, 3],
      [7, 2],
      [64, 129],
    ] as const) {
      whole.fill(0xee)
      copyBytes(to, at, from, fromAt, count)
      const expected = Buffer.alloc(1300, 0xee)
      from.bytes.copy(expected, 13 + at, fromAt, fromAt + count)
      expect(whole.equals(expected)).toBe(true)
    }
  }
})
