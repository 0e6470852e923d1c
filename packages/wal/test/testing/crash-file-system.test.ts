import { describe, expect, it } from 'vitest'
import {
  type CrashFileSystemOptions,
  type CrashModel,
  type CrashPolicy,
  CrashFileSystem,
  SimulatedCrash,
} from '../../src/testing/index.ts'

const MODELS: readonly CrashModel[] = ['ext4', 'posix']
const LOST: CrashPolicy = { writes: 'lost', names: 'lost' }
const KEPT: CrashPolicy = { writes: 'kept', names: 'kept' }
const SEEDS = Array.from({ length: 200 }, (_, index) => index + 1)

/** A disk with the durable folder /d. */
async function disk(options: CrashFileSystemOptions = {}): Promise<CrashFileSystem> {
  const fileSystem = new CrashFileSystem(options)
  await fileSystem.makeDirectory('/d')
  await fileSystem.syncDirectory('/')
  return fileSystem
}

async function create(fileSystem: CrashFileSystem, path: string, text = ''): Promise<void> {
  const file = await fileSystem.open(path, 'create')
  await file.write(Buffer.from(text), 0)
  await file.close()
}

/** Creates a file whose bytes and name survive. */
async function createDurable(fileSystem: CrashFileSystem, path: string, text = ''): Promise<void> {
  await create(fileSystem, path, text)
  await sync(fileSystem, path)
  await fileSystem.syncDirectory('/d')
}

async function sync(fileSystem: CrashFileSystem, path: string): Promise<void> {
  const file = await fileSystem.open(path, 'read')
  await file.sync()
  await file.close()
}

async function overwrite(
  fileSystem: CrashFileSystem,
  path: string,
  [position, text]: [number, string],
): Promise<void> {
  const file = await fileSystem.open(path, 'write')
  await file.write(Buffer.from(text), position)
  await file.close()
}

async function bytesOf(fileSystem: CrashFileSystem, path: string): Promise<Buffer> {
  const file = await fileSystem.open(path, 'read')
  const target = Buffer.alloc((await file.status()).bytes)
  expect(await file.read(target, 0)).toBe(target.byteLength)
  await file.close()
  return target
}

async function textOf(fileSystem: CrashFileSystem, path: string): Promise<string> {
  return (await bytesOf(fileSystem, path)).toString()
}

/** Every different outcome that 200 seeds reach, as text. */
async function outcomes(
  before: CrashFileSystem,
  look: (after: CrashFileSystem) => Promise<unknown>,
  policy: CrashPolicy = {},
): Promise<string[]> {
  const seen = new Set<string>()
  for (const seed of SEEDS) seen.add(JSON.stringify(await look(before.ifCrashed({ ...policy, seed }))))
  return [...seen].sort()
}

