import { expect, it } from 'vitest'
import { CHUNK_BYTES, chunkBuffers } from '../src/chunk-buffers.ts'

it('a buffer that was given back is taken again, whatever is read into it next', () => {
  const buffers = chunkBuffers()
  const first = buffers.take(CHUNK_BYTES)
  const second = buffers.take(CHUNK_BYTES / 2)
  expect(first).not.toBe(second)
  buffers.give(first)
  expect(buffers.take(100_000)).toBe(first)
})

it('of buffers that nobody takes, two are kept, and none of those for little', () => {
  const buffers = chunkBuffers()
  const taken = Array.from({ length: 3 }, () => buffers.take(CHUNK_BYTES))
  const little = buffers.take(10)
  expect(little).toHaveLength(10)
  for (const buffer of [little, ...taken]) buffers.give(buffer)
  const again = Array.from({ length: 3 }, () => buffers.take(CHUNK_BYTES))
  expect(again.filter((buffer) => taken.includes(buffer))).toHaveLength(2)
  expect(again.every(({ length }) => length === CHUNK_BYTES)).toBe(true)
})

it('an empty file has a buffer too', () => {
  expect(chunkBuffers().take(0)).toHaveLength(1)
})
