import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { TimberlineError } from '@timberline/wal'
import { crc32c, maskCrc } from '../src/leveldb/leveldb-crc.ts'
import { LeveldbCursor } from '../src/leveldb/leveldb-cursor.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { unpackSnappy } from '../src/leveldb/leveldb-snappy.ts'
import { checkTable, findInTable } from '../src/leveldb/leveldb-table.ts'
import type { TableSource } from '../src/leveldb/leveldb-table.ts'
import { APPLIED_KEY, decodeApplied } from '../src/reserved-keys.ts'
import { OperationWindow } from '../src/tables/operation-window.ts'
import { encodeTable } from '../src/tables/table-encoder.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
const ENTRIES = 3000

function sourceOf(content: Buffer): TableSource {
  return {
    path: 'memory',
    bytes: content.length,
    read: (target, position) => Promise.resolve(content.copy(target, 0, position, position + target.length)),
  }
}

async function makeTable(name: string, compression: boolean): Promise<Buffer> {
  const directory = join(folder, name)
  const level = new RawLevel(directory)
  await level.open({ compression })
  for (let lsn = 1; lsn <= ENTRIES; lsn += 1) {
    const batch = level.operationBatch()
    batch.put(Buffer.from(`key${lsn}`), Buffer.from(`value ${lsn} `.repeat(8)))
    await batch.write({ lsn, committedAtUs: lsn * 10 })
  }
  await level.compactRange(Buffer.alloc(32, 0xff), Buffer.alloc(32, 0xff))
  await level.close()
  const table = readdirSync(directory).find((entry) => entry.endsWith('.ldb')) ?? ''
  return readFileSync(join(directory, table))
}

