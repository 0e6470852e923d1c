// The sum computed here against the one of zlib: wherever a range begins, however long it is, from any seed.
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { crcOfRange } from '../src/records/short-crc.ts'

it('the checksum of a range is the one of zlib, for every length about the one where zlib is asked', () => {
  const bytes = Buffer.from(Array.from({ length: 700 }, (_, index) => (index * 167) ^ (index >> 3)))
  for (let length = 0; length < 600; length += 1) {
    const begin = length % 13
    const found = crcOfRange(bytes, { begin, end: begin + length }, length * 6_543_210)
    expect({ length, found }).toEqual({
      length,
      found: crc32(bytes.subarray(begin, begin + length), length * 6_543_210),
    })
  }
})

it('the checksum of a range is the one of zlib, for any bytes and seed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 2 ** 32 - 1 }), (content, seed) => {
      const bytes = Buffer.from(content)
      expect(crcOfRange(bytes, { begin: 0, end: bytes.length }, seed)).toBe(crc32(bytes, seed))
    }),
  )
})
