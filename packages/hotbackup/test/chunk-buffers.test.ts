import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { expect, it, onTestFinished } from 'vitest'
import { CHUNK_BYTES, chunkBuffers } from '../src/chunk-buffers.ts'
import { readRange } from '../src/sink/file-source.ts'
import { rateLimit } from '../src/pace/rate-limit.ts'

it('a buffer that was given back is taken again, whatever is read into it next', () => {
  const buffers = chunkBuffers()
  const first = buffers.take(CHUNK_BYTES)
  const second = buffers.take(CHUNK_BYTES / 2)
  // Compared here: where two differ, the matcher goes through all of their bytes to say how.
  expect(first === second).toBe(false)
  buffers.give(first)
  expect(buffers.take(100_000) === first).toBe(true)
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

it('two copies at the same time never read into one buffer, and a third goes on with theirs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-chunks-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const limit = rateLimit({ bytesPerS: undefined })
  const context = { fileSystem: nodeFileSystem, limit, buffers: chunkBuffers(), onBytes: () => undefined }
  const begin = async (letter: string): Promise<{ chunk: Buffer; end: () => Promise<void> }> => {
    const content = Buffer.alloc(200_000, letter)
    await writeFile(join(folder, letter), content)
    const reading = readRange({ path: join(folder, letter), bytes: content.length }, context)
    const { value: chunk } = await reading.next()
    if (chunk === undefined) throw new Error('nothing was read')
    return { chunk, end: async () => expect(await reading.next()).toEqual({ done: true, value: undefined }) }
  }
  const a = await begin('a')
  const b = await begin('b')
  expect([String.fromCharCode(a.chunk[0] ?? 0), String.fromCharCode(b.chunk[0] ?? 0)]).toEqual(['a', 'b'])
  await a.end()
  const c = await begin('c')
  expect(c.chunk.buffer).toBe(a.chunk.buffer)
  expect(b.chunk.every((byte) => byte === 'b'.charCodeAt(0))).toBe(true)
  await b.end()
  await c.end()
})
