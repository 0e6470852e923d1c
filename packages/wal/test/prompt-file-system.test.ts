import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { promptFileSystem } from '../src/index.ts'

/** The system's calls as every module sees them once they were put in place. */
const mutableFs = createRequire(import.meta.url)('node:fs') as typeof import('node:fs')

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'timberline-prompt-'))
})
afterAll(() => rm(directory, { recursive: true }))
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  syncBuiltinESMExports()
})
const at = (name: string): string => join(directory, name)

test('what is short is done when the call returns', async () => {
  const opening = promptFileSystem.open(at('a'), 'create')
  expect(existsSync(at('a'))).toBe(true)
  const file = await opening
  const writing = file.write(Buffer.from('short'), 0)
  expect(readFileSync(at('a'), 'utf8')).toBe('short')
  const target = Buffer.alloc(5)
  const reading = file.read(target, 0)
  expect(target.toString()).toBe('short')
  const linking = promptFileSystem.link(at('a'), at('b'))
  const moving = promptFileSystem.rename(at('b'), at('c'))
  expect(existsSync(at('c'))).toBe(true)
  const removing = promptFileSystem.remove(at('c'))
  expect(existsSync(at('c'))).toBe(false)
  await Promise.all([writing, reading, linking, moving, removing, file.sync(), file.close()])
})

test('what is long comes and goes whole, past the end comes what there is', async () => {
  const content = Buffer.alloc(200_000, 'long')
  const file = await promptFileSystem.open(at('long'), 'create')
  await file.write(content, 0)
  const target = Buffer.alloc(content.length + 1)
  expect(await file.read(target, 0)).toBe(content.length)
  expect(target.subarray(0, content.length).equals(content)).toBe(true)
  expect(await file.read(Buffer.alloc(10), content.length - 3)).toBe(3)
  expect(await file.status()).toMatchObject({ bytes: content.length, isDirectory: false })
  await file.close()
})

test('a call that fails rejects, as a late one would', async () => {
  await expect(promptFileSystem.open(at('nothing'), 'read')).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(promptFileSystem.remove(at('nothing'))).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await promptFileSystem.status(at('nothing'))).toBeUndefined()
})

test('a copy is a new file, and never one that was there', async () => {
  const file = await promptFileSystem.open(at('original'), 'create')
  await file.write(Buffer.from('content'), 0)
  await file.close()
  await promptFileSystem.copyFile?.(at('original'), at('copy'))
  expect(readFileSync(at('copy'), 'utf8')).toBe('content')
  await expect(promptFileSystem.copyFile?.(at('copy'), at('original'))).rejects.toMatchObject({
    code: 'EEXIST',
  })
})

test('a file is closed when the call returns, and once', async () => {
  const file = await promptFileSystem.open(at('closed'), 'create')
  expect(openCount('closed')).toBe(1)
  const closing = file.close()
  expect(openCount('closed')).toBe(0)
  await Promise.all([closing, file.close()])
})

test('a file that the pool is still at stays open until that is done', async () => {
  const file = await promptFileSystem.open(at('busy'), 'create')
  const content = Buffer.alloc(200_000, 'busy')
  const writing = file.write(content, 0)
  const closing = file.close()
  expect(openCount('busy')).toBe(1)
  await Promise.all([writing, closing])
  expect(openCount('busy')).toBe(0)
  expect(readFileSync(at('busy')).equals(content)).toBe(true)
})

// By a clock of the test's: a busy machine makes any flush a slow one.
test.each([
  ['of little is on this thread', { bytes: 1000, flushMs: 10 }, { here: 1, inPool: 1 }],
  ['of little behind a slow one is not', { bytes: 1000, flushMs: 11 }, { here: 0, inPool: 2 }],
  ['of much is not', { bytes: 100_000, flushMs: 1 }, { here: 0, inPool: 2 }],
])('the second flush %s, and none is left out', async (which, { bytes, flushMs }, expected) => {
  const file = await promptFileSystem.open(at(which), 'create')
  vi.useFakeTimers({ toFake: ['performance'] })
  const { fdatasync } = mutableFs
  const inPool = vi.spyOn(mutableFs, 'fdatasync').mockImplementation((descriptor, done) => {
    vi.advanceTimersByTime(flushMs)
    fdatasync(descriptor, done)
  })
  const here = vi.spyOn(mutableFs, 'fdatasyncSync')
  syncBuiltinESMExports()
  for (const position of [0, bytes]) {
    await file.write(Buffer.alloc(bytes), position)
    await file.sync()
  }
  expect({ here: here.mock.calls.length, inPool: inPool.mock.calls.length }).toEqual(expected)
  await file.close()
})

test('a flush is one, on either thread, and its failure rejects', async () => {
  const file = await promptFileSystem.open(at('flushed'), 'create')
  for (let count = 0; count < 3; count++) {
    await file.write(Buffer.from('more'), count * 4)
    await file.sync()
  }
  expect(readFileSync(at('flushed'), 'utf8')).toBe('moremoremore')
  await file.close()
  await expect(file.sync()).rejects.toMatchObject({ code: 'EBADF' })
})

function openCount(name: string): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => leadsTo(descriptor, at(name))).length
}

function leadsTo(descriptor: string, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === path
  } catch {
    // The one that the folder itself was read with is closed by now.
    return false
  }
}
