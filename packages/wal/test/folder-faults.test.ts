/*
 * Fault model: the device refuses a read (EIO), or somebody else removes a file between the listing of the folder and the look at
 * the file. What vanished counts as gone; what cannot be read is never taken for gone, since segments are removed on the strength of
 * holds and confirmations. And on a real folder: what the system itself refuses.
 */
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  copyFileDurable,
  isSameProcessAlive,
  liveHolds,
  makeDirectoryDurable,
  nodeFileSystem,
  openLog,
  openSegmentSource,
  placeHold,
  processIdentity,
  readConfirmations,
  readFileWhole,
  readSegmentBytes,
  syncTree,
  verifySegment,
  writeConfirmation,
  writeFileAtomic,
} from '../src/index.ts'
import { CrashFileSystem, failOn, FaultFileSystem } from '../src/testing/index.ts'
import { meanwhile, on } from './folder-scene.ts'
import { DIRECTORY, IDENTITY } from './log-scenario.ts'

const temporary: string[] = []

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'timberline-wal-'))
  temporary.push(directory)
  return directory
}

afterAll(() => Promise.all(temporary.map((directory) => rm(directory, { recursive: true, force: true }))))

async function folder(): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(DIRECTORY)
  return disk
}

const PLACE = { segmentNumber: 1, lsn: 10, timeline: 1 }

describe('a hold', () => {
  it('that goes while holds are read counts no more; one that the device does not give is an error', async () => {
    const disk = await folder()
    const { id } = await placeHold(DIRECTORY, { purpose: 'backup', fileSystem: disk })
    const path = join(DIRECTORY, id)
    const broken = new FaultFileSystem(disk, failOn({ kind: 'read', path }, 'EIO'))
    await expect(liveHolds(DIRECTORY, broken)).rejects.toMatchObject({ code: 'EIO' })
    expect(
      await liveHolds(
        DIRECTORY,
        meanwhile(disk, { on: on('open', path) }, () => void disk.remove(path)),
      ),
    ).toEqual([])
  })

  it('whose file says something else than a hold holds everything', async () => {
    const own = { ...processIdentity(process.pid), purpose: 'x', fromSegment: 7, createdAtMs: 1 }
    for (const content of [
      null,
      7,
      [],
      { ...own, pid: 'x' },
      { ...own, bootId: 1 },
      { ...own, fromSegment: 0.5 },
    ]) {
      const disk = await folder()
      await writeFileAtomic('/log/hold.1.00.json', Buffer.from(JSON.stringify(content)), disk)
      expect(await liveHolds(DIRECTORY, disk)).toMatchObject([
        { pid: 1, purpose: 'unreadable', fromSegment: 0 },
      ])
    }
  })

  it('of a process that never was has no beginning, and does not live', () => {
    const never = 2 ** 22 + 1
    expect(processIdentity(never)).toMatchObject({ pid: never, startedAt: '' })
    expect(isSameProcessAlive(processIdentity(never))).toBe(false)
  })
})

describe('a confirmation', () => {
  it('that goes while they are read counts no more; one that the device does not give is an error', async () => {
    const disk = await folder()
    await writeConfirmation(DIRECTORY, 'a', PLACE, disk)
    await writeConfirmation(DIRECTORY, 'b', PLACE, disk)
    await writeFileAtomic('/log/confirmed by nobody', Buffer.from('x'), disk)
    const path = join(DIRECTORY, 'confirmed.a.json')
    const broken = new FaultFileSystem(disk, failOn({ kind: 'read', path }, 'EIO'))
    await expect(readConfirmations(DIRECTORY, broken)).rejects.toMatchObject({ code: 'EIO' })
    const seen = meanwhile(disk, { on: on('open', path) }, () => void disk.remove(path))
    expect(await readConfirmations(DIRECTORY, seen)).toMatchObject([{ name: 'b' }])
  })
})

describe('a copy', () => {
  it('of a file that shrinks meanwhile ends where the file does, and says so', async () => {
    const disk = await folder()
    const mebibyte = 1024 * 1024
    await writeFileAtomic('/log/a', Buffer.alloc(2 * mebibyte + 5, 'a'), disk)
    const source = await disk.open('/log/a', 'write')
    const copied = await copyFileDurable('/log/a', '/log/b', {
      fileSystem: disk,
      onBytes: () => source.truncate(mebibyte),
    })
    expect(copied.bytes).toBe(mebibyte)
    expect(await readFileWhole('/log/b', disk)).toHaveLength(mebibyte)
  })

  it('survives a power cut at any depth once its tree is synced', async () => {
    const disk = await folder()
    await writeFileAtomic('/log/a', Buffer.from('a'), disk)
    await disk.makeDirectory('/copy/deep/deeper/deepest')
    await copyFileDurable('/log/a', '/copy/deep/deeper/deepest/a', { fileSystem: disk })
    await syncTree('/copy', disk)
    const after = disk.crash({ writes: 'lost', names: 'lost' })
    expect((await readFileWhole('/copy/deep/deeper/deepest/a', after)).toString()).toBe('a')
  })

  it('into a folder made with its parents survives too, with every name on the way', async () => {
    const disk = new CrashFileSystem()
    await makeDirectoryDurable('/one/two/three', disk)
    await makeDirectoryDurable('/one/two/three', disk)
    const after = disk.crash({ writes: 'lost', names: 'lost' })
    expect(await after.status('/one/two/three')).toMatchObject({ isDirectory: true })
  })
})

describe('the real file system', () => {
  it('hands on what the system refuses, under the system’s own code', async () => {
    const directory = await temporaryDirectory()
    const path = join(directory, 'f')
    await writeFile(path, 'content')
    const file = await nodeFileSystem.open(path, 'read')
    await expect(file.write(Buffer.from('x'), 0)).rejects.toMatchObject({ code: 'EBADF' })
    await expect(file.truncate(1)).rejects.toMatchObject({ code: 'EINVAL' })
    await file.close()
    const opened = await nodeFileSystem.open(directory, 'read')
    await expect(opened.read(Buffer.alloc(8), 0)).rejects.toMatchObject({ code: 'EISDIR' })
    await opened.close()
    const device = await nodeFileSystem.open('/dev/null', 'write')
    await expect(device.sync()).rejects.toMatchObject({ code: 'EINVAL' })
    await device.close()
    await expect(nodeFileSystem.syncDirectory(join(directory, 'none'))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await expect(nodeFileSystem.syncDirectory('/proc')).rejects.toMatchObject({ code: 'EINVAL' })
    await symlink('loop', join(directory, 'loop'))
    await expect(nodeFileSystem.status(join(directory, 'loop'))).rejects.toMatchObject({ code: 'ELOOP' })
    expect(await nodeFileSystem.status(join(path, 'below a file'))).toBeUndefined()
    await expect(nodeFileSystem.makeDirectory(join(path, 'below', 'a file'))).rejects.toMatchObject({
      code: 'ENOTDIR',
    })
  })

  it('is what a log is read from when none is named', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog({ directory, identity: IDENTITY })
    await log.commit(Buffer.from('hello'))
    await log.close()
    const bytes = await readSegmentBytes({ directory, segmentNumber: 1 }, 0, 8)
    expect(bytes.toString('latin1')).toBe('TLWALSEG')
    const source = await openSegmentSource(directory, 1)
    expect(await verifySegment(source, { expect: IDENTITY })).toMatchObject({ lastLsn: 1 })
    const other = { ...IDENTITY, timeline: 2 }
    await expect(verifySegment(source, { expect: other })).rejects.toMatchObject({ code: 'WAL_FOREIGN' })
    await source.handle.close()
  })
})