describe.each(MODELS)('bytes, model %s', (model) => {
  it('keeps synced bytes in every crash', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'synced')
    expect(await outcomes(before, (after) => textOf(after, '/d/a'))).toEqual(['"synced"'])
  })

  it('may lose or keep an unsynced write', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'old')
    await overwrite(before, '/d/a', [0, 'new'])
    expect(await outcomes(before, (after) => textOf(after, '/d/a'))).toEqual(['"new"', '"old"'])
    expect(await textOf(before.crash(LOST), '/d/a')).toBe('old')
    expect(await textOf(before.crash(KEPT), '/d/a')).toBe('new')
  })

  it('may keep a later write and lose an earlier one', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', '--')
    await overwrite(before, '/d/a', [0, '1'])
    await overwrite(before, '/d/a', [1, '2'])
    expect(await outcomes(before, (after) => textOf(after, '/d/a'))).toEqual(['"--"', '"-2"', '"1-"', '"12"'])
  })

  it('reads zeros in the gap that a lost write left before a kept one', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    await overwrite(before, '/d/a', [0, 'ab'])
    await overwrite(before, '/d/a', [2, 'cd'])
    const after = before.crash({ writes: ({ index }) => (index === 0 ? 'lost' : 'kept') })
    expect(await textOf(after, '/d/a')).toBe('\0\0cd')
  })

  it('may lose or keep an unsynced truncation', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'abcd')
    const file = await before.open('/d/a', 'write')
    await file.truncate(1)
    expect(await outcomes(before, (after) => textOf(after, '/d/a'))).toEqual(['"a"', '"abcd"'])
    await file.sync()
    expect(await textOf(before.crash(LOST), '/d/a')).toBe('a')
  })

  it('never brings back what a truncation cut off', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'abcd')
    const file = await before.open('/d/a', 'write')
    await file.truncate(1)
    await file.truncate(3)
    expect(await textOf(before, '/d/a')).toBe('a\0\0')
  })

  it('keeps the length and zeroes the bytes of a zeroed write, but not what was there before', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'old')
    await overwrite(before, '/d/a', [1, 'NEWER'])
    expect(await textOf(before.crash({ writes: 'zeroed' }), '/d/a')).toBe('old\0\0\0')
  })

  it.each([512, 4096] as const)('tears a write at %i bytes', async (sectorBytes) => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'o'.repeat(sectorBytes * 4))
    await overwrite(before, '/d/a', [100, 'n'.repeat(sectorBytes * 3)])
    const patterns = await outcomes(
      before,
      async (after) => {
        const bytes = await bytesOf(after, '/d/a')
        expect(bytes.byteLength).toBe(sectorBytes * 4)
        return [0, 1, 2, 3].map((sector) => {
          // Of the bytes that the write covers, each sector has all old ones or all new ones.
          const from = Math.max(100, sector * sectorBytes)
          const part = bytes
            .subarray(from, Math.min(sectorBytes * 3 + 100, (sector + 1) * sectorBytes))
            .toString()
          expect(new Set(part).size).toBe(1)
          return part[0]
        })
      },
      { writes: `torn-${sectorBytes}` },
    )
    // All patterns of four sectors but the two that are not torn.
    expect(patterns).toHaveLength(14)
  })

  it('loses or keeps as a whole a torn write that stays inside one sector', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', '----')
    await overwrite(before, '/d/a', [1, 'ab'])
    expect(await outcomes(before, (after) => textOf(after, '/d/a'), { writes: 'torn-512' })).toEqual([
      '"----"',
      '"-ab-"',
    ])
  })

  it('does not count on a write issued while a sync was under way', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    const file = await before.open('/d/a', 'write')
    await file.write(Buffer.from('a'), 0)
    const syncing = file.sync()
    file.writeNow(Buffer.from('b'), 1)
    await syncing
    expect(await textOf(before.crash(LOST), '/d/a')).toBe('a')
  })

  it('may lose what a sync under way at the crash would have covered', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    const file = await before.open('/d/a', 'write')
    await file.write(Buffer.from('a'), 0)
    const syncing = file.sync()
    const after = before.crash(LOST)
    await expect(syncing).rejects.toBeInstanceOf(SimulatedCrash)
    expect(await textOf(after, '/d/a')).toBe('')
  })

  it('has writeNow and syncNow take effect before they return', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    const file = await before.open('/d/a', 'write')
    file.writeNow(Buffer.from('now'), 0)
    file.syncNow()
    expect(await textOf(before.crash(LOST), '/d/a')).toBe('now')
  })

  it('loses what a failed sync should have covered, even when a later sync succeeds', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'old')
    const file = await before.open('/d/a', 'write')
    await file.write(Buffer.from('new'), 0)
    file.failSync()
    await file.sync()
    expect(await textOf(before, '/d/a')).toBe('new')
    expect(await textOf(before.crash(KEPT), '/d/a')).toBe('old')
  })
})

