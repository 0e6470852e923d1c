// Whatever is asked for, in whatever order, is what is in the file.
import { setImmediate } from 'node:timers/promises'
import { CrashFileSystem, failOn, FaultFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { ReadAhead } from '../src/source/read-ahead.ts'

const BLOCK_BYTES = 1024 * 1024
const content = Buffer.from(Uint32Array.from({ length: (5.5 * BLOCK_BYTES) / 4 }, (_, at) => at).buffer)

async function scene(bytes: Buffer): Promise<{ disk: FaultFileSystem; ahead: ReadAhead }> {
  const disk = new FaultFileSystem(new CrashFileSystem())
  const handle = await disk.open('/log', 'create')
  await handle.write(bytes, 0)
  return { disk, ahead: new ReadAhead(handle, { bytes: bytes.length, path: '/log' }) }
}

async function read(ahead: ReadAhead, position: number, bytes: number): Promise<Buffer> {
  const target = Buffer.alloc(bytes)
  return target.subarray(0, await ahead.read(target, position))
}

test.each([
  ['windows that begin a little before the last one ended', 200_000, 256 * 1024],
  ['windows of several blocks', 2_000_000, 3 * BLOCK_BYTES],
  ['windows far apart', 2.5 * BLOCK_BYTES, 1000],
  ['windows from the end to the beginning', -700_001, 300_000],
])('%s hold what the file holds', async (_, step, bytes) => {
  const { ahead } = await scene(content)
  const first = step > 0 ? 0 : content.length + step
  for (let position = first; position >= 0 && position < content.length; position += step) {
    const found = await read(ahead, position, bytes)
    expect(found.equals(content.subarray(position, position + bytes))).toBe(true)
  }
})

test('nothing is behind the end', async () => {
  const { ahead } = await scene(content.subarray(0, 1000))
  expect(await read(ahead, 990, 20)).toHaveLength(10)
  expect(await read(ahead, 1000, 20)).toHaveLength(0)
  expect(await read(ahead, 5 * BLOCK_BYTES, 20)).toHaveLength(0)
})

test('the part behind is asked for before it is needed, and each part once', async () => {
  const { disk, ahead } = await scene(content)
  const reads = (): number => disk.operations.filter(({ kind }) => kind === 'read').length
  await read(ahead, 0, 1000)
  await ahead.settled()
  expect(reads()).toBe(2)
  for (let position = 0; position < content.length; position += 100_000) await read(ahead, position, 100_000)
  await ahead.settled()
  expect(reads()).toBe(6)
})

test('a failure is told to who asks for that part, and to nobody before', async () => {
  const { disk, ahead } = await scene(content)
  await read(ahead, 0, 1000)
  await ahead.settled()
  disk.inject(failOn({ kind: 'read' }, 'EIO'))
  expect(await read(ahead, BLOCK_BYTES, 1000)).toHaveLength(1000)
  await ahead.settled()
  await expect(read(ahead, 2 * BLOCK_BYTES, 1000)).rejects.toMatchObject({ code: 'EIO' })
})

test('a part that nobody asks for may fail without ending the process', async () => {
  const { disk, ahead } = await scene(content)
  await read(ahead, 0, 1000)
  await ahead.settled()
  const unhandled: unknown[] = []
  const note = (reason: unknown): unknown => unhandled.push(reason)
  process.on('unhandledRejection', note)
  disk.inject(failOn({ kind: 'read' }, 'EIO'))
  await read(ahead, BLOCK_BYTES, 1000)
  for (let turn = 0; turn < 10; turn += 1) await setImmediate()
  process.off('unhandledRejection', note)
  expect(disk.injected).toHaveLength(1)
  expect(unhandled).toEqual([])
})
