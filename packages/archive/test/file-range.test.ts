/** What a shipper reads of a log: all of a range, or an error; never less. */
import { CrashFileSystem, failOn, FaultFileSystem } from '@timberline/wal/testing'
import { expect, it } from 'vitest'
import { rangeContent } from '../src/shipping/file-range.ts'

const PATH = '/log'
const CONTENT = Buffer.from('0123456789')
const { signal } = new AbortController()

async function disk(content: Buffer): Promise<FaultFileSystem> {
  const fileSystem = new FaultFileSystem(new CrashFileSystem())
  const handle = await fileSystem.open(PATH, 'create')
  await handle.write(content, 0)
  await handle.close()
  return fileSystem
}

it('holds a short range whole, also where each read gives less than was asked for', async () => {
  const fileSystem = await disk(CONTENT)
  fileSystem.inject(failOn({ kind: 'read' }, 'short', { once: false }))
  const range = { path: PATH, position: 2, endPosition: 9 }
  expect(await rangeContent(fileSystem, range, signal)).toEqual(Buffer.from('2345678'))
  expect(fileSystem.injected.length).toBeGreaterThan(1)
})

it.each([
  ['short', CONTENT, { path: PATH, position: 4, endPosition: 11 }],
  ['long', Buffer.alloc(1024), { path: PATH, position: 0, endPosition: 5 * 1024 * 1024 }],
])('refuses a %s range that the file does not reach', async (_, content, range) => {
  const fileSystem = await disk(content)
  const read = async (): Promise<void> => {
    const found = await rangeContent(fileSystem, range, signal)
    if (!Buffer.isBuffer(found)) for await (const chunk of found.read()) void chunk
  }
  await expect(read()).rejects.toMatchObject({
    code: 'ARCHIVE_SOURCE_CHANGED',
    details: { position: content.length },
  })
  expect(fileSystem.operations.at(-1)?.kind).toBe('close')
})

it('reads nothing for a shipper that was told to stop', async () => {
  const fileSystem = await disk(CONTENT)
  const range = { path: PATH, position: 0, endPosition: 10 }
  await expect(rangeContent(fileSystem, range, AbortSignal.abort('stop'))).rejects.toMatchObject({
    code: 'ARCHIVE_ABORTED',
  })
  expect(fileSystem.operations.map(({ kind }) => kind)).toEqual(['open', 'write', 'close'])
})

it.each([
  [4 * 1024 * 1024, true],
  [4 * 1024 * 1024 + 1, false],
])('a range of %i bytes is held: %s', async (bytes, isHeld) => {
  const fileSystem = await disk(Buffer.alloc(bytes))
  const found = await rangeContent(fileSystem, { path: PATH, position: 0, endPosition: bytes }, signal)
  expect(Buffer.isBuffer(found)).toBe(isHeld)
})