describe.each(MODELS)('names, model %s', (model) => {
  it('keeps or loses a creation until its folder is synced', async () => {
    const before = await disk({ model })
    await create(before, '/d/a')
    expect(await outcomes(before, (after) => after.list('/d'))).toEqual(['["a"]', '[]'])
    await before.syncDirectory('/d')
    expect(await before.crash(LOST).list('/d')).toEqual(['a'])
  })

  it('keeps a synced name and loses the unsynced bytes', async () => {
    const before = await disk({ model })
    await create(before, '/d/a', 'text')
    await before.syncDirectory('/d')
    expect(await textOf(before.crash(LOST), '/d/a')).toBe('')
  })

  it('keeps or loses a rename as a whole until the folder is synced', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'new')
    await createDurable(before, '/d/b', 'old')
    await before.rename('/d/a', '/d/b')
    await sync(before, '/d/b')
    const look = async (after: CrashFileSystem) => [await after.list('/d'), await textOf(after, '/d/b')]
    expect(await outcomes(before, look)).toEqual(['[["a","b"],"old"]', '[["b"],"new"]'])
    await before.syncDirectory('/d')
    expect(await look(before.crash(LOST))).toEqual([['b'], 'new'])
  })

  it('loses or keeps the bytes of a copy until that is synced, whatever the original has', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'text')
    await before.copyFile('/d/a', '/d/b')
    expect(await textOf(before, '/d/b')).toBe('text')
    const lost = before.ifCrashed({ writes: 'lost', names: 'kept' })
    expect([await textOf(lost, '/d/a'), await textOf(lost, '/d/b')]).toEqual(['text', ''])
    await sync(before, '/d/b')
    expect(await textOf(before.crash({ writes: 'lost', names: 'kept' }), '/d/b')).toBe('text')
  })

  it('leaves nothing of a copy that finds no room', async () => {
    const before = new CrashFileSystem({ model, capacityBytes: 6 })
    await before.makeDirectory('/d')
    await createDurable(before, '/d/a', 'text')
    await expect(before.copyFile('/d/a', '/d/b')).rejects.toMatchObject({ code: 'ENOSPC' })
    expect([await before.list('/d'), before.usedBytes]).toEqual([['a'], 4])
  })

  it('keeps or loses a link and a removal until the folder is synced', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    await before.link('/d/a', '/d/b')
    await before.syncDirectory('/d')
    await before.remove('/d/a')
    expect(await outcomes(before, (after) => after.list('/d'))).toEqual(['["a","b"]', '["b"]'])
    await before.syncDirectory('/d')
    expect(await before.crash(LOST).list('/d')).toEqual(['b'])
  })

  it('loses a synced folder with all in it when its own name was not synced', async () => {
    const before = new CrashFileSystem({ model: 'posix' })
    await before.makeDirectory('/d')
    await createDurable(before, '/d/a')
    expect(await before.crash(LOST).list('/')).toEqual([])
  })

  it('may leave a part of a removed tree, and never what was removed after it was synced', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a')
    await createDurable(before, '/d/b')
    await before.removeTree('/d')
    const states = await outcomes(before, async (after) =>
      (await after.status('/d')) ? after.list('/d') : 'gone',
    )
    expect(states).toEqual(
      model === 'ext4'
        ? ['"gone"', '["a","b"]', '["a"]', '[]']
        : ['"gone"', '["a","b"]', '["a"]', '["b"]', '[]'],
    )
    await before.syncDirectory('/')
    expect(await before.crash(LOST).list('/')).toEqual([])
  })
})

describe('names in the stricter reading of POSIX', () => {
  it('loses the unsynced name of a synced file', async () => {
    const before = await disk({ model: 'posix' })
    await create(before, '/d/a')
    await sync(before, '/d/a')
    expect(await before.crash(LOST).list('/d')).toEqual([])
  })

  it('keeps any subset of the unsynced changes of names', async () => {
    const before = await disk({ model: 'posix' })
    await create(before, '/d/a')
    await create(before, '/d/b')
    expect(await outcomes(before, (after) => after.list('/d'))).toEqual(['["a","b"]', '["a"]', '["b"]', '[]'])
  })

  it('leaves both names or none of a file renamed between folders until both are synced', async () => {
    const before = await disk({ model: 'posix' })
    await before.makeDirectory('/e')
    await before.syncDirectory('/')
    await createDurable(before, '/d/a')
    await before.rename('/d/a', '/e/a')
    const look = async (after: CrashFileSystem) =>
      [...(await after.list('/d')), ...(await after.list('/e'))].length
    expect(await outcomes(before, look)).toEqual(['0', '1', '2'])
    await before.syncDirectory('/e')
    expect(await outcomes(before, look)).toEqual(['1', '2'])
    await before.syncDirectory('/d')
    expect(await outcomes(before, look)).toEqual(['1'])
  })

  it('is the default', () => {
    expect(new CrashFileSystem().model).toBe('posix')
  })
})

describe('names on ext4', () => {
  it("makes a new file's name durable with its first sync", async () => {
    const before = await disk({ model: 'ext4' })
    await create(before, '/d/a')
    await sync(before, '/d/a')
    expect(await before.crash(LOST).list('/d')).toEqual(['a'])
  })

  it('does not make a later rename durable by a sync of the file', async () => {
    const before = await disk({ model: 'ext4' })
    await createDurable(before, '/d/a', 'x')
    await before.rename('/d/a', '/d/b')
    await sync(before, '/d/b')
    expect(await before.crash(LOST).list('/d')).toEqual(['a'])
  })

  it('makes a rename durable by a sync that has a new length to commit', async () => {
    const before = await disk({ model: 'ext4' })
    await createDurable(before, '/d/a', 'x')
    await before.rename('/d/a', '/d/b')
    await overwrite(before, '/d/b', [1, 'y'])
    await sync(before, '/d/b')
    expect(await before.crash(LOST).list('/d')).toEqual(['b'])
  })

  it('keeps a beginning of the unsynced changes, in order', async () => {
    const before = await disk({ model: 'ext4' })
    await create(before, '/d/a')
    await create(before, '/d/b')
    expect(await outcomes(before, (after) => after.list('/d'))).toEqual(['["a","b"]', '["a"]', '[]'])
  })

  it('keeps a rename between folders whole', async () => {
    const before = await disk({ model: 'ext4' })
    await before.makeDirectory('/e')
    await before.syncDirectory('/')
    await createDurable(before, '/d/a')
    await before.rename('/d/a', '/e/a')
    const look = async (after: CrashFileSystem) => [await after.list('/d'), await after.list('/e')]
    expect(await outcomes(before, look)).toEqual(['[["a"],[]]', '[[],["a"]]'])
  })

  it('commits older changes of other folders when one folder is synced', async () => {
    const before = await disk({ model: 'ext4' })
    await create(before, '/a')
    await create(before, '/d/b')
    await create(before, '/c')
    await before.syncDirectory('/d')
    expect(await before.crash(LOST).list('/')).toEqual(['a', 'd'])
  })
})

