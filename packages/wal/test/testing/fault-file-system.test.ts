import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readFileWhole } from '../../src/files/atomic-file.ts'
import { readFully } from '../../src/files/byte-source.ts'
import { TimberlineError } from '../../src/errors.ts'
import type { FileSystem } from '../../src/files/file-system.ts'
import { nodeFileSystem } from '../../src/files/node-file-system.ts'
import {
  type Fault,
  type Injector,
  CrashFileSystem,
  FaultFileSystem,
  SimulatedCrash,
  countOperations,
  crashAt,
  failAt,
  failOn,
  failRandomly,
  firstFault,
  isMutation,
} from '../../src/testing/index.ts'

const LETTERS = Buffer.from('abcd')

/** Five operations: create, write, sync, close, sync of the folder. */
async function save(fileSystem: FileSystem): Promise<void> {
  const file = await fileSystem.open('/a', 'create')
  await file.write(LETTERS, 0)
  await file.sync()
  await file.close()
  await fileSystem.syncDirectory('/')
}

function faulty(injector?: Injector): { disk: CrashFileSystem; faults: FaultFileSystem } {
  const disk = new CrashFileSystem()
  return { disk, faults: new FaultFileSystem(disk, injector) }
}

async function textOf(fileSystem: FileSystem, path: string): Promise<string> {
  const file = await fileSystem.open(path, 'read')
  const target = Buffer.alloc(99)
  const bytes = await file.read(target, 0)
  await file.close()
  return target.subarray(0, bytes).toString()
}

describe('operations', () => {
  it('are listed as data, counted from 1', async () => {
    const { faults } = faulty()
    await save(faults)
    await faults.rename('/a', '/b')
    expect(faults.operations).toEqual([
      { index: 1, kind: 'open', path: '/a', mode: 'create' },
      { index: 2, kind: 'write', path: '/a', position: 0, bytes: 4 },
      { index: 3, kind: 'sync', path: '/a' },
      { index: 4, kind: 'close', path: '/a' },
      { index: 5, kind: 'syncDirectory', path: '/' },
      { index: 6, kind: 'rename', path: '/a', to: '/b' },
    ])
    expect(faults.operations.filter(isMutation).map(({ index }) => index)).toEqual([1, 2, 3, 5, 6])
    expect(faults.injected).toEqual([])
  })

  it('include the ones on the calling thread', async () => {
    const { faults } = faulty(failOn({ kind: 'syncNow' }, 'EIO'))
    const file = await faults.open('/a', 'create')
    file.writeNow(LETTERS, 0)
    expect(() => file.syncNow()).toThrow(expect.objectContaining({ code: 'EIO' }))
    expect(faults.operations.map(({ kind }) => kind)).toEqual(['open', 'writeNow', 'syncNow'])
  })

  it('are counted by a clean run', async () => {
    expect(await countOperations(save)).toBe(5)
  })
})

