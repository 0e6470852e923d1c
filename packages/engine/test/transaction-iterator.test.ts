// An iterator of a transaction holds one of LevelDB, whose snapshot LevelDB keeps for as long as it is open.
import type { AbstractLevel } from 'abstract-level'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { ReadSet } from '../src/commit/read-set.ts'
import { Overlay } from '../src/transaction/overlay.ts'
import { MergedIterator } from '../src/transaction/transaction-iterator.ts'

test('closes the iterator below it', async () => {
  const level = new MemoryLevel<Buffer, Buffer>({ keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await level.open()
  const below = level.iterator()
  const options = { reverse: false, limit: -1 }
  const merged = new MergedIterator(level as unknown as AbstractLevel<unknown>, {
    below,
    options,
    overlay: new Overlay(),
    reads: new ReadSet(),
  })
  await merged.close()
  await expect(below.next()).rejects.toMatchObject({ code: 'LEVEL_ITERATOR_NOT_OPEN' })
  await level.close()
})
