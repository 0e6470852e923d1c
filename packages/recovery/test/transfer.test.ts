import { randomBytes } from 'node:crypto'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type FileSystem, nodeFileSystem } from '@timberline/wal'
import { expect, test } from 'vitest'
import { copyVerified, type ExpectedContent, readChunks, transfersMax } from '../src/transfer.ts'
import { scratchFolder, sha256 } from './environment.ts'

const LONG_BYTES = 1_500_000

/** What a manifest would say of this content. */
const expectedOf = (content: Buffer): ExpectedContent => ({
  code: 'RECOVERY_SOURCE_DAMAGED',
  name: 'from',
  bytes: content.length,
  sha256: sha256(content),
})

test('files that are read at the same time, more than buffers are kept for, come as they are, and so do those after them', async () => {
  const folder = await scratchFolder()
  const contents = Array.from({ length: transfersMax + 1 }, () => randomBytes(LONG_BYTES))
  await Promise.all(contents.map((content, at) => writeFile(join(folder, String(at)), content)))
  const read = async (at: number): Promise<string> => {
    const chunks: Buffer[] = []
    for await (const chunk of readChunks(join(folder, String(at)), LONG_BYTES, nodeFileSystem))
      chunks.push(Buffer.from(chunk))
    return sha256(Buffer.concat(chunks))
  }
  const places = [...contents.keys()]
  expect(await Promise.all(places.map(read))).toEqual(contents.map(sha256))
  expect(await Promise.all(places.toReversed().map(read))).toEqual(contents.toReversed().map(sha256))
})

test('a file of another length, and one that is gone, are refused before anything is copied', async () => {
  const folder = await scratchFolder()
  const from = join(folder, 'from')
  const to = join(folder, 'to')
  const content = Buffer.from('all of it')
  const expected = expectedOf(content)
  const copied = copyVerified(from, to, { expected, options: { fileSystem: nodeFileSystem } })
  await expect(copied).rejects.toMatchObject({ code: 'RECOVERY_SOURCE_DAMAGED' })
  await writeFile(from, 'all of it and more')
  const longer = copyVerified(from, to, { expected, options: { fileSystem: nodeFileSystem } })
  await expect(longer).rejects.toMatchObject({ code: 'RECOVERY_SOURCE_DAMAGED' })
  await expect(readFile(to)).rejects.toMatchObject({ code: 'ENOENT' })
  await writeFile(from, content)
  await copyVerified(from, to, { expected, options: { fileSystem: nodeFileSystem } })
  expect(await readFile(to, 'utf8')).toBe('all of it')
})

test('a copy by the system is synced after it was made, and a sync that fails is told', async () => {
  const folder = await scratchFolder()
  const from = join(folder, 'from')
  const content = Buffer.from('all of it')
  await writeFile(from, content)
  const happened: string[] = []
  let isBroken = false
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    copyFile: async (source, target) => {
      await copyFile(source, target)
      happened.push('copied')
    },
    open: async (path, mode) => {
      const handle = await nodeFileSystem.open(path, mode)
      const sync = handle.sync.bind(handle)
      handle.sync = async () => {
        if (isBroken) throw Object.assign(new Error('the disk is gone'), { code: 'EIO' })
        await sync()
        happened.push(`synced ${basename(path)}`)
      }
      return handle
    },
  }
  const expected = expectedOf(content)
  await copyVerified(from, join(folder, 'to'), { expected, options: { fileSystem } })
  expect(happened).toEqual(['copied', 'synced to'])
  isBroken = true
  const failing = copyVerified(from, join(folder, 'other'), { expected, options: { fileSystem } })
  await expect(failing).rejects.toMatchObject({ code: 'EIO' })
})
