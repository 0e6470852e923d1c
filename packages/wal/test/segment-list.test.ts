import { describe, expect, it } from 'vitest'
import { listSegments, memorySource, verifySegment } from '../src/index.ts'
import { FaultFileSystem } from '../src/testing/index.ts'
import { folderOf, fourSegments, pathOf } from './folder-scene.ts'
import { DIRECTORY, segmentContent } from './log-scenario.ts'

describe('a folder that is listed through a place', () => {
  it('ends there, as if no more had been written yet', async () => {
    const disk = await fourSegments()
    const all = await listSegments(DIRECTORY, disk, { scan: true })
    const second = all[1]
    const through = { segmentNumber: 2, bytes: second?.bytes ?? 0 }
    expect(await listSegments(DIRECTORY, disk, { through })).toEqual(all.slice(0, 2))
    // Of the second segment its first group only: records 3 and 4 are one group each.
    const lengths = new Set<number>()
    for (let bytes = second?.bytes ?? 0; bytes >= 96; bytes -= 8) {
      for (const scan of [false, true]) {
        const last = (await listSegments(DIRECTORY, disk, { scan, through: { ...through, bytes } })).at(-1)
        if (last?.bytes !== bytes) continue
        lengths.add(last.lastLsn)
        expect(last.sealed).toBe(bytes === second?.bytes)
      }
    }
    expect([...lengths]).toEqual([4, 3, 2])
  })

  it('has no damage behind that place', async () => {
    const disk = await fourSegments()
    const [first, second] = [await segmentContent(disk, 1), await segmentContent(disk, 2)]
    const garbage = Buffer.alloc(64, 0xa5)
    const damaged = await folderOf(first, Buffer.concat([second, garbage]), garbage)
    await expect(listSegments(DIRECTORY, damaged)).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
    const through = { segmentNumber: 2, bytes: second.length }
    expect((await listSegments(DIRECTORY, damaged, { scan: true, through })).at(-1)).toMatchObject({
      lastLsn: 4,
      sealed: true,
    })
  })
})

describe('a folder that is listed', () => {
  it('is looked at four segments at a time', async () => {
    const disk = await fourSegments()
    const contents = await Promise.all([1, 2, 3, 4].map((number) => segmentContent(disk, number)))
    const many = await folderOf(...contents, ...contents)
    let open = 0
    const opened: number[] = []
    const watched = new FaultFileSystem(many, ({ kind }) => {
      if (kind === 'open') opened.push((open += 1))
      if (kind === 'close') open -= 1
      return undefined
    })
    await expect(listSegments(DIRECTORY, watched)).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
    expect(opened).toHaveLength(8)
    expect(Math.max(...opened)).toBe(4)
    expect(open).toBe(0)
  })

  it('is refused for the first segment that is wrong, whichever was looked at first', async () => {
    const disk = await fourSegments()
    const garbage = Buffer.alloc(64, 0xa5)
    const damaged = await folderOf(await segmentContent(disk, 1), garbage, garbage, garbage)
    const refused = { code: 'WAL_CORRUPT', details: { path: pathOf(2) } }
    await expect(listSegments(DIRECTORY, damaged)).rejects.toMatchObject(refused)
    await damaged.remove(pathOf(2))
    const missing = { code: 'WAL_GAP', details: { path: pathOf(2) } }
    await expect(listSegments(DIRECTORY, damaged)).rejects.toMatchObject(missing)
  })
})

it('a segment that must follow another is refused after any other', async () => {
  const disk = await fourSegments()
  const [first, second] = await listSegments(DIRECTORY, disk)
  const third = memorySource(await segmentContent(disk, 3))
  expect(await verifySegment(third, { after: second })).toMatchObject({ lastLsn: 6 })
  await expect(verifySegment(third, { after: first })).rejects.toMatchObject({ code: 'WAL_CORRUPT' })
})
