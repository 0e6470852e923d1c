import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  copyFileDurable,
  liveHolds,
  nodeFileSystem,
  openLog,
  placeHold,
  processIdentity,
  readConfirmations,
  readFileWhole,
  removeConfirmation,
  syncTree,
  writeConfirmation,
  writeFileAtomic,
} from '../src/index.ts'
import { crashAt, CrashFileSystem, failAt, FaultFileSystem } from '../src/testing/index.ts'
import { DIRECTORY, IDENTITY, openMemoryLog } from './log-scenario.ts'

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
  await disk.syncDirectory('/')
  return disk
}

describe('holds', () => {
  it('keep segments from being removed until they are released', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    for (const payload of ['a', 'b', 'c', 'd']) {
      await log.commit(Buffer.from(payload))
      await log.roll()
    }
    const hold = await placeHold(DIRECTORY, { purpose: 'backup', fileSystem: disk })
    expect(await liveHolds(DIRECTORY, disk)).toMatchObject([
      { id: hold.id, pid: process.pid, purpose: 'backup', fromSegment: 0 },
    ])
    expect(await log.removeSegmentsBelow(5)).toEqual([])
    const later = await placeHold(DIRECTORY, { purpose: 'reader', fromSegment: 3, fileSystem: disk })
    await hold.release()
    await hold.release()
    expect(await log.removeSegmentsBelow(5)).toEqual(['log.0000000001', 'log.0000000002'])
    await later.release()
    expect(await log.removeSegmentsBelow(5)).toEqual(['log.0000000003', 'log.0000000004'])
  })

  it('of processes that are gone count no more and are removed', async () => {
    const disk = await folder()
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    const pid = child.pid ?? 0
    await placeHold(DIRECTORY, { purpose: 'of the child', pid, fileSystem: disk })
    expect(await liveHolds(DIRECTORY, disk)).toHaveLength(1)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await liveHolds(DIRECTORY, disk)).toEqual([])
    expect(await disk.list(DIRECTORY)).toEqual([])
  })

  it('of an earlier process with the same pid, or of an earlier boot, count no more', async () => {
    const disk = await folder()
    const own = processIdentity(process.pid)
    const file = { ...own, purpose: 'x', fromSegment: 0, createdAtMs: 1 }
    for (const other of [
      { ...file, startedAt: '1' },
      { ...file, bootId: 'another' },
    ]) {
      await writeFileAtomic(`${DIRECTORY}/hold.${own.pid}.00.json`, Buffer.from(JSON.stringify(other)), disk)
      expect(await liveHolds(DIRECTORY, disk)).toEqual([])
    }
  })

  it('of an earlier boot that power loss has left without content counts no more; one of this boot does', async () => {
    const disk = await folder()
    const own = processIdentity(process.pid).bootId.slice(0, 8)
    const other = own === '00000000' ? '11111111' : '00000000'
    for (const boot of [own, other])
      await writeFileAtomic(`${DIRECTORY}/hold.${process.pid}.${boot}12345678.json`, Buffer.alloc(0), disk)
    expect(await liveHolds(DIRECTORY, disk)).toMatchObject([{ purpose: 'unreadable' }])
    expect(await disk.list(DIRECTORY)).toEqual([`hold.${process.pid}.${own}12345678.json`])
  })

  it('wait for no disk, and have their boot in their name', async () => {
    const disk = new FaultFileSystem(await folder())
    const { id } = await placeHold(DIRECTORY, { purpose: 'x', fileSystem: disk })
    expect(disk.operations.map(({ kind }) => kind)).toEqual(['open', 'write', 'close', 'rename'])
    const boot = processIdentity(process.pid).bootId.slice(0, 8)
    expect(id).toMatch(new RegExp(`^hold\\.${process.pid}\\.${boot}[0-9a-f]{8}\\.json$`))
  })

  it.each(['{', '{"pid":0,"startedAt":"","bootId":"","purpose":"p","fromSegment":9,"createdAtMs":1}'])(
    'that cannot be read hold everything, as long as their process may live: %s',
    async (text) => {
      const disk = await folder()
      // Process 1 lives; the other number is above what Linux gives out.
      for (const pid of [1, 2 ** 22 + 1]) {
        await writeFileAtomic(`${DIRECTORY}/hold.${pid}.00.json`, Buffer.from(text), disk)
      }
      expect(await liveHolds(DIRECTORY, disk)).toMatchObject([
        { pid: 1, fromSegment: 0, purpose: 'unreadable' },
      ])
    },
  )
})

