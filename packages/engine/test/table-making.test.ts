/** A table that is long enough to be flushed while it is made: what is said of it, and what comes of a device that fails meanwhile. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { failOn, FaultFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { tableName } from '../src/leveldb/leveldb-files.ts'
import { OperationWindow } from '../src/tables/operation-window.ts'
import { encodeTable } from '../src/tables/table-encoder.ts'
import { makeTable } from '../src/tables/table-making.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const NUMBER = 7
const SEQUENCE = 12

/** Several times what is written between two flushes. */
function longWindow(): OperationWindow {
  const window = new OperationWindow()
  for (let number = 0; number < 140; number += 1) {
    window.put(Buffer.from(`key ${String(number)}`), Buffer.alloc(100_000, number))
  }
  return window
}

function bytesOf(window: OperationWindow): Buffer {
  const pieces = []
  for (const piece of encodeTable(window, SEQUENCE)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

function directoryOf(name: string): string {
  const directory = join(folder, name)
  mkdirSync(directory)
  return directory
}

test('the device begins with it before it is whole, and the last flush follows the last write', async () => {
  const dataDirectory = directoryOf('whole')
  const disk = new FaultFileSystem(nodeFileSystem)
  const window = longWindow()
  const made = await makeTable(
    { dataDirectory, fileSystem: disk, number: NUMBER },
    { window, sequence: SEQUENCE },
  )
  expect(readFileSync(join(dataDirectory, tableName(NUMBER))).equals(bytesOf(window))).toBe(true)
  expect(made.bytes).toBe(bytesOf(window).length)
  const kinds = disk.operations.map(({ kind }) => kind).filter((kind) => kind === 'write' || kind === 'sync')
  expect(kinds.filter((kind) => kind === 'sync').length).toBeGreaterThan(1)
  expect(kinds.at(-1)).toBe('sync')
})

test('a flush that fails while there is more to come fails the table, and no other is tried', async () => {
  const dataDirectory = directoryOf('failed')
  const disk = new FaultFileSystem(nodeFileSystem, failOn({ kind: 'sync' }, 'EIO'))
  const job = { window: longWindow(), sequence: SEQUENCE }
  const making = makeTable({ dataDirectory, fileSystem: disk, number: NUMBER }, job)
  await expect(making).rejects.toMatchObject({ code: 'EIO' })
  expect(disk.injected).toHaveLength(1)
  expect(disk.operations.filter(({ kind }) => kind === 'sync')).toHaveLength(1)
})