describe('the table reader', () => {
  let plain: Buffer
  let packed: Buffer

  beforeAll(async () => {
    plain = await makeTable('plain', false)
    packed = await makeTable('packed', true)
  })

  test('finds the newest entry of a key that was written thousands of times', async () => {
    for (const content of [plain, packed]) {
      const entry = await findInTable(sourceOf(content), APPLIED_KEY)
      expect(decodeApplied(entry?.value)).toEqual({ lsn: ENTRIES, committedAtUs: ENTRIES * 10 })
      expect(entry?.sequence).toBeGreaterThan(ENTRIES)
    }
  })

  test('finds every key and no other, packed or not', async () => {
    expect(packed.length).toBeLessThan(plain.length)
    for (const content of [plain, packed]) {
      for (const lsn of [1, 2, 10, 999, 1500, ENTRIES]) {
        const entry = await findInTable(sourceOf(content), Buffer.from(`key${lsn}`))
        expect(entry?.value?.toString()).toBe(`value ${lsn} `.repeat(8))
      }
      expect(await findInTable(sourceOf(content), Buffer.from('key'))).toBeUndefined()
      expect(await findInTable(sourceOf(content), Buffer.from('key1000x'))).toBeUndefined()
      expect(await findInTable(sourceOf(content), Buffer.alloc(40, 0xff))).toBeUndefined()
    }
  })

  test('looks at few of many entries for a key, and refuses a directory that leads it to none', async () => {
    // Each key is written whole: the directory of a block is that of a directory of blocks.
    const window = new OperationWindow()
    for (let index = 0; index < 20_000; index += 1) {
      window.put(Buffer.from(`key ${String(index).padStart(6, '0')}`), Buffer.alloc(200, index))
    }
    const pieces: Buffer[] = []
    for (const piece of encodeTable(window, 9)) pieces.push(Buffer.from(piece))
    const content = Buffer.concat(pieces)
    const cursor = new LeveldbCursor(content, content.length - 48)
    cursor.varint()
    cursor.varint()
    const at = cursor.varint() ?? 0
    const end = at + (cursor.varint() ?? 0)
    const restartCount = content.readUInt32LE(end - 4)
    expect(restartCount).toBeGreaterThan(800)
    for (const index of [0, 1, 12_345, 19_999]) {
      const entry = await findInTable(sourceOf(content), Buffer.from(`key ${String(index).padStart(6, '0')}`))
      expect(entry?.value?.equals(Buffer.alloc(200, index))).toBe(true)
    }
    const spoil = (position: number, word: number): Promise<unknown> => {
      const spoilt = Buffer.from(content)
      spoilt.writeUInt32LE(word, position)
      spoilt.writeUInt32LE(maskCrc(crc32c(spoilt.subarray(at, end + 1))), end + 1)
      return findInTable(sourceOf(spoilt), Buffer.from('key 019999'))
    }
    // The first entries are not as they should be, and nobody has to pass them.
    await expect(spoil(at, 0xffff_ffff)).resolves.toMatchObject({ sequence: 9 })
    const middle = end - 4 - Math.floor(restartCount / 2) * 4
    for (const place of [1, 5, 0xffff_ffff]) {
      await expect(spoil(middle, place)).rejects.toMatchObject({ code: 'ENGINE_TABLE_DAMAGED' })
    }
  })

  test('passes whole tables', async () => {
    await expect(checkTable(sourceOf(plain))).resolves.toBe(true)
    await expect(checkTable(sourceOf(packed))).resolves.toBe(true)
  })

  test('says that it cannot check the blocks of a table whose directory is packed in an unknown way', async () => {
    const content = Buffer.from(plain)
    const cursor = new LeveldbCursor(content, content.length - 48)
    cursor.varint()
    cursor.varint()
    const at = cursor.varint() ?? 0
    const end = at + (cursor.varint() ?? 0)
    // zstd, as newer versions of LevelDB number it.
    content.writeUInt8(2, end)
    content.writeUInt32LE(maskCrc(crc32c(content.subarray(at, end + 1))), end + 1)
    await expect(checkTable(sourceOf(content))).resolves.toBe(false)
    content.writeUInt8(1, end - 1)
    await expect(checkTable(sourceOf(content))).rejects.toMatchObject({ code: 'ENGINE_TABLE_DAMAGED' })
  })

  test('finds every one of a thousand flipped bits', async () => {
    const random = seededRandom(3)
    let found = 0
    const unnoticed: number[] = []
    for (let trial = 0; trial < 1000; trial += 1) {
      const content = trial % 2 === 0 ? plain : packed
      const position = Math.floor(random() * content.length)
      const damaged = Buffer.from(content)
      damaged.writeUInt8(damaged.readUInt8(position) ^ (1 << Math.floor(random() * 8)), position)
      const error: unknown = await checkTable(sourceOf(damaged)).catch((reason: unknown) => reason)
      if (error instanceof TimberlineError && error.code === 'ENGINE_TABLE_DAMAGED') found += 1
      else unnoticed.push(content.length - position)
    }
    // The handles leave some bytes of the 48-byte footer unused; nothing reads them.
    expect(unnoticed.filter((fromEnd) => fromEnd > 48)).toEqual([])
    expect(found).toBeGreaterThan(990)
  })

  test('refuses a cut table by name, at every length tried', async () => {
    for (let cut = 0; cut < packed.length; cut += 97) {
      await expect(checkTable(sourceOf(packed.subarray(0, cut)))).rejects.toMatchObject({
        code: 'ENGINE_TABLE_DAMAGED',
      })
    }
  })

  test('ends in a value or a typed error for any bytes with a footer', async () => {
    const footer = packed.subarray(packed.length - 48)
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
        const finding = findInTable(sourceOf(Buffer.concat([bytes, footer])), APPLIED_KEY)
        const outcome: unknown = await finding.catch((error: unknown) => error)
        expect(outcome === undefined || outcome instanceof TimberlineError).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})

describe('unpacking Snappy', () => {
  test('repeats what overlaps', () => {
    // "ab" literal, then a copy of 6 bytes at distance 2.
    const packed = Buffer.from([8, 0x04, 0x61, 0x62, 0x09, 0x02])
    expect(unpackSnappy(packed, 100)?.toString()).toBe('abababab')
  })

  test('refuses what unpacks to more than allowed, to less than said, or reaches before its begin', () => {
    expect(unpackSnappy(Buffer.from([8, 0x04, 0x61, 0x62, 0x09, 0x02]), 7)).toBeUndefined()
    expect(unpackSnappy(Buffer.from([9, 0x04, 0x61, 0x62, 0x09, 0x02]), 100)).toBeUndefined()
    expect(unpackSnappy(Buffer.from([8, 0x04, 0x61, 0x62, 0x09, 0x03]), 100)).toBeUndefined()
  })

  test('ends in a value or nothing for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const unpacked = unpackSnappy(Buffer.from(bytes), 1_000_000)
        expect(unpacked === undefined || unpacked.length <= 1_000_000).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
