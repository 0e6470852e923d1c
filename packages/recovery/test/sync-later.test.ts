// What is owed is paid: once, by the end at the latest, and whoever failed is told.
import type { FileSystem } from '@timberline/wal'
import { CrashFileSystem, failOn, FaultFileSystem, type Operation } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { type LaterFileSystem, syncLater } from '../src/restore/sync-later.ts'

async function scene(): Promise<{ disk: FaultFileSystem; later: LaterFileSystem; syncs: () => string[] }> {
  const disk = new FaultFileSystem(new CrashFileSystem())
  await disk.makeDirectory('/home')
  const isSync = ({ kind }: Operation): boolean => kind === 'sync' || kind === 'syncDirectory'
  const syncs = (): string[] => disk.operations.filter(isSync).map(({ path }) => path)
  return { disk, later: syncLater(disk), syncs }
}

async function write(later: LaterFileSystem, path: string): Promise<void> {
  const handle = await later.open(path, 'create')
  await handle.write(Buffer.from('content'), 0)
  await handle.sync()
  await handle.close()
}

function openFiles({ operations }: FaultFileSystem): number {
  const count = (wanted: Operation['kind']): number => operations.filter(({ kind }) => kind === wanted).length
  return count('open') - count('close')
}

describe('a sync that is owed', () => {
  it('of a folder is paid once, at the end, whatever was asked', async () => {
    const { later, syncs } = await scene()
    await later.syncDirectory('/home')
    await later.syncDirectory('/home')
    expect(syncs()).toEqual([])
    await later.settle()
    await later.settle()
    expect(syncs()).toEqual(['/home'])
  })

  it('of a folder that is gone again needs none', async () => {
    const { later, syncs } = await scene()
    await later.makeDirectory('/home/spool')
    await later.syncDirectory('/home/spool')
    await later.removeTree('/home/spool')
    await later.settle()
    expect(syncs()).toEqual([])
  })

  it('of a file is paid when it was closed, and not without being asked for', async () => {
    const { disk, later, syncs } = await scene()
    await write(later, '/home/a')
    const unasked = await later.open('/home/b', 'create')
    await unasked.close()
    await later.settle()
    expect(syncs()).toEqual(['/home/a'])
    expect(openFiles(disk)).toBe(0)
  })

  it('of a long file is paid on the way, for the bytes so far', async () => {
    const { disk, later, syncs } = await scene()
    const handle = await later.open('/home/table', 'create')
    await handle.write(Buffer.alloc(4 * 1024 * 1024), 0)
    await handle.sync()
    expect(syncs()).toEqual(['/home/table'])
    await handle.write(Buffer.from('more'), 4 * 1024 * 1024)
    await handle.sync()
    expect(syncs()).toHaveLength(1)
    await handle.close()
    await later.settle()
    expect(syncs()).toHaveLength(2)
    expect(openFiles(disk)).toBe(0)
  })

  it('survives a power loss from then on', async () => {
    const disk = new CrashFileSystem()
    await disk.makeDirectory('/home')
    await disk.syncDirectory('/')
    const later = syncLater(disk)
    await write(later, '/home/a')
    await later.syncDirectory('/home')
    await later.settle()
    const found = disk.crash(1)
    const handle = await found.open('/home/a', 'read')
    const content = Buffer.alloc(7)
    await handle.read(content, 0)
    expect(content.toString()).toBe('content')
  })

  it('is told when it fails, and then no file is left open', async () => {
    const { disk, later } = await scene()
    disk.inject(failOn({ kind: 'sync' }, 'EIO'))
    await write(later, '/home/a').catch(() => undefined)
    await write(later, '/home/b').catch(() => undefined)
    await expect(later.settle()).rejects.toMatchObject({ code: 'EIO' })
    await expect(write(later, '/home/c')).rejects.toMatchObject({ code: 'EIO' })
    await expect(later.settle()).rejects.toMatchObject({ code: 'EIO' })
    expect(openFiles(disk)).toBe(0)
  })

  it('of a folder is told when it fails', async () => {
    const { disk, later } = await scene()
    await later.syncDirectory('/home')
    disk.inject(failOn({ kind: 'syncDirectory' }, 'EIO'))
    await expect(later.settle()).rejects.toMatchObject({ code: 'EIO' })
  })

  it('leaves threads to those who read and write: few are paid at once, and nobody waits for them', async () => {
    const { disk } = await scene()
    const began: (() => void)[] = []
    const slow = Object.create(disk, {
      open: {
        value: async (...words: Parameters<typeof disk.open>) => {
          const handle = await disk.open(...words)
          return Object.assign(handle, { sync: () => new Promise<void>((resolve) => began.push(resolve)) })
        },
      },
    }) as typeof disk
    const later = syncLater(slow)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await write(later, `/home/${name}`)
    let isSettled = false
    const settling = later.settle().then(() => (isSettled = true))
    for (let paid = 0; paid < 6; paid += 1) {
      await new Promise(setImmediate)
      expect(began.length - paid).toBeLessThanOrEqual(3)
      expect(isSettled).toBe(false)
      began[paid]?.()
    }
    await settling
    expect(began).toHaveLength(6)
    expect(openFiles(disk)).toBe(0)
  })

  it('makes who is ahead of the disk wait, so that few files stay open', async () => {
    const { disk } = await scene()
    let release: () => void = () => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    const slow = Object.create(disk, {
      open: {
        value: async (...words: Parameters<typeof disk.open>) => {
          const handle = await disk.open(...words)
          const sync = handle.sync.bind(handle)
          return Object.assign(handle, { sync: () => released.then(sync) })
        },
      },
    }) as typeof disk
    const later = syncLater(slow)
    let written = 0
    const writing = (async () => {
      for (; written < 300; written += 1) await write(later, `/home/${written}`)
    })()
    for (let turn = 0; turn < 3000; turn += 1) await new Promise(setImmediate)
    expect(written).toBeGreaterThan(1)
    expect(openFiles(disk)).toBeLessThan(20)
    release()
    await writing
    await later.settle()
    expect(disk.operations.filter(({ kind }) => kind === 'sync')).toHaveLength(300)
    expect(openFiles(disk)).toBe(0)
  })

  it('passes everything else on', async () => {
    const { disk, later } = await scene()
    await write(later, '/home/a')
    await later.link('/home/a', '/home/b')
    await later.copyFile?.('/home/a', '/home/c')
    await later.rename('/home/c', '/home/d')
    await later.remove('/home/a')
    later.watch('/home', () => undefined)()
    expect(await later.list('/home')).toEqual(['b', 'd'])
    expect((await later.status('/home/d'))?.bytes).toBe(7)
    const handle = await later.open('/home/d', 'write')
    handle.writeNow(Buffer.from('CON'), 0)
    handle.syncNow()
    await handle.truncate(4)
    expect((await handle.status()).bytes).toBe(4)
    const content = Buffer.alloc(4)
    expect(await handle.read(content, 0)).toBe(4)
    expect(content.toString()).toBe('CONt')
    await handle.close()
    expect(disk.operations.filter(({ kind }) => kind === 'syncNow')).toHaveLength(1)
    const bare: unknown = Object.create(disk, { copyFile: { value: undefined } })
    expect('copyFile' in syncLater(bare as FileSystem)).toBe(false)
  })
})
