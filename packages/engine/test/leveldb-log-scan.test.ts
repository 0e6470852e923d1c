import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { ClassicLevel } from 'classic-level'
import { beforeAll, describe, expect, test } from 'vitest'
import { crc32c, maskCrc } from '../src/leveldb/leveldb-crc.ts'
import { type LeveldbLog, LeveldbLogScanner, scanLeveldbLog } from '../src/leveldb/leveldb-log-scan.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const BLOCK = 32 * 1024

function scan(bytes: Buffer): LeveldbLog {
  const scanner = new LeveldbLogScanner()
  for (let at = 0; at < bytes.length; at += BLOCK) scanner.push(bytes.subarray(at, at + BLOCK))
  return scanner.end()
}

/** A log record of one fragment: a batch of `count` writes from `sequence` on. */
function record(sequence: number, count: number, bytes = 12): Buffer {
  const data = Buffer.alloc(bytes)
  data.writeBigUInt64LE(BigInt(sequence), 0)
  data.writeUInt32LE(count, 8)
  return fragment(1, data)
}

function fragment(type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(7)
  header.writeUInt32LE(maskCrc(crc32c(Buffer.concat([Buffer.from([type]), data]))), 0)
  header.writeUInt16LE(data.length, 4)
  header.writeUInt8(type, 6)
  return Buffer.concat([header, data])
}

describe('the reader of LevelDB’s own log', () => {
  let whole: Buffer
  let path = ''
  /** Writes in each batch. */
  const sizes: number[] = []

  beforeAll(async () => {
    const directory = join(folder, 'written')
    const level = new ClassicLevel<string, string>(directory)
    await level.open()
    for (let index = 0; index < 60; index += 1) {
      const size = 1 + (index % 4)
      // Some reach over several blocks, and one ends where no header has room.
      const value = 'x'.repeat(index % 20 === 7 ? 40_000 : 100 + index * 17)
      await level.batch(
        Array.from({ length: size }, (_, each) => ({ type: 'put', key: `${index}-${each}`, value })),
      )
      sizes.push(size)
    }
    await level.close()
    const name = readdirSync(directory).find((each) => each.endsWith('.log')) ?? ''
    path = join(directory, name)
    whole = await readFile(path)
  })

  test('finds every batch that was written, and how many writes they hold', async () => {
    const count = sizes.reduce((sum, size) => sum + size, 0)
    expect(whole.length).toBeGreaterThan(4 * BLOCK)
    expect(scan(whole)).toEqual({
      bytes: whole.length,
      endBytes: whole.length,
      recordCount: sizes.length,
      firstSequence: 1,
      nextSequence: count + 1,
      tail: 'end',
    })
    const handle = await nodeFileSystem.open(path, 'read')
    expect(await scanLeveldbLog(handle)).toEqual(scan(whole))
    await handle.close()
  })

  test('ends at the last whole batch wherever the file is cut, and says whether one was cut', () => {
    const ends = new Set<number>([0])
    for (let bytes = 0; bytes <= whole.length; bytes += bytes % 5 === 0 ? 1 : 1499) {
      const { endBytes, tail, recordCount } = scan(whole.subarray(0, bytes))
      ends.add(endBytes)
      expect(endBytes).toBeLessThanOrEqual(bytes)
      expect(tail).not.toBe('damaged')
      // At a block's end there may be padding between.
      expect(tail === 'end' ? bytes - endBytes < 7 : bytes > endBytes).toBe(true)
      expect(scan(whole.subarray(0, endBytes))).toMatchObject({ endBytes, recordCount, tail: 'end' })
    }
    expect(ends.size).toBeGreaterThan(sizes.length / 3)
  })

  test('never takes a turned bit for a batch', () => {
    const found = { damaged: 0, torn: 0, end: 0 }
    const last = scan(whole).nextSequence
    for (let index = 0; index < whole.length; index += 1501) {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8((bytes[index] ?? 0) ^ (1 << (index % 8)), index)
      const { endBytes, tail, nextSequence } = scan(bytes)
      found[tail] += 1
      // Padding is read by nobody.
      expect(tail === 'end' ? nextSequence === last : endBytes <= index).toBe(true)
    }
    expect(found.damaged).toBeGreaterThan(20 * (found.torn + found.end))
  })

  test('takes zeros at the end for space written ahead, and zeros in between for damage', () => {
    const before = Buffer.concat([record(1, 2), record(3, 1)])
    const zeros = Buffer.alloc(2 * BLOCK - before.length)
    const expected = { endBytes: before.length, recordCount: 2, nextSequence: 4 }
    expect(scan(Buffer.concat([before, zeros, Buffer.alloc(100)]))).toMatchObject({
      ...expected,
      tail: 'end',
    })
    expect(scan(Buffer.concat([before, zeros, record(4, 1)]))).toMatchObject({ ...expected, tail: 'damaged' })
  })

  test.each<[string, Buffer[]]>([
    ['a batch that goes back', [record(5, 1), record(5, 1)]],
    ['a batch without a head', [record(1, 1), fragment(1, Buffer.alloc(11))]],
    ['a middle without a beginning', [record(1, 1), fragment(3, Buffer.alloc(20))]],
    ['a beginning inside a batch', [record(1, 1), fragment(2, Buffer.alloc(20)), record(2, 1)]],
    ['a number beyond all counts', [record(1, 1), record(2 ** 53 - 1, 2)]],
    ['a fragment of no kind', [record(1, 1), fragment(9, Buffer.alloc(20))]],
  ])('refuses %s', (_, parts) => {
    expect(scan(Buffer.concat(parts))).toMatchObject({ recordCount: 1, tail: 'damaged' })
  })

  test('allows a number to be left out, where LevelDB could not write', () => {
    expect(scan(Buffer.concat([record(1, 1), record(9, 1)]))).toMatchObject({ recordCount: 2, tail: 'end' })
  })
})