describe('a crash', () => {
  it('fails everything on the old instance, open handles included', async () => {
    const before = await disk()
    const file = await before.open('/d/a', 'create')
    before.crash()
    await expect(file.write(Buffer.from('x'), 0)).rejects.toBeInstanceOf(SimulatedCrash)
    await expect(file.close()).rejects.toBeInstanceOf(SimulatedCrash)
    await expect(before.list('/')).rejects.toBeInstanceOf(SimulatedCrash)
    expect(() => file.syncNow()).toThrow(SimulatedCrash)
  })

  it('repeats itself from its seed', async () => {
    const before = await disk()
    for (const name of 'abcdefgh') await create(before, `/d/${name}`)
    const list = (seed: number) => before.crash(seed).list('/d')
    expect(await list(5)).toEqual(await list(5))
    expect(await outcomes(before, (after) => after.list('/d'))).not.toHaveLength(1)
  })

  it('can be asked about while the machine goes on', async () => {
    const before = await disk()
    await create(before, '/d/a')
    expect(await before.ifCrashed(LOST).list('/d')).toEqual([])
    await before.syncDirectory('/d')
    expect(await before.ifCrashed(LOST).list('/d')).toEqual(['a'])
  })

  it('leaves everything that survived durable', async () => {
    const before = await disk()
    await create(before, '/d/a', 'text')
    const after = before.crash(KEPT)
    expect(await textOf(after.crash(LOST), '/d/a')).toBe('text')
    expect(after.model).toBe(before.model)
  })

  it('keeps surviving hard links one file', async () => {
    const before = await disk()
    await create(before, '/d/a', 'text')
    await before.link('/d/a', '/d/b')
    const after = before.crash(KEPT)
    await overwrite(after, '/d/a', [0, 'TEXT'])
    expect(await textOf(after, '/d/b')).toBe('TEXT')
    expect(await after.status('/d/b')).toMatchObject({ linkCount: 2 })
    const one = before.crash({ writes: 'kept', names: ({ index }) => (index === 0 ? 'kept' : 'lost') })
    expect(await one.status('/d/a')).toMatchObject({ linkCount: 1, bytes: 4 })
  })
})

describe.each(MODELS)('a fork, model %s', (model) => {
  it('may end in each way in which the disk may, and in no other', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'old')
    await overwrite(before, '/d/a', [0, 'new'])
    await before.rename('/d/a', '/d/b')
    await create(before, '/d/c', 'unsynced')
    await before.remove('/d/c')
    await before.makeDirectory('/e')
    await createDurable(before, '/d/f', 'gone')
    await before.remove('/d/f')
    const look = async (after: CrashFileSystem): Promise<unknown> =>
      after.entries().map(({ path, content }) => [path, content?.toString()])
    expect(await outcomes(before.fork(), look)).toEqual(await outcomes(before, look))
    expect(await look(before.fork())).toEqual(await look(before))
    expect(before.fork().usedBytes).toBe(before.usedBytes)
  })

  it('goes on by itself, and keeps hard links one file', async () => {
    const before = await disk({ model })
    await createDurable(before, '/d/a', 'text')
    await before.link('/d/a', '/d/b')
    const fork = before.fork()
    await overwrite(fork, '/d/a', [0, 'TEXT'])
    expect(await textOf(fork, '/d/b')).toBe('TEXT')
    expect(await textOf(before, '/d/b')).toBe('text')
    await fork.syncDirectory('/d')
    await sync(fork, '/d/a')
    expect(await textOf(fork.ifCrashed(LOST), '/d/b')).toBe('TEXT')
    expect(await before.ifCrashed(LOST).list('/d')).toEqual(['a'])
  })
})

