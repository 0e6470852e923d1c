/** The records that everybody writes, peers in C by the same rule (peers/driver.h). */
import { Buffer } from 'node:buffer'

/** Of a key and its value, unless that is given another length. */
export const RECORD_BYTES = 116

/**
 * Keys of 16 bytes in scattered order; the values are 100 incompressible-looking bytes, as in the brief's peers table, unless said otherwise. Both are written
 * over to the last byte, in memory that was not zeroed for it: what writers take of the thread is no part of what is measured.
 */
export function keyOf(number: number): Buffer {
  const key = Buffer.allocUnsafe(16)
  key.writeUInt32BE(Math.imul(number, 2_654_435_761) >>> 0, 0)
  for (let at = 15, rest = number; at >= 4; at--, rest = Math.floor(rest / 10)) key[at] = 48 + (rest % 10)
  return key
}

export function valueOf(number: number, bytes = 100): Buffer {
  const value = Buffer.allocUnsafe(bytes)
  let state = number * 2 + 1
  for (let at = 0; at < bytes; at += 4) {
    state = Math.imul(state ^ (state >>> 15), 2_246_822_519) + at
    value.writeInt32LE(state | 0, at)
  }
  return value
}

/** Batches of 1,000 records each; made before the clock starts where only the database is to be timed. */
export function batchesOf(records: number): readonly (readonly [Buffer, Buffer])[][] {
  const numbers = Array.from({ length: records }, (_, number) => number)
  return Array.from({ length: Math.ceil(records / 1000) }, (_, at) =>
    numbers.slice(at * 1000, (at + 1) * 1000).map((number) => [keyOf(number), valueOf(number)] as const),
  )
}
