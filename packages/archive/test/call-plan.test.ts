import { describe, expect, it } from 'vitest'
import { openSeries, planCall, VOLUME_PAGE_BYTES } from '../src/index.ts'
import type { CallIndex, CallPlan, FolderRoom } from '../src/index.ts'
import { blank, emptyDisk, manifestOf, PLACE, read, readCalls, writeCall } from './support/volume-scene.ts'

const INDEX: CallIndex = { call: 1, manifest: manifestOf({}, 1), extents: [] }
/** A volume of 100 pages takes this much. */
const VOLUME_BYTES = 128 + 4 + 100 * VOLUME_PAGE_BYTES

/** Folders on disks of their own, with room for so many volumes each. */
function rooms(...volumes: readonly number[]): readonly FolderRoom[] {
  return volumes.map((count, device) => ({
    directory: PLACE.dirs[device] ?? '/d',
    device,
    freeBytes: count * VOLUME_BYTES,
  }))
}

/** A call of so many volumes, the last one not full. */
function plan(volumes: number, parity: number, folders: readonly FolderRoom[]): CallPlan {
  const call = { volumePages: 100, parity, firstVolume: 7 }
  return planCall(call, { bytes: volumes * 100 * VOLUME_PAGE_BYTES - 50_000, index: INDEX }, folders)
}

const counts = ({ folders }: CallPlan): readonly (readonly [number, number])[] =>
  folders.map(({ volumeCount, parityCount }) => [volumeCount, parityCount] as const)

describe('the plan of a call', () => {
  it('has what the call then writes', async () => {
    for (const parity of [0, 1, 2, 3]) {
      const disk = await emptyDisk()
      const paths = await writeCall(disk, { a: blank(350) }, { parity })
      const [index] = (await openSeries(PLACE, { fileSystem: disk })).calls
      if (index === undefined) throw new Error('there is no call')
      const call = { volumePages: 100, parity, firstVolume: 1 }
      const planned = planCall(call, { bytes: 350 * VOLUME_PAGE_BYTES, index }, rooms(9, 9, 9))
      expect(planned).toMatchObject({ pages: 351, volumeCount: paths.length, fits: true })
      for (const { directory, volumeCount, parityCount, bytesMax } of planned.folders) {
        const names = await disk.list(directory)
        expect(names.filter((name) => name.endsWith('.bp'))).toHaveLength(volumeCount)
        expect(names).toHaveLength(volumeCount + parityCount)
        const sizes = await Promise.all(names.map(async (name) => read(disk, `${directory}/${name}`)))
        expect(sizes.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(bytesMax)
      }
      expect(await readCalls(disk)).toHaveLength(1)
    }
  })

  it('goes on to the next folder where the disk has no room for a volume', () => {
    expect(counts(plan(5, 0, rooms(2, 1.5, 9)))).toEqual([
      [2, 0],
      [1, 0],
      [2, 0],
    ])
    // Too few folders for groups of three: one after the other too.
    expect(counts(plan(5, 3, rooms(4, 9)))).toEqual([
      [4, 0],
      [1, 2],
    ])
  })

  it('does not fit where all folders are full, and says for what there is room', () => {
    const planned = plan(5, 0, rooms(2, 1))
    expect(planned).toMatchObject({ volumeCount: 5, fits: false })
    expect(counts(planned)).toEqual([
      [2, 0],
      [1, 0],
    ])
    expect(plan(5, 5, rooms(5)).fits).toBe(false)
    expect(plan(5, 5, rooms(7)).fits).toBe(true)
  })

  it('gives the room of a disk once, however many folders lie on it', () => {
    const shared = rooms(3, 3).map((room) => ({ ...room, device: 5 }))
    expect(plan(4, 0, shared).fits).toBe(false)
    expect(plan(3, 0, shared).fits).toBe(true)
  })

  it('gives each file of a group a folder of its own, and another one when that is full', () => {
    expect(counts(plan(4, 2, rooms(9, 9, 9)))).toEqual([
      [2, 0],
      [2, 0],
      [0, 2],
    ])
    expect(counts(plan(4, 2, rooms(9, 1, 9)))).toEqual([
      [2, 0],
      [1, 0],
      [1, 2],
    ])
  })
})