describe('confirmations', () => {
  it('are kept by name, replaced whole, and removed', async () => {
    const disk = await folder()
    await writeConfirmation(DIRECTORY, 'primary', { segmentNumber: 1, lsn: 10, timeline: 1 }, disk)
    await writeConfirmation(DIRECTORY, 'off-site', { segmentNumber: 0, lsn: 3, timeline: 1 }, disk)
    await writeConfirmation(DIRECTORY, 'primary', { segmentNumber: 2, lsn: 20, timeline: 1 }, disk)
    expect(await readConfirmations(DIRECTORY, disk)).toMatchObject([
      { name: 'off-site', segmentNumber: 0, lsn: 3 },
      { name: 'primary', segmentNumber: 2, lsn: 20, timeline: 1 },
    ])
    expect(await readConfirmations(DIRECTORY, disk.crash({ writes: 'lost', names: 'lost' }))).toHaveLength(2)
  })

  it('that cannot be read are an error, since removal rests on them', async () => {
    const disk = await folder()
    await writeConfirmation(DIRECTORY, 'primary', { segmentNumber: 1, lsn: 10, timeline: 1 }, disk)
    for (const content of [
      '{',
      '{"name":"other","segmentNumber":1,"lsn":1,"timeline":1,"confirmedAtMs":1}',
      '7',
    ]) {
      await writeFileAtomic(`${DIRECTORY}/confirmed.primary.json`, Buffer.from(content), disk)
      await expect(readConfirmations(DIRECTORY, disk)).rejects.toMatchObject({
        code: 'WAL_CONFIRMATION_DAMAGED',
      })
    }
    await removeConfirmation(DIRECTORY, 'primary', disk)
    expect(await readConfirmations(DIRECTORY, disk)).toEqual([])
  })

  it('refuse names that are no file names', async () => {
    const disk = await folder()
    for (const name of ['', '../x', 'a/b', '.a', 'x'.repeat(65)]) {
      await expect(
        writeConfirmation(DIRECTORY, name, { segmentNumber: 1, lsn: 1, timeline: 1 }, disk),
      ).rejects.toMatchObject({ code: 'WAL_INVALID' })
    }
  })
})

describe('a file written atomically', () => {
  it('is the old or the new one after a power cut at any operation, and the new one once it resolved', async () => {
    for (let index = 1; ; index += 1) {
      const disk = await folder()
      await writeFileAtomic('/log/f', Buffer.from('old'), disk)
      const faulty = new FaultFileSystem(disk, crashAt(index))
      const finished = await writeFileAtomic('/log/f', Buffer.from('the new one'), faulty).then(
        () => true,
        () => false,
      )
      for (let seed = 0; seed < 10; seed += 1) {
        const left = disk.ifCrashed(seed)
        const isThere = (await left.status('/log/f')) !== undefined
        const content = isThere ? (await readFileWhole('/log/f', left)).toString() : 'gone'
        expect(finished ? ['the new one'] : ['old', 'the new one']).toContain(content)
      }
      if (finished) break
    }
  })

  it('leaves nothing behind when it fails', async () => {
    for (const index of [2, 3, 5]) {
      const disk = await folder()
      await expect(
        writeFileAtomic('/log/f', Buffer.from('x'), new FaultFileSystem(disk, failAt(index, 'ENOSPC'))),
      ).rejects.toMatchObject({ code: 'ENOSPC' })
      expect(await disk.list(DIRECTORY)).toEqual([])
    }
  })

  it('is refused before reading when it is larger than what may be read whole', async () => {
    const disk = await folder()
    await writeFileAtomic('/log/f', Buffer.alloc(11), disk)
    await expect(readFileWhole('/log/f', disk, 10)).rejects.toMatchObject({ code: 'WAL_INVALID' })
  })
})

