/**
 * Fault model: of a series with one parity volume for each two volumes, files are missing or have one byte changed. Any one of a group is made
 * anew, exactly, and that is told; two of a group are an error that names one.
 */
import { crashAt, failAt, failOn, FaultFileSystem } from '@timberline/wal/testing'
import type { CrashFileSystem } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { openSeries, settleSeries, VOLUME_PAGE_BYTES } from '../src/index.ts'
import { decodeParityHeader, encodeParityHeader } from '../src/volumes/parity-header.ts'
import {
  blank,
  emptyDisk,
  type Files,
  namesOf,
  noise,
  PLACE,
  put,
  read,
  readCalls,
  sums,
  writeCall,
} from './support/volume-scene.ts'

const FIRST: Files = { a: blank(101), b: blank(100, 1), c: Buffer.from('c') }
const SECOND: Files = { ...FIRST, d: Buffer.from('d') }
/** Three folders: one for each file of a group. */
const NAMES = [
  '/a/z1.bp',
  '/a/z3.bp',
  '/a/z4.bp',
  '/b/z2.bp',
  '/c/z1-2.parity',
  '/c/z3-3.parity',
  '/c/z4-4.parity',
]

async function series(): Promise<CrashFileSystem> {
  const disk = await emptyDisk()
  await writeCall(disk, FIRST, { parity: 2 })
  await writeCall(disk, SECOND, { parity: 2 })
  return disk
}

async function warningsOf(disk: CrashFileSystem): Promise<readonly string[]> {
  return (await openSeries(PLACE, { fileSystem: disk })).warnings
}

const whole = [FIRST, SECOND].map(sums)

describe('parity', () => {
  it('is one volume for each few of a call, and the rest of it', async () => {
    const disk = await series()
    expect(await namesOf(disk)).toEqual(NAMES)
    expect(await readCalls(disk)).toEqual(whole)
    expect(await warningsOf(disk)).toEqual([])
    const group = ['/c/z1-2.parity', '/a/z1.bp', '/b/z2.bp']
    const bytes = await Promise.all(group.map((name) => read(disk, name)))
    const [parity = Buffer.alloc(0), one = parity, two = parity] = bytes
    // By the document: header, two lengths, exclusive or.
    expect([128, 136].map((at) => Number(parity.readBigUInt64LE(at)))).toEqual([one.length, two.length])
    const longest = Math.max(one.length, two.length)
    const body = Buffer.from(Array.from({ length: longest }, (_, at) => (one[at] ?? 0) ^ (two[at] ?? 0)))
    expect(parity.subarray(144).equals(body)).toBe(true)
  })

  it.each(NAMES)('makes up for %s when it is missing, and says so', async (name) => {
    const disk = await series()
    await disk.remove(name)
    expect(await readCalls(disk)).toEqual(whole)
    const warnings = await warningsOf(disk)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(name.slice(3))
    const settled: unknown = await settleSeries(PLACE, disk).then(
      () => 'settled',
      (error: unknown) => (error as { code: string }).code,
    )
    // The next call builds on nothing that is not there.
    expect(settled).toBe(name.endsWith('parity') ? 'settled' : 'ARCHIVE_VOLUME_MISSING')
  })

  it('makes up for content of any kind and length', async () => {
    const files = { a: noise(150 * VOLUME_PAGE_BYTES, 'a'), b: blank(130), c: noise(77_777, 'c') }
    for (const parity of [1, 2, 3, 4, 255]) {
      const disk = await emptyDisk()
      const paths = await writeCall(disk, files, { parity })
      for (const path of paths) {
        const content = await read(disk, path)
        await disk.remove(path)
        expect(await readCalls(disk)).toEqual([sums(files)])
        await put(disk, path, content)
      }
    }
  })

  it('makes up for one changed byte anywhere, in a volume or in itself, and for any cut', async () => {
    const disk = await series()
    let tried = 0
    for (const name of NAMES) {
      const content = await read(disk, name)
      const tryWith = async (changed: Buffer): Promise<void> => {
        tried += 1
        await put(disk, name, changed)
        expect(await warningsOf(disk), name).toHaveLength(1)
      }
      const places = [...content.keys()].filter((at) => at < 160 || at % 41 === 0)
      for (const at of oneIn(3, places)) {
        const changed = Buffer.from(content)
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
        await tryWith(changed)
      }
      const cuts = [...content.keys()].filter((bytes) => bytes % 397 === 0)
      for (const bytes of oneIn(3, cuts)) await tryWith(content.subarray(0, bytes))
      expect(await readCalls(disk)).toEqual(whole)
      await put(disk, name, content)
    }
    console.log(`${String(tried)} damaged series, all made up for`)
    expect(tried).toBeGreaterThan(300)
  })

  it('of several groups makes up for one in each', async () => {
    const disk = await series()
    for (const name of ['/a/z1.bp', '/a/z3.bp', '/a/z4.bp']) await disk.remove(name)
    expect(await readCalls(disk)).toEqual(whole)
    expect(await warningsOf(disk)).toHaveLength(3)
  })

  it.each([
    ['/a/z1.bp', '/b/z2.bp'],
    ['/a/z1.bp', '/c/z1-2.parity'],
    ['/a/z3.bp', '/c/z3-3.parity'],
  ])('does not make up for %s and %s together: the volume is named', async (first, second) => {
    const disk = await series()
    await disk.remove(first)
    await disk.remove(second)
    await expect(readCalls(disk)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_MISSING',
      details: { name: first.slice(3) },
    })
    const damaged = await series()
    for (const name of [first, second]) {
      const content = await read(damaged, name)
      content[content.length - 1] = (content.at(-1) ?? 0) ^ 1
      await put(damaged, name, content)
    }
    await expect(readCalls(damaged)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_DAMAGED',
      details: { name: first },
    })
  })

  it('of another series or under another name is refused as such', async () => {
    const disk = await series()
    const other = await emptyDisk()
    await writeCall(other, FIRST, { parity: 2, seriesId: 'f0'.repeat(16) })
    const own = await read(disk, '/c/z1-2.parity')
    await put(disk, '/c/z1-2.parity', await read(other, '/c/z1-2.parity'))
    await expect(readCalls(disk)).rejects.toMatchObject({ code: 'ARCHIVE_VOLUME_FOREIGN' })
    await disk.remove('/c/z1-2.parity')
    await put(disk, '/c/z1-3.parity', own)
    await expect(readCalls(disk)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_ORDER',
      details: { nameEndsIn: '1-2.parity' },
    })
  })

  it('goes on in the next folder too, and is whole or not there after a crash or a refusal at any operation', async () => {
    const clean = new FaultFileSystem(await emptyDisk())
    await writeCall(clean, FIRST, { parity: 2 })
    const count = clean.operations.length
    let stood = 0
    for (let index = 1; index <= count + 1; index += 1) {
      const disk = await emptyDisk({ seed: index })
      await writeCall(new FaultFileSystem(disk, crashAt(index)), FIRST, { parity: 2 }).catch(() => undefined)
      const after = disk.crash(index)
      const names = await namesOf(after)
      const counts = names.some((name) => !name.endsWith('.part'))
      stood += counts ? 1 : 0
      const found = counts ? { calls: await readCalls(after), warnings: await warningsOf(after) } : undefined
      expect(found).toEqual(counts ? { calls: [sums(FIRST)], warnings: [] } : undefined)
      await writeCall(after, SECOND, { parity: 2 })
      expect((await namesOf(after)).filter((name) => name.endsWith('.part'))).toEqual([])
      const refused = await emptyDisk()
      const error: unknown = await writeCall(new FaultFileSystem(refused, failAt(index, 'EIO')), FIRST, {
        parity: 2,
      }).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      const left = (await namesOf(refused)).filter((name) => !name.endsWith('.part'))
      expect(left).toHaveLength(error === undefined ? 5 : 0)
    }
    expect(stood).toBeGreaterThan(0)
    const full = await emptyDisk()
    const noRoom = failOn({ kind: 'write', path: /^\/c\/.*parity/ }, 'ENOSPC', { once: false })
    await writeCall(new FaultFileSystem(full, noRoom), FIRST, { parity: 2 })
    expect(await namesOf(full)).toContain('/a/z1-2.parity')
    await full.remove('/b/z2.bp')
    expect(await readCalls(full)).toEqual([sums(FIRST)])
  })
})

