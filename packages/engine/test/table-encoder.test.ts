import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LeveldbCursor } from '../src/leveldb/leveldb-cursor.ts'
import { encodeNewTables } from '../src/leveldb/leveldb-edit.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { BLOCK_BYTES, encodeRecord, recordAt } from '../src/leveldb/leveldb-record.ts'
import { checkTable, findInTable, openTableBlocks } from '../src/leveldb/leveldb-table.ts'
import { FOOTER_BYTES, TRAILER_BYTES } from '../src/leveldb/leveldb-table-layout.ts'
import type { TableSource } from '../src/leveldb/leveldb-table.ts'
import { encodeVarint } from '../src/leveldb/leveldb-varint.ts'
import { OperationWindow } from '../src/tables/operation-window.ts'
import { encodeTable } from '../src/tables/table-encoder.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()

function encoded(window: OperationWindow, sequence: number): Buffer {
  const pieces = []
  for (const piece of encodeTable(window, sequence)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

function sourceOf(bytes: Buffer): TableSource {
  return {
    path: 'a table',
    bytes: bytes.length,
    read: (target, position) => Promise.resolve(bytes.copy(target, 0, position)),
  }
}

/** The one table that LevelDB makes of some entries. */
async function tableOfLeveldb(
  name: string,
  entries: readonly (readonly [key: Buffer, value: Buffer])[],
): Promise<Buffer> {
  const directory = join(folder, name)
  const level = new RawLevel(directory)
  await level.open({ compression: false, writeBufferSize: 64 * 1024 * 1024 })
  for (const [key, value] of entries) await level.put(key, value)
  await level.compactRange(Buffer.alloc(1), Buffer.alloc(1, 0xff))
  const tables = (await readdir(directory)).filter((entry) => entry.endsWith('.ldb'))
  expect(tables).toHaveLength(1)
  const table = await readFile(join(directory, tables[0] ?? ''))
  await level.close()
  return table
}

/** The blocks of entries, and the filter behind them. */
async function partsOf(table: Buffer): Promise<{ readonly entries: Buffer; readonly filter: Buffer }> {
  let endBytes = 0
  const handles = await openTableBlocks(sourceOf(table))
  for (let next = handles.next(); next.done !== true; next = handles.next()) {
    endBytes = next.value.position + next.value.bytes + TRAILER_BYTES
  }
  const directoryAt = new LeveldbCursor(table, table.length - FOOTER_BYTES).varint()
  return { entries: table.subarray(0, endBytes), filter: table.subarray(endBytes, directoryAt) }
}

describe('a table made beside LevelDB', () => {
  test('has byte for byte the entry that LevelDB writes, and its filter', async () => {
    const window = new OperationWindow()
    const [key, value] = [Buffer.from('a key'), Buffer.from('a value')]
    window.put(key, value)
    const theirs = await partsOf(await tableOfLeveldb('one', [[key, value]]))
    const ours = await partsOf(encoded(window, 1))
    expect(ours.entries.toString('hex')).toBe(theirs.entries.toString('hex'))
    expect(ours.filter.toString('hex')).toBe(theirs.filter.toString('hex'))
  })

  test('has byte for byte the filter that LevelDB writes for many keys and blocks of any length', async () => {
    const random = seededRandom(11)
    const entries = [...Array(1500).keys()].map((index) => {
      const key = Buffer.from(`${String(index).padStart(5, '0')}${'x'.repeat(index % 9)}`)
      const bytes = index % 400 === 7 ? 20_000 : Math.floor(random() * 200)
      return [key, Buffer.alloc(bytes, index)] as const
    })
    const window = new OperationWindow()
    for (const [key, value] of entries.toReversed()) window.put(key, value)
    const theirs = await partsOf(await tableOfLeveldb('many', entries))
    const ours = await partsOf(encoded(window, 7))
    // Their entries differ in the sequence number alone.
    expect(ours.entries.length).toBe(theirs.entries.length)
    expect(ours.filter.equals(theirs.filter)).toBe(true)
  })

  test('has of each key the last operation, with its sequence number, and sound checksums', async () => {
    const window = new OperationWindow()
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 300; index += 1) {
        const key = Buffer.from(`key ${String((index * 37) % 300)}`)
        if ((index + round) % 7 === 0) window.del(key)
        else window.put(key, Buffer.from(`${String(round)} of ${String(index)}`))
      }
    }
    const sequence = 2 ** 50 + 3
    const source = sourceOf(encoded(window, sequence))
    expect(await checkTable(source)).toBe(true)
    for (let index = 0; index < 300; index += 1) {
      const entry = await findInTable(source, Buffer.from(`key ${String((index * 37) % 300)}`))
      expect(entry?.sequence).toBe(sequence)
      expect(entry?.value?.toString()).toBe((index + 2) % 7 === 0 ? undefined : `2 of ${String(index)}`)
    }
  })

  test('has entries of any length: empty ones, those that go on where the one before ends, and those longer than a piece', async () => {
    const keys = ['', 'a', 'ab', 'abc', 'b'.repeat(200), 'c', 'd'].map((key) => Buffer.from(key))
    const lengths = [0, 1, 15, 16, 127, 128, 4096, 3 * 2 ** 20]
    for (const [round, length] of lengths.entries()) {
      const window = new OperationWindow(100)
      const value = (index: number): Buffer => Buffer.alloc(length + index, round + index + 1)
      for (const [index, key] of [...keys.entries()].toReversed()) window.put(key, value(index))
      const source = sourceOf(encoded(window, round + 1))
      expect(await checkTable(source)).toBe(true)
      for (const [index, key] of keys.entries())
        expect(
          (await findInTable(source, key))?.value?.equals(value(index)),
          `${String(length)} ${key.toString()}`,
        ).toBe(true)
      expect(await findInTable(source, Buffer.from('aa'))).toBeUndefined()
    }
  })

  test('ends with a key that was written again and again', async () => {
    const window = new OperationWindow(100)
    for (let round = 0; round < 2000; round += 1) window.put(Buffer.from('z'), Buffer.from(String(round)))
    window.put(Buffer.from('a'), Buffer.alloc(5000))
    const source = sourceOf(encoded(window, 1))
    expect(await checkTable(source)).toBe(true)
    expect((await findInTable(source, Buffer.from('z')))?.value?.toString()).toBe('1999')
  })

  test('stays as it is, piece by piece, while the next one is made', () => {
    const window = new OperationWindow()
    for (let index = 0; index < 4000; index += 1)
      window.put(Buffer.from(`key ${String(index)}`), Buffer.alloc(1000, index))
    let before: { readonly piece: Buffer; readonly copy: Buffer } | undefined
    let pieces = 0
    for (const piece of encodeTable(window, 1)) {
      expect(before?.piece.equals(before.copy) ?? true).toBe(true)
      before = { piece, copy: Buffer.from(piece) }
      pieces += 1
    }
    expect(pieces).toBeGreaterThan(3)
  })

  test('is the one of FORMAT.md, with the record that adds it', () => {
    const window = new OperationWindow()
    window.put(Buffer.from('ab'), Buffer.from('1'))
    window.del(Buffer.from('ac'))
    expect(encoded(window, 7).toString('hex')).toBe(
      [
        '000a016162010700000000000031010900630007000000000000000000000100000000eaeedb74',
        '4201a050000a05800600000000090000000b0035f60db3',
        '00220266696c7465722e6c6576656c64622e4275696c74696e426c6f6f6d46696c746572322712000000000100000000699d609e',
        '000a02616300070000000000000022000000000100000000e78075b9',
        `3e2f7217${'00'.repeat(36)}57fb808b247547db`,
      ].join(''),
    )
    const key = (text: string, type: number): Buffer =>
      Buffer.from(`${Buffer.from(text).toString('hex')}0${String(type)}07000000000000`, 'hex')
    const table = { number: 9, bytes: 190, smallest: key('ab', 1), largest: key('ac', 0) }
    expect(encodeRecord(encodeNewTables([table], { nextFile: 10, lastSequence: 7 }), 0).toString('hex')).toBe(
      '0eaad9ed1f0001030a0407070009be010a616201070000000000000a61630007000000000000',
    )
  })

  test('comes in pieces, the last of which is not short of its directories', () => {
    const window = new OperationWindow()
    for (let index = 0; index < 40; index += 1)
      window.put(Buffer.from([index + 1]), Buffer.alloc(100_000, index))
    const pieces = encodeTable(window, 1)
    const lengths: number[] = []
    let next = pieces.next()
    for (; next.done !== true; next = pieces.next()) lengths.push(next.value.length)
    const { bytes, smallest, largest } = next.value
    expect(bytes).toBe(lengths.reduce((sum, piece) => sum + piece, 0))
    expect([smallest[0], largest[0]]).toEqual([1, 40])
    // Short ones at first: 64 KiB, twice as long each time, and a MiB from the fifth on.
    expect(lengths).toHaveLength(8)
    for (const [place, length] of lengths.slice(0, 6).entries()) {
      const least = Math.min(2 ** (16 + place), 2 ** 20)
      expect([length >= least, length < least + 101_000]).toEqual([true, true])
    }
  })
})

test('a record of a LevelDB log is read as it was written, wherever it begins and however long it is', () => {
  for (const bytes of [1, 100, BLOCK_BYTES - 7, BLOCK_BYTES, 3 * BLOCK_BYTES]) {
    const data = Buffer.alloc(bytes, bytes % 251)
    for (const left of [BLOCK_BYTES, 200, 9, 8, 7, 6, 1]) {
      const position = 2 * BLOCK_BYTES - left
      const file = Buffer.concat([Buffer.alloc(position), encodeRecord(data, position)])
      const record = recordAt(file, position)
      const where = `${String(bytes)} bytes, ${String(left)} left`
      expect(typeof record === 'string' ? record : record.endBytes, where).toBe(file.length)
      expect(typeof record === 'string' || record.data.equals(data), where).toBe(true)
    }
  }
})

test('a number beyond 32 bits is coded as LevelDB reads it', () => {
  for (const value of [0, 127, 128, 2 ** 31, 2 ** 40 + 5, Number.MAX_SAFE_INTEGER]) {
    expect(new LeveldbCursor(encodeVarint(value)).varint()).toBe(value)
  }
})