describe('faults', () => {
  it.each<[Fault, string]>([
    ['EIO', 'EIO'],
    ['ENOSPC', 'ENOSPC'],
    ['EMFILE', 'EMFILE'],
    ['short', 'ENOSPC'],
  ])('%s fails an operation with %s, which then does nothing', async (fault, code) => {
    const { disk, faults } = faulty(failAt(1, fault))
    await expect(faults.open('/a', 'create')).rejects.toMatchObject({ code, path: '/a', syscall: 'open' })
    expect(await disk.list('/')).toEqual([])
    expect(faults.injected).toEqual([{ operation: faults.operations[0], fault }])
  })

  it('short writes the first half and fails with ENOSPC', async () => {
    const { disk, faults } = faulty(failOn({ kind: ['write', 'writeNow'] }, 'short', { once: false }))
    const file = await faults.open('/a', 'create')
    await expect(file.write(LETTERS, 0)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await textOf(disk, '/a')).toBe('ab')
    expect(() => file.writeNow(LETTERS, 2)).toThrow(expect.objectContaining({ code: 'ENOSPC' }))
    expect(await textOf(disk, '/a')).toBe('abab')
  })

  it('short copies the first half, and fails with ENOSPC', async () => {
    const { disk, faults } = faulty(failOn({ kind: 'copyFile', path: '/b' }, 'short'))
    await save(faults)
    await expect(faults.copyFile?.('/a', '/b')).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(await textOf(disk, '/b')).toBe('ab')
    await faults.copyFile?.('/a', '/c')
    expect(await textOf(disk, '/c')).toBe('abcd')
  })

  it('short reads half of what is there, at least a byte, without an error', async () => {
    const { faults } = faulty()
    await save(faults)
    const file = await faults.open('/a', 'read')
    faults.inject(failOn({ kind: 'read' }, 'short', { once: false }))
    const target = Buffer.alloc(9, '-')
    expect([await file.read(target, 0), target.toString()]).toEqual([2, 'ab-------'])
    expect([await file.read(target, 3), await file.read(target, 4)]).toEqual([1, 0])
    expect(faults.injected).toHaveLength(3)
  })

  it('short is made good by whoever needs all bytes, also when every read is short', async () => {
    const { faults } = faulty()
    await save(faults)
    faults.inject(failOn({ kind: 'read' }, 'short', { once: false }))
    const file = await faults.open('/a', 'read')
    const target = Buffer.alloc(9)
    expect([await readFully(file, target, 1), target.toString('utf8', 0, 3)]).toEqual([3, 'bcd'])
    expect((await readFileWhole('/a', faults)).toString()).toBe('abcd')
  })

  it('short during a crash answers nobody', async () => {
    const { faults } = faulty()
    await save(faults)
    const file = await faults.open('/a', 'read')
    faults.inject(firstFault(failOn({ kind: 'read' }, 'short'), failOn({ kind: 'list' }, 'crash')))
    const reading = file.read(Buffer.alloc(4), 0)
    await expect(faults.list('/')).rejects.toBeInstanceOf(SimulatedCrash)
    await expect(reading).rejects.toBeInstanceOf(SimulatedCrash)
  })

  it('a failed sync loses its bytes with the power, though a later sync succeeds', async () => {
    const { disk, faults } = faulty(failOn({ kind: 'sync' }, 'EIO'))
    const file = await faults.open('/a', 'create')
    await file.write(LETTERS, 0)
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' })
    await file.sync()
    await faults.syncDirectory('/')
    expect(await textOf(disk.crash({ writes: 'kept' }), '/a')).toBe('')
  })

  it('EIO-after does the work and then fails', async () => {
    const { disk, faults } = faulty(failOn({ kind: 'sync' }, 'EIO-after'))
    await expect(save(faults)).rejects.toMatchObject({ code: 'EIO' })
    await disk.syncDirectory('/')
    expect(await textOf(disk.crash({ writes: 'lost' }), '/a')).toBe('abcd')
  })

  it('strike once or for good', async () => {
    const once = faulty(failAt(2, 'EIO')).faults
    await once.list('/')
    await expect(once.list('/')).rejects.toMatchObject({ code: 'EIO' })
    await once.list('/')
    const forGood = faulty(failAt(2, 'EIO', { once: false })).faults
    await forGood.list('/')
    await expect(forGood.list('/')).rejects.toMatchObject({ code: 'EIO' })
    await expect(forGood.list('/')).rejects.toMatchObject({ code: 'EIO' })
  })

  it('are chosen by kind, path and count', async () => {
    const { faults } = faulty(failOn({ kind: 'rename', path: /b$/ }, 'EIO', { after: 2 }))
    await save(faults)
    await faults.rename('/a', '/b')
    await faults.rename('/b', '/c')
    await expect(faults.rename('/c', '/b')).rejects.toMatchObject({ code: 'EIO' })
    await faults.rename('/c', '/b')
  })

  it('compose: the first one counts', async () => {
    const { faults } = faulty(firstFault(failAt(9, 'EMFILE'), failAt(1, 'ENOSPC'), failAt(1, 'EIO')))
    await expect(faults.list('/')).rejects.toMatchObject({ code: 'ENOSPC' })
    faults.inject(undefined)
    await save(faults)
  })

  it('drawn at random repeat from their seed', async () => {
    const strikes = async (seed: number) => {
      const { faults } = faulty(failRandomly({ seed, probability: 0.5, faults: ['EIO', 'EMFILE'] }))
      await Promise.allSettled(Array.from({ length: 30 }, () => faults.list('/')))
      return faults.injected.map(({ operation, fault }) => [operation.index, fault])
    }
    expect(await strikes(1)).toEqual(await strikes(1))
    expect(await strikes(1)).not.toEqual(await strikes(2))
  })
})