describe('everyday behaviour', () => {
  it('counts links, and frees a file with its last name and handle', async () => {
    const fileSystem = await disk()
    await create(fileSystem, '/d/a', 'abcd')
    await fileSystem.link('/d/a', '/d/b')
    expect(await fileSystem.status('/d/a')).toMatchObject({ bytes: 4, isDirectory: false, linkCount: 2 })
    await fileSystem.remove('/d/a')
    const file = await fileSystem.open('/d/b', 'read')
    expect(await file.status()).toMatchObject({ linkCount: 1 })
    await fileSystem.remove('/d/b')
    expect([await file.read(Buffer.alloc(9), 1), fileSystem.usedBytes]).toEqual([3, 4])
    await file.close()
    expect(fileSystem.usedBytes).toBe(0)
  })

  it('gives the errors of Node', async () => {
    const fs = await disk()
    await create(fs, '/d/a')
    const reader = await fs.open('/d/a', 'read')
    await expect(fs.open('/d/x', 'read')).rejects.toMatchObject({
      code: 'ENOENT',
      errno: -2,
      syscall: 'open',
      path: '/d/x',
      message: "ENOENT: no such file or directory, open '/d/x'",
    })
    await expect(fs.open('/d/a', 'create')).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(fs.open('/d', 'read')).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(fs.open('/d/a/b', 'create')).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(fs.list('/d/a')).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(fs.list('/x')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(fs.link('/d/a', '/d/a')).rejects.toMatchObject({ code: 'EEXIST', dest: '/d/a' })
    await expect(fs.remove('/d/x')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(fs.remove('/d')).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(fs.rename('/d', '/d/e')).rejects.toMatchObject({ code: 'EINVAL' })
    await expect(fs.makeDirectory('/d/a')).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(reader.write(Buffer.from('x'), 0)).rejects.toMatchObject({ code: 'EBADF' })
    await reader.close()
    await reader.close()
    await expect(reader.status()).rejects.toMatchObject({ code: 'EBADF' })
  })

  it('answers for what is missing where the port says that is fine', async () => {
    const fileSystem = await disk()
    await create(fileSystem, '/a')
    expect(await fileSystem.status('/d/x/y')).toBeUndefined()
    expect(await fileSystem.status('/a/y')).toBeUndefined()
    await fileSystem.removeTree('/d/x/y')
    await fileSystem.makeDirectory('/d')
    expect(await fileSystem.status('/')).toMatchObject({ isDirectory: true })
  })

  it('lists names sorted by code unit', async () => {
    const fileSystem = await disk()
    for (const name of ['b', 'a', 'B', '10', '9']) await create(fileSystem, `/d/${name}`)
    expect(await fileSystem.list('/d')).toEqual(['10', '9', 'B', 'a', 'b'])
  })

  it('renames whole folders', async () => {
    const fileSystem = await disk()
    await create(fileSystem, '/d/a', 'text')
    await fileSystem.makeDirectory('/e')
    await fileSystem.rename('/d', '/e')
    expect([await fileSystem.list('/'), await textOf(fileSystem, '/e/a')]).toEqual([['e'], 'text'])
    await fileSystem.makeDirectory('/f')
    await expect(fileSystem.rename('/f', '/e')).rejects.toMatchObject({ code: 'ENOTEMPTY' })
  })

  it('writes what fits and fails with ENOSPC when the disk is full', async () => {
    const fileSystem = await disk({ capacityBytes: 5 })
    const file = await fileSystem.open('/d/a', 'create')
    await expect(file.write(Buffer.from('abcdefgh'), 0)).rejects.toMatchObject({ code: 'ENOSPC' })
    await file.write(Buffer.from('A'), 0)
    expect(await textOf(fileSystem, '/d/a')).toBe('Abcde')
    await expect(file.truncate(6)).rejects.toMatchObject({ code: 'ENOSPC' })
    fileSystem.capacityBytes = 6
    await file.write(Buffer.from('f'), 5)
    expect(fileSystem.usedBytes).toBe(6)
  })

  it('rings for changes in the watched folder, until stopped', async () => {
    const fileSystem = await disk()
    let rings = 0
    const stop = fileSystem.watch('/d', () => (rings += 1))
    await create(fileSystem, '/d/a', 'x')
    await create(fileSystem, '/other', 'x')
    await sync(fileSystem, '/d/a')
    expect(rings).toBe(2)
    stop()
    await fileSystem.remove('/d/a')
    await sync(fileSystem, '/other')
    expect(rings).toBe(2)
  })

  it('counts its operations', async () => {
    const fileSystem = new CrashFileSystem()
    await create(fileSystem, '/a')
    expect(fileSystem.operationCount).toBe(3)
  })
})
