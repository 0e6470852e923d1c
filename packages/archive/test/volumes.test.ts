import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { crc32, gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { openSeries, prefixComplaint, seriesFiles, settleSeries, VOLUME_PAGE_BYTES } from '../src/index.ts'
import { decodeVolumeHeader, encodeVolumeHeader, type VolumeHeader } from '../src/volumes/volume-header.ts'
import { parityName, parseVolumeName, partName, volumeName } from '../src/volumes/volume-names.ts'
import {
  blank,
  emptyDisk,
  namesOf,
  noise,
  pathOf,
  PLACE,
  put,
  read,
  readCalls,
  SERIES_ID,
  sums,
  writeCall,
} from './support/volume-scene.ts'

const HEADER: VolumeHeader = {
  seriesId: '00112233445566778899aabbccddeeff',
  volume: 3,
  call: 2,
  callFirstVolume: 2,
  isLastOfCall: true,
  volumePages: 100,
  parity: 0,
  firstPage: 101,
  pages: 5,
  indexAt: 850_000,
  indexBytes: 700,
  fileBytes: 1000,
  sha256: 'ab'.repeat(32),
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'not refused'
}

describe('the prefix of volumes', () => {
  it.each(['', '/abs/z', '../z', 'a..b', 'a\\b', 'z\0', 'z1', 'z'.repeat(201)])('cannot be %j', (prefix) => {
    expect(prefixComplaint(prefix)).toBeTypeOf('string')
  })

  it.each(['z', 'dump-20021010_#', 'a;b', '.', 'ä'])('can be %j', (prefix) => {
    expect(prefixComplaint(prefix)).toBeUndefined()
    expect(parseVolumeName(prefix, volumeName(prefix, 12))).toEqual({ type: 'volume', volume: 12 })
    expect(parseVolumeName(prefix, partName(volumeName(prefix, 12), 77))).toEqual({
      type: 'volume',
      volume: 12,
      writerPid: 77,
    })
  })

  it('is that of parity volumes too', () => {
    const name = parityName('z', { first: 3, last: 12 })
    expect(parseVolumeName('z', name)).toEqual({ type: 'parity', first: 3, last: 12 })
    expect(parseVolumeName('z', partName(name, 77))).toMatchObject({ first: 3, writerPid: 77 })
    expect(parseVolumeName('z', 'z12-3.parity')).toBeUndefined()
  })

  it('finds no volume in any other name', () => {
    const others = [
      'z',
      'z.bp',
      'z0.bp',
      'z01.bp',
      'z1.bp.part',
      'z1.bp.x.part',
      'y1.bp',
      'z1.bp.gz',
      'zz1.bp',
    ]
    expect(others.filter((name) => parseVolumeName('z', name) !== undefined)).toEqual([])
  })
})

describe('the header of a volume', () => {
  it('gives the bytes of the worked example', async () => {
    const text = await readFile(new URL('../FORMAT.md', import.meta.url), 'utf8')
    const example = text.slice(text.indexOf('### Worked volume'), text.indexOf('## Worked example'))
    const hex = [...example.matchAll(/^000000\w{2}((?: {1,2}[0-9a-f]{2})+)/gm)]
      .map((line) => line[1])
      .join('')
    expect(encodeVolumeHeader(HEADER).toString('hex')).toBe(hex.replaceAll(' ', ''))
    expect(decodeVolumeHeader('z3.bp', encodeVolumeHeader(HEADER))).toEqual(HEADER)
  })

  const impossible: readonly Partial<VolumeHeader>[] = [
    { volumePages: 99 },
    { volumePages: 16_777_217 },
    { pages: 0 },
    { pages: 101 },
    { call: 0 },
    { callFirstVolume: 4 },
    { callFirstVolume: 1 },
    { parity: 256 },
    { firstPage: Number.MAX_SAFE_INTEGER },
    { isLastOfCall: false },
    { indexBytes: 0 },
    { indexAt: 106 * 8192 - 699 },
    { fileBytes: 132 },
  ]
  it.each(impossible)('is refused with %j, which nothing writes', (change) => {
    const bytes = encodeVolumeHeader({ ...HEADER, ...change })
    expect(() => decodeVolumeHeader('z3.bp', bytes)).toThrow(
      expect.objectContaining({ code: 'ARCHIVE_VOLUME_DAMAGED' }),
    )
  })

  it('is accepted at the bounds', () => {
    for (const change of [{ pages: 100 }, { pages: 1 }, { volumePages: 16_777_216, fileBytes: 10_000_000 }]) {
      const header = { ...HEADER, ...change, indexAt: 101 * 8192 }
      expect(decodeVolumeHeader('z3.bp', encodeVolumeHeader(header))).toEqual(header)
    }
  })

  it('of a later release is refused as such, a flipped version as damage', () => {
    const bytes = encodeVolumeHeader(HEADER)
    bytes.writeUInt16LE(2, 8)
    const decode = (): unknown => decodeVolumeHeader('z3.bp', bytes)
    expect(decode).toThrow(expect.objectContaining({ code: 'ARCHIVE_VOLUME_DAMAGED' }))
    bytes.writeUInt32LE(crc32(bytes.subarray(96, 128), crc32(bytes.subarray(0, 92))), 92)
    expect(decode).toThrow(expect.objectContaining({ code: 'ARCHIVE_FORMAT' }))
  })
})

describe('a series', () => {
  it('holds what each call put in, in volumes of the stated number of pages', async () => {
    const disk = await emptyDisk()
    const first = { a: noise(250 * VOLUME_PAGE_BYTES + 17, 'a'), b: Buffer.alloc(0), c: Buffer.from('c') }
    const second = { ...first, d: noise(99 * VOLUME_PAGE_BYTES, 'd') }
    expect(await writeCall(disk, first)).toEqual(['/a/z1.bp', '/a/z2.bp', '/a/z3.bp'])
    expect(await writeCall(disk, second)).toEqual(['/a/z4.bp'])
    expect(await writeCall(disk, second)).toEqual(['/a/z5.bp'])
    expect(await readCalls(disk)).toEqual([first, second, second].map(sums))
    const headers: VolumeHeader[] = []
    for (const name of await namesOf(disk))
      headers.push(decodeVolumeHeader(name, (await read(disk, name)).subarray(0, 128)))
    expect(headers.map(({ volume, call, firstPage, pages }) => [volume, call, firstPage, pages])).toEqual([
      [1, 1, 0, 100],
      [2, 1, 100, 100],
      [3, 1, 200, 51],
      [4, 2, 251, 100],
      [5, 3, 351, 1],
    ])
  })

  it('whose call ends exactly with a volume has its mark in that volume', async () => {
    for (const short of [0, 1, 8191, 8192]) {
      const disk = await emptyDisk()
      // The index is of some length: tried out once, so that content and index fill the volume exactly.
      const probe = { a: noise(100 * VOLUME_PAGE_BYTES - 5000, 'a') }
      await writeCall(disk, probe)
      const { indexAt, indexBytes } = decodeVolumeHeader('', (await read(disk, '/a/z1.bp')).subarray(0, 128))
      const left = 100 * VOLUME_PAGE_BYTES - indexAt - indexBytes
      const exact = { a: noise(probe.a.length + left - short, 'a') }
      const other = await emptyDisk()
      expect(await writeCall(other, exact)).toHaveLength(1)
      expect(await readCalls(other)).toEqual([sums(exact)])
      const more = { a: noise(exact.a.length + short + 1, 'a') }
      const third = await emptyDisk()
      expect(await writeCall(third, more)).toHaveLength(2)
      expect(await readCalls(third)).toEqual([sums(more)])
    }
  })

  it('is read by a program that shares no code with ours', async () => {
    const disk = await emptyDisk()
    const files = { a: noise(150 * VOLUME_PAGE_BYTES, 'a'), b: blank(300, 7) }
    await writeCall(disk, files, { volumePages: 300 })
    const parts: Buffer[] = []
    for (const name of ['/a/z1.bp', '/a/z2.bp']) {
      const volume = await read(disk, name)
      const begin = 128 + 4 * Math.ceil((300 * 8192) / 1_048_576)
      const hash = createHash('sha256').update(volume.subarray(begin)).update(volume.subarray(128, begin))
      expect(volume.toString('hex', 96, 128)).toBe(hash.digest('hex'))
      // Members of gzip one after the other are gzip: `tail -c +141 z1.bp | gunzip`.
      const content = gunzipSync(volume.subarray(begin))
      expect(content.length).toBe(volume.readUInt32LE(52) * 8192)
      parts.push(content)
    }
    const stream = Buffer.concat(parts)
    const end = await read(disk, '/a/z2.bp')
    const at = Number(end.readBigUInt64LE(64))
    const index = JSON.parse(stream.toString('utf8', at, at + Number(end.readBigUInt64LE(72)))) as {
      manifest: { files: { name: string }[] }
      extents: [number, number][][]
    }
    for (const [position, { name }] of index.manifest.files.entries()) {
      const runs = index.extents[position]?.map(([from, bytes]) => stream.subarray(from, from + bytes)) ?? []
      expect(Buffer.concat(runs).equals(files[name as keyof typeof files])).toBe(true)
    }
  })

  it('gives its files as a file system that nobody can write', async () => {
    const disk = await emptyDisk()
    await writeCall(disk, { 'log/x': Buffer.from('x'), 'checkpoint/tables/y': Buffer.from('y') })
    const view = seriesFiles(await openSeries(PLACE, { fileSystem: disk }))
    expect(await view.list('/1')).toEqual(['checkpoint', 'log'])
    expect(await view.list('/1/checkpoint')).toEqual(['tables'])
    expect(await view.status('/1/log')).toMatchObject({ isDirectory: true })
    expect(await view.status('/1/log/x')).toMatchObject({ isDirectory: false, bytes: 1 })
    expect(await view.status('/1/none')).toBeUndefined()
    const handle = await view.open('/1/log/x', 'read')
    expect(await handle.status()).toMatchObject({ bytes: 1 })
    await handle.sync()
    handle.syncNow()
    expect(await handle.read(Buffer.alloc(4), 1)).toBe(0)
    const refused = [
      handle.write(Buffer.alloc(1), 0),
      handle.truncate(0),
      view.open('/1/log/z', 'create'),
      view.makeDirectory('/2'),
      view.link('/1/log/x', '/1/log/z'),
      view.rename('/1/log/x', '/1/log/z'),
      view.remove('/1/log/x'),
      view.removeTree('/1'),
      view.syncDirectory('/1'),
    ]
    expect(await Promise.all(refused.map(codeOf))).toEqual(refused.map(() => 'EROFS'))
    expect(() => handle.writeNow(Buffer.alloc(1), 0)).toThrow('EROFS')
    expect(await codeOf(view.open('/1/log/z', 'read'))).toBe('ENOENT')
    expect(await codeOf(view.list('/3'))).toBe('ENOENT')
    view.watch('/1', () => undefined)()
    await handle.close()
  })
})

describe('a set of volumes is refused', () => {
  /** Three calls: two volumes, one, one. */
  async function series(): Promise<Awaited<ReturnType<typeof emptyDisk>>> {
    const disk = await emptyDisk()
    const files = { a: noise(150 * VOLUME_PAGE_BYTES, 'a') }
    await writeCall(disk, files)
    await writeCall(disk, { ...files, b: Buffer.from('b') })
    await writeCall(disk, { ...files, c: Buffer.from('c') })
    return disk
  }

  it('when there is none, or a folder is not there', async () => {
    const disk = await emptyDisk()
    expect(await codeOf(readCalls(disk))).toBe('ARCHIVE_VOLUMES_ABSENT')
    await writeCall(disk, { a: Buffer.from('a') })
    expect(await codeOf(readCalls(disk, { prefix: 'y', dirs: ['/a'] }))).toBe('ARCHIVE_VOLUMES_ABSENT')
    expect(await codeOf(readCalls(disk, { prefix: 'z', dirs: ['/a', '/d'] }))).toBe('ARCHIVE_VOLUMES_ABSENT')
    // Not as volume 2 of z1, out of place.
    await put(disk, '/a/z12.bp', await read(disk, '/a/z1.bp'))
    expect(await codeOf(readCalls(disk, { prefix: 'z1', dirs: ['/a'] }))).toBe('ARCHIVE_VOLUMES_ABSENT')
    expect(await codeOf(readCalls(disk, { prefix: 'z', dirs: ['/a/z1.bp'] }))).toBe('ARCHIVE_VOLUMES_ABSENT')
  })

  it.each([1, 2, 3])('when volume %i of four is missing, by its name', async (number) => {
    const disk = await series()
    await disk.remove(`/a/z${String(number)}.bp`)
    await expect(readCalls(disk)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_MISSING',
      details: { name: `z${String(number)}.bp` },
    })
    expect(await codeOf(settleSeries(PLACE, disk))).toBe('ARCHIVE_VOLUME_MISSING')
  })

  it('when the end of its last call is missing', async () => {
    const disk = await series()
    for (const number of [4, 3, 2]) await disk.remove(`/a/z${String(number)}.bp`)
    await expect(readCalls(disk)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_MISSING',
      details: { name: 'z2.bp' },
    })
  })

  it('but not without its last calls, which then are no part of it', async () => {
    const disk = await series()
    await disk.remove('/a/z4.bp')
    expect(await readCalls(disk)).toHaveLength(2)
    await disk.remove('/a/z3.bp')
    expect(await readCalls(disk)).toHaveLength(1)
  })

  it('in any order but its own', async () => {
    const names = [1, 2, 3, 4].map((number) => `/a/z${String(number)}.bp`)
    const disk = await series()
    const contents = await Promise.all(names.map((name) => read(disk, name)))
    let refused = 0
    for (const order of permutations([0, 1, 2, 3])) {
      for (const [index, from] of order.entries())
        await put(disk, names[index] ?? '', contents[from] ?? Buffer.alloc(0))
      const isRight = order.every((from, index) => from === index)
      expect(await codeOf(readCalls(disk)), String(order)).toBe(
        isRight ? 'not refused' : 'ARCHIVE_VOLUME_ORDER',
      )
      refused += isRight ? 0 : 1
    }
    expect(refused).toBe(23)
  })

  it.each([1, 2, 3, 4])('when volume %i is of another series', async (number) => {
    const disk = await series()
    const other = await emptyDisk()
    const files = { a: noise(350 * VOLUME_PAGE_BYTES, 'a') }
    await writeCall(other, files, { seriesId: 'f0'.repeat(16) })
    const name = `/a/z${String(number)}.bp`
    await put(disk, name, await read(other, name))
    await expect(readCalls(disk)).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUME_FOREIGN',
      details: { path: name, expectedSeriesId: SERIES_ID },
    })
  })

  it('when neighbours contradict each other', async () => {
    const disk = await series()
    for (const change of [{ callFirstVolume: 4, call: 4 }, { firstPage: 7 }, { volumePages: 101 }]) {
      const before = await read(disk, '/a/z4.bp')
      const header = decodeVolumeHeader('', before.subarray(0, 128))
      const forged = encodeVolumeHeader({ ...header, ...change, indexAt: 7 * 8192, indexBytes: 10 })
      await put(disk, '/a/z4.bp', Buffer.concat([forged, before.subarray(128)]))
      expect(await codeOf(readCalls(disk))).toBe('ARCHIVE_VOLUME_DAMAGED')
      await put(disk, '/a/z4.bp', before)
    }
  })

  it('when no header at all can be believed', async () => {
    const disk = await emptyDisk()
    await put(disk, '/a/z1.bp', Buffer.alloc(1000))
    expect(await codeOf(readCalls(disk))).toBe('ARCHIVE_VOLUME_DAMAGED')
    await put(disk, '/a/z1.bp', Buffer.alloc(0))
    expect(await codeOf(readCalls(disk))).toBe('ARCHIVE_VOLUME_DAMAGED')
  })

  it('for a format of a later release, even beside sound ones', async () => {
    const disk = await series()
    const content = await read(disk, '/a/z2.bp')
    content.writeUInt16LE(2, 8)
    content.writeUInt32LE(crc32(content.subarray(96, 128), crc32(content.subarray(0, 92))), 92)
    await put(disk, '/a/z2.bp', content)
    expect(await codeOf(readCalls(disk))).toBe('ARCHIVE_FORMAT')
  })

  it('not because a volume lies in two folders, of which one copy is cut short', async () => {
    const disk = await series()
    const content = await read(disk, '/a/z2.bp')
    await put(disk, '/b/z2.bp', content)
    await put(disk, '/a/z2.bp', content.subarray(0, 5000))
    expect(await readCalls(disk)).toHaveLength(3)
    expect(await pathOf(disk, 'z2.bp')).toBe('/a/z2.bp')
  })
})

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  )
}
