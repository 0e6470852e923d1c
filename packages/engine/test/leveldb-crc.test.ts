import { expect, test } from 'vitest'
import { crc32c } from '../src/leveldb/leveldb-crc.ts'
import { seededRandom } from './support/scratch.ts'

/** As its polynomial defines it, a bit at a time. */
function crcByBits(bytes: Uint8Array, crcSoFar = 0): number {
  let crc = ~crcSoFar
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test('the checksum of LevelDB is CRC32C, whose value for the nine digits is known', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test('what is folded several bytes and two lengths at a time is what single bits give, for any length and place', () => {
  const random = seededRandom(3)
  const bytes = Buffer.from(Array.from({ length: 20_000 }, () => Math.floor(random() * 256)))
  const lengths = [0, 1, 7, 8, 9, 2048, 4095, 4096, 4097, 4200, 8191, 8192, 8203, 12_300]
  for (const [index, length] of lengths.entries()) {
    const part = bytes.subarray(index * 3, index * 3 + length)
    expect(crc32c(part), String(length)).toBe(crcByBits(part))
    expect(crc32c(part, 0x1234_5678 + index)).toBe(crcByBits(part, 0x1234_5678 + index))
  }
})