describe('a durable copy', () => {
  it('has the content and says its hash', async () => {
    const directory = await temporaryDirectory()
    const content = Buffer.alloc(3_000_001, 'content ')
    await writeFile(join(directory, 'a'), content)
    let told = 0
    const copied = await copyFileDurable(join(directory, 'a'), join(directory, 'b'), {
      onBytes: (bytes) => {
        told += bytes
      },
    })
    const sha256 = createHash('sha256').update(content).digest('hex')
    expect(copied).toEqual({ bytes: content.length, sha256 })
    expect(told).toBe(content.length)
    expect((await readFileWhole(join(directory, 'b'))).equals(content)).toBe(true)
    await syncTree(directory)
  })

  it('never overwrites, and leaves nothing behind when it is aborted or fails', async () => {
    const disk = await folder()
    await writeFileAtomic('/log/a', Buffer.from('a'), disk)
    await writeFileAtomic('/log/b', Buffer.from('b'), disk)
    await expect(copyFileDurable('/log/a', '/log/b', { fileSystem: disk })).rejects.toMatchObject({
      code: 'EEXIST',
    })
    const signal = AbortSignal.abort()
    await expect(copyFileDurable('/log/a', '/log/c', { fileSystem: disk, signal })).rejects.toMatchObject({
      code: 'WAL_ABORTED',
    })
    expect(await disk.list(DIRECTORY)).toEqual(['a', 'b'])
    expect((await readFileWhole('/log/b', disk)).toString()).toBe('b')
  })

  it('survives a power cut, with its folders, once the tree is synced', async () => {
    const disk = await folder()
    await writeFileAtomic('/log/a', Buffer.from('a'), disk)
    await disk.makeDirectory('/copy/deep')
    await copyFileDurable('/log/a', '/copy/deep/a', { fileSystem: disk })
    await syncTree('/copy', disk)
    const after = disk.crash({ writes: 'lost', names: 'lost' })
    expect((await readFileWhole('/copy/deep/a', after)).toString()).toBe('a')
  })
})

describe('the real file system', () => {
  it('answers as the port says', async () => {
    const directory = await temporaryDirectory()
    const path = join(directory, 'f')
    expect(await nodeFileSystem.status(path)).toBeUndefined()
    await expect(nodeFileSystem.open(path, 'read')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(nodeFileSystem.open(path, 'write')).rejects.toMatchObject({ code: 'ENOENT' })
    const handle = await nodeFileSystem.open(path, 'create')
    await expect(nodeFileSystem.open(path, 'create')).rejects.toMatchObject({ code: 'EEXIST' })
    await handle.write(Buffer.from('hello'), 3)
    handle.writeNow(Buffer.from('abc'), 0)
    handle.syncNow()
    const target = Buffer.alloc(20)
    expect(await handle.read(target, 0)).toBe(8)
    expect(target.toString('latin1', 0, 8)).toBe('abchello')
    await handle.truncate(2)
    await handle.sync()
    expect(await handle.status()).toMatchObject({ bytes: 2, isDirectory: false, linkCount: 1 })
    await handle.close()
    await handle.close()
    await nodeFileSystem.link(path, join(directory, 'g'))
    await expect(nodeFileSystem.link(path, join(directory, 'g'))).rejects.toMatchObject({ code: 'EEXIST' })
    expect(await nodeFileSystem.list(directory)).toEqual(['f', 'g'])
    const rang = new Promise<void>((resolve) => {
      const stop = nodeFileSystem.watch(directory, () => {
        stop()
        resolve()
      })
    })
    await nodeFileSystem.rename(path, join(directory, 'h'))
    await rang
    await nodeFileSystem.remove(join(directory, 'h'))
    await nodeFileSystem.removeTree(join(directory, 'missing'))
    expect(await nodeFileSystem.list(directory)).toEqual(['g'])
  })

  it('goes on without a watch where none can be had', () => {
    expect(() => nodeFileSystem.watch('/no/such/folder', () => undefined)()).not.toThrow()
  })

  it('holds a log of another environment apart', async () => {
    const directory = await temporaryDirectory()
    await (await openLog({ directory, identity: IDENTITY })).close()
    await expect(openLog({ directory, identity: { ...IDENTITY, timeline: 2 } })).rejects.toMatchObject({
      code: 'WAL_FOREIGN',
    })
  })
})