describe('the folders of a call with parity', () => {
  const files = { a: blank(350), b: blank(300) }

  /** The folder of each file, by the numbers of the volumes in its name. */
  async function foldersOf(disk: CrashFileSystem): Promise<ReadonlyMap<string, string>> {
    const names = await namesOf(disk)
    return new Map(names.map((path) => [/z(.*)\.(bp|parity)$/.exec(path)?.[1] ?? path, path.slice(1, 2)]))
  }

  it('never hold two files of one group where there are enough of them: a lost disk is made up for', async () => {
    for (const parity of [1, 2]) {
      const disk = await emptyDisk()
      await writeCall(disk, files, { parity })
      await writeCall(disk, { ...files, c: blank(101, 1) }, { parity })
      const folders = await foldersOf(disk)
      const groups = [...folders.keys()].filter((name) => name.includes('-'))
      expect(groups.length).toBeGreaterThan(4)
      for (const group of groups) {
        const [first = 0, last = 0] = group.split('-').map(Number)
        const volumes = Array.from({ length: last - first + 1 }, (_, at) => String(first + at))
        const used = [group, ...volumes].map((name) => folders.get(name))
        expect(new Set(used).size, group).toBe(used.length)
      }
      for (const lost of PLACE.dirs) {
        const dirs = PLACE.dirs.filter((directory) => directory !== lost)
        expect(await readCalls(disk, { prefix: 'z', dirs })).toHaveLength(2)
      }
    }
  })

  it('are filled one after the other where there are too few, and without parity', async () => {
    for (const parity of [0, 3]) {
      const disk = await emptyDisk()
      await writeCall(disk, files, { parity })
      expect(new Set((await foldersOf(disk)).values())).toEqual(new Set(['a']))
    }
  })

  it('give way to each other when their disks are full', async () => {
    for (const full of PLACE.dirs) {
      const disk = await emptyDisk()
      const noRoom = failOn({ kind: 'write', path: new RegExp(`^${full}/z`) }, 'ENOSPC', { once: false })
      await writeCall(new FaultFileSystem(disk, noRoom), files, { parity: 2 })
      expect(await disk.list(full)).toEqual([])
      expect(await readCalls(disk)).toEqual([sums(files)])
    }
  })
})

describe('the header of a parity volume', () => {
  const HEADER = {
    seriesId: '00112233445566778899aabbccddeeff',
    call: 2,
    first: 5,
    last: 8,
    fileBytes: 5000,
    sha256: 'cd'.repeat(32),
  }

  it('is what was encoded', () => {
    expect(decodeParityHeader('z5-8.parity', encodeParityHeader(HEADER))).toEqual(HEADER)
  })

  it.each([{ call: 0 }, { call: 6 }, { last: 4 }, { last: 260 }, { fileBytes: 160 }])(
    'is refused with %j, which nothing writes',
    (change) => {
      const bytes = encodeParityHeader({ ...HEADER, ...change })
      expect(() => decodeParityHeader('z5-8.parity', bytes)).toThrow(
        expect.objectContaining({ code: 'ARCHIVE_VOLUME_DAMAGED' }),
      )
    },
  )
})
