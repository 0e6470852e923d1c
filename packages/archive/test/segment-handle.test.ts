/** The file of the segment that is being shipped: opened once for many pieces. */
import { CrashFileSystem, FaultFileSystem } from '@timberline/wal/testing'
import { expect, it } from 'vitest'
import { SegmentHandle } from '../src/shipping/segment-handle.ts'

async function folder(...names: readonly string[]): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory('/log')
  for (const name of names) await (await disk.open(`/log/${name}`, 'create')).close()
  return disk
}

it('is opened once, and closed when another segment is asked for', async () => {
  const counted = new FaultFileSystem(await folder('one', 'two'))
  const segment = new SegmentHandle(counted, () => 0)
  const first = await segment.get('/log/one')
  expect(await segment.get('/log/one')).toBe(first)
  expect(await segment.get('/log/two')).not.toBe(first)
  await segment.close()
  await segment.close()
  expect(counted.operations.map(({ kind }) => kind)).toEqual(['open', 'close', 'open', 'close'])
})

it('is none where no file has the name, and the next one that gets it', async () => {
  const disk = await folder()
  let nowMs = 0
  const segment = new SegmentHandle(disk, () => nowMs)
  expect(await segment.get('/log/one')).toBeUndefined()
  await (await disk.open('/log/one', 'create')).close()
  nowMs = 1000
  expect(await segment.get('/log/one')).toBeDefined()
  await segment.close()
})
