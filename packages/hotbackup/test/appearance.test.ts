/**
 * Fault model: power loss at every operation of a backup folder's appearance, on a disk that forgets, tears and reorders
 * whatever was not synced, names included. What the next backup finds must be the older set or the new one, whole.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { decodeBackupManifest } from '@timberline/archive'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { readFileWhole } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { CrashFileSystem, FaultFileSystem, crashAt } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import { beginFolderSink } from '../src/sink/folder-sink.ts'
import { settleLeftovers } from '../src/sink/partial-folder.ts'

const target = '/backups/today'
const SEEDS = 12
const quiet = (): void => undefined

function manifestOf(label: string, files: readonly BackupFile[]): BackupManifest {
  return {
    format: 1,
    label,
    environmentId: 'a'.repeat(32),
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn: 1,
      committedAtUs: 1,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000002',
      manifestBase64: 'AA==',
      current: 'MANIFEST-000002\n',
    },
    beginLsn: 2,
    endLsn: 2,
    endCommittedAtUs: 2,
    files,
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  }
}

/** One small set under the given label. */
async function makeSet(label: string, fileSystem: FileSystem): Promise<void> {
  const sink = await beginFolderSink({ target, label, fileSystem })
  try {
    const files = [
      await sink.write('timberline.json', Buffer.from(`identity of ${label}`)),
      await sink.write('checkpoint/0000000000000001.json', Buffer.from(`checkpoint of ${label}`)),
      await sink.write('checkpoint/tables/000005.ldb', Buffer.alloc(5000, label)),
      await sink.write('log/log.0000000001', Buffer.alloc(3000, label)),
    ]
    await sink.complete(manifestOf(label, files))
  } catch (error) {
    await sink.abandon()
    throw error
  }
}

/** The label of the set that stands, every file of it checked; `undefined` when there is none. */
async function standing(fileSystem: FileSystem): Promise<string | undefined> {
  if ((await fileSystem.status(target)) === undefined) return undefined
  if ((await fileSystem.list(target)).length === 0) return undefined
  const content = await readFileWhole(join(target, 'backup.json'), fileSystem)
  const manifest = decodeBackupManifest(content)
  for (const file of manifest.files) {
    expect(await fileSystem.status(join(target, file.name)), file.name).toBeDefined()
    const content = await readFileWhole(join(target, file.name), fileSystem)
    expect(createHash('sha256').update(content).digest('hex'), file.name).toBe(file.sha256)
  }
  return manifest.label
}

async function diskWith(label: string | undefined): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem({ model: 'posix' })
  await disk.makeDirectory('/backups')
  await disk.syncDirectory('/')
  if (label !== undefined) await makeSet(label, disk)
  return disk
}

describe.each([undefined, 'old'])('a backup that replaces %s', (before) => {
  it('is there whole or not at all after power loss at any operation', async () => {
    const counting = new FaultFileSystem(await diskWith(before))
    await makeSet('new', counting)
    const seen = new Map<string | undefined, number>()
    for (let index = 1; index <= counting.operations.length; index += 1) {
      for (const seed of oneIn(2, operationsOf(SEEDS), index)) {
        const disk = await diskWith(before)
        // A crash while the replaced set is being removed comes too late to be an error.
        await makeSet('new', new FaultFileSystem(disk, crashAt(index))).catch(() => undefined)
        const found = disk.crash(seed)
        await settleLeftovers(target, found, quiet)
        const label = await standing(found)
        expect([before, 'new'], `operation ${index}, seed ${seed}`).toContain(label)
        expect(await found.list('/backups')).toEqual(label === undefined ? [] : ['today'])
        seen.set(label, (seen.get(label) ?? 0) + 1)
        // What was settled is so for good, and the next backup goes through.
        await makeSet('next', found)
        expect(await standing(found.crash(seed))).toBe('next')
      }
    }
    expect(seen.get('new') ?? 0).toBeGreaterThan(0)
    expect(seen.get(before) ?? 0).toBeGreaterThan(0)
  }, 60_000)
})

/** Removes a tree as a real file system does: name by name, each of them an operation at which it can end. */
class Stepwise extends FaultFileSystem {
  override async removeTree(path: string): Promise<void> {
    for (const name of (await this.list(path)).toReversed()) {
      const inside = join(path, name)
      if ((await this.status(inside))?.isDirectory === true) await this.removeTree(inside)
      else await this.remove(inside)
    }
    await super.removeTree(path)
  }
}

it('an older backup whose removal was cut off anywhere is never taken for one again', async () => {
  const counting = new Stepwise(await diskWith('old'))
  await makeSet('new', counting)
  let halves = 0
  const moments = Array.from({ length: counting.operations.length }, (_, at) => at + 1)
  for (const [index, seed] of moments.flatMap((at) =>
    oneIn(2, [1, 2, 3, 4], at).map((drawn) => [at, 4 * at + drawn] as const),
  )) {
    const disk = await diskWith('old')
    await makeSet('new', new Stepwise(disk, crashAt(index))).catch(() => undefined)
    // The power is gone, the disk kept what it kept, and the user has moved the backup that stands away.
    const found = disk.crash(seed)
    const label = await standing(found)
    if (label !== undefined) await found.removeTree(target)
    const left = await found.list('/backups')
    if (label === 'new' && left.length > 0) halves += 1
    await settleLeftovers(target, found, quiet)
    expect(['old', 'new', undefined], `operation ${index}`).toContain(await standing(found))
    await makeSet('next', found)
    expect(await standing(found)).toBe('next')
  }
  expect(halves).toBeGreaterThan(3)
}, 60_000)

describe('leftovers', () => {
  it('that hold something no backup wrote are left alone, and said so', async () => {
    const disk = await diskWith(undefined)
    await disk.makeDirectory('/backups/today.partial-999999/letters')
    const events: string[] = []
    await settleLeftovers(target, disk, (event) => events.push(event.type))
    expect(events).toEqual(['leftover.kept'])
    expect(await disk.list('/backups')).toEqual(['today.partial-999999'])
  })

  it('of a living process refuse a second backup to the same target', async () => {
    const disk = await diskWith(undefined)
    const sink = await beginFolderSink({ target, label: 'first', fileSystem: disk })
    await expect(settleLeftovers(target, disk, quiet)).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_BUSY',
    })
    await expect(beginFolderSink({ target, label: 'second', fileSystem: disk })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_BUSY',
    })
    await sink.abandon()
    await settleLeftovers(target, disk, quiet)
    expect(await disk.list('/backups')).toEqual([])
  })

  it('of another target whose name begins alike are not touched', async () => {
    const disk = await diskWith(undefined)
    await disk.makeDirectory('/backups/today.partial-1.partial-999999')
    await disk.makeDirectory('/backups/today2.partial-999999')
    await settleLeftovers(target, disk, quiet)
    expect(await disk.list('/backups')).toEqual(['today.partial-1.partial-999999', 'today2.partial-999999'])
  })
})