describe('a crash', () => {
  it('fails its operation and all later ones with an error that is not a TimberlineError', async () => {
    const { faults } = faulty(crashAt(2))
    const file = await faults.open('/a', 'create')
    const crashed = await file.write(LETTERS, 0).catch((error: unknown) => error)
    expect(crashed).toBeInstanceOf(SimulatedCrash)
    expect(crashed).not.toBeInstanceOf(TimberlineError)
    await expect(file.close()).rejects.toBeInstanceOf(SimulatedCrash)
    expect(() => file.syncNow()).toThrow(SimulatedCrash)
    expect(() => faults.watch('/', () => undefined)).toThrow(SimulatedCrash)
    expect([faults.isCrashed, faults.operations.length, faults.injected.length]).toEqual([true, 2, 1])
  })

  it('also swallows the answer of an operation that was under way', async () => {
    const { faults } = faulty(crashAt(3))
    const file = await faults.open('/a', 'create')
    const syncing = file.sync()
    await expect(faults.list('/')).rejects.toBeInstanceOf(SimulatedCrash)
    await expect(syncing).rejects.toBeInstanceOf(SimulatedCrash)
  })

  it('after the operation leaves its work done', async () => {
    const { disk, faults } = faulty(failAt(5, 'crash-after'))
    await expect(save(faults)).rejects.toBeInstanceOf(SimulatedCrash)
    expect(await textOf(disk.crash({ writes: 'lost', names: 'lost' }), '/a')).toBe('abcd')
  })

  it('at each operation of a save leaves nothing or, once it answered, everything', async () => {
    const operationCount = await countOperations(save)
    for (let index = 1; index <= operationCount + 1; index += 1) {
      const { disk, faults } = faulty(crashAt(index))
      const isSaved = await save(faults).then(
        () => true,
        () => false,
      )
      expect(isSaved).toBe(index > operationCount)
      const after = disk.crash({ writes: 'lost', names: 'lost' })
      const names = await after.list('/')
      const found = await Promise.all(names.map((name) => textOf(after, `/${name}`)))
      expect(found).toEqual(isSaved ? ['abcd'] : [])
    }
  })
})

it('tells which files are open: what was opened and not closed, or whose close was refused', async () => {
  const faults = new FaultFileSystem(new CrashFileSystem())
  const [first, second] = [await faults.open('/a', 'create'), await faults.open('/b', 'create')]
  expect(faults.openPaths).toEqual(['/a', '/b'])
  await first.close()
  faults.inject(failOn({ kind: 'close' }, 'EIO'))
  await expect(second.close()).rejects.toMatchObject({ code: 'EIO' })
  expect(faults.openPaths).toEqual(['/b'])
  await second.close()
  expect(faults.openPaths).toEqual([])
})

describe('over the real file system', () => {
  it('injects the same faults, and releases the handles of a crashed machine', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'timberline-fault-'))
    const path = join(directory, 'a')
    const faults = new FaultFileSystem(
      nodeFileSystem,
      firstFault(failOn({ kind: 'write' }, 'short'), crashAt(4)),
    )
    const file = await faults.open(path, 'create')
    await expect(file.write(LETTERS, 0)).rejects.toMatchObject({ code: 'ENOSPC' })
    await file.sync()
    await expect(file.write(LETTERS, 0)).rejects.toBeInstanceOf(SimulatedCrash)
    await faults.releaseHandles()
    expect(await textOf(nodeFileSystem, path)).toBe('ab')
    await rm(directory, { recursive: true })
  })
})
