/**
 * Fault model: real file systems of a few hundred kilobytes, mounted by the test, which needs root. A series of volumes fills one after the
 * other. Virtuoso 7.2 ended on such disks without an error and with half a backup.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../support/running-application.ts'
import { canMount, SmallDisk } from './small-disk.ts'

const MIB = 1024 * 1024

let folder = ''
let disks: SmallDisk[] = []
let db: TimberLevel
const at = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-full-volumes-'))
  db = new TimberLevel(at('home'))
  await grow(80)
})

afterEach(async () => {
  await db.close()
  for (const disk of disks.toReversed()) disk.unmount()
  disks = []
  await rm(folder, { recursive: true, force: true })
})

/** So many values of 64 KiB that no compressor shortens to less than half. */
async function grow(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1)
    await db.put(randomBytes(8).toString('hex'), randomBytes(32_768).toString('hex'))
}

function mount(name: string, bytes: number): SmallDisk {
  const disk = SmallDisk.mount(at(name), { bytes, inodes: 100 })
  disks.push(disk)
  return disk
}

const call = (dirs: readonly string[]): ReturnType<typeof hotbackup> =>
  hotbackup({ home: at('home'), target: { volumes: { prefix: 'z', volumePages: 100, dirs: dirs.map(at) } } })

async function isRestored(dirs: readonly string[]): Promise<void> {
  const home = at(`restored-${randomBytes(4).toString('hex')}`)
  const { digest } = await recover({ from: { volumes: { prefix: 'z', dirs: dirs.map(at) } }, home })
  expect(digest?.hex).toBe(digestOf(new Map(await db.iterator().all())))
}

describe.skipIf(!canMount)('V6: folders on disks that are really full (mounting needs root)', () => {
  test('a series goes on from one to the next, and its volumes are restored from all of them', async () => {
    mount('a', MIB)
    mount('b', MIB)
    mount('c', 16 * MIB)
    const { volumes } = await call(['a', 'b', 'c'])
    const counts = await Promise.all(['a', 'b', 'c'].map(async (name) => (await readdir(at(name))).length))
    expect(counts.every((count) => count > 0)).toBe(true)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(volumes?.paths.length)
    await isRestored(['a', 'b', 'c'])
    await grow(8)
    await call(['a', 'b', 'c'])
    await isRestored(['a', 'b', 'c'])
  })

  test('with no room in any of them, one error, and no file of this call; earlier ones stay', async () => {
    const first = mount('a', 8 * MIB)
    mount('b', MIB)
    await call(['a', 'b'])
    const before = await readdir(at('a'))
    await grow(56)
    for (const left of [0, 1, 2, 5, 13, 34, 89]) {
      first.fill('space', left)
      await expect(call(['a', 'b'])).rejects.toMatchObject({
        code: 'ARCHIVE_VOLUMES_FULL',
        kind: 'unavailable',
      })
      first.free()
      expect((await readdir(at('a'))).toSorted()).toEqual(before.toSorted())
      expect(await readdir(at('b'))).toEqual([])
    }
    first.fill('inodes', 0)
    await expect(call(['a', 'b'])).rejects.toMatchObject({ code: 'ARCHIVE_VOLUMES_FULL' })
    first.free()
    // A folder behind the others is what the hint says.
    mount('c', 16 * MIB)
    await call(['a', 'b', 'c'])
    await isRestored(['a', 'b', 'c'])
  })
})
