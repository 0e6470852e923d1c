/**
 * Volumes are byte-order independent (row B2): a series that a big-endian machine wrote from the document is read here, with any one of its
 * volumes lost, and the parity that is written here is, byte for byte, what that machine would have written.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type BackupManifest, CallWriter, openSeries, type Series, seriesFiles } from '@timberline/archive'
import { nodeFileSystem, readFileWhole } from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readBlock, readBlockTable, verifyVolume } from '../../packages/archive/src/volumes/volume-file.ts'
import { decodeVolumeHeader, encodeVolumeHeader } from '../../packages/archive/src/volumes/volume-header.ts'
import { machineCheckedJson, machineParity, machineVolume } from './big-endian-volumes.ts'
import { Scenes } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

const SERIES = '00112233445566778899aabbccddeeff'
const PAGE_BYTES = 8192
/** Its bytes differ from each other, so that no two of them can change places unseen. */
const LONG = 'x'.repeat(0x0102)

const sha256 = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex')

/** A set of these files. */
function manifestOf(files: Readonly<Record<string, Buffer>>): BackupManifest {
  const lsn = 0x0102
  return {
    format: 1,
    label: '20231114-221320F',
    environmentId: SERIES,
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn,
      committedAtUs: 1,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000001',
      manifestBase64: '',
      current: 'MANIFEST-000001\n',
    },
    beginLsn: 1,
    endLsn: lsn,
    endCommittedAtUs: 1,
    files: Object.entries(files).map(([name, content]) => ({
      name,
      bytes: content.length,
      sha256: sha256(content),
    })),
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'a machine',
  }
}

/** The files of a call, one after the other, then its index; in pages, so many to each volume. */
function seriesOfTheMachine(
  files: Readonly<Record<string, Buffer>>,
  pagesEach: readonly number[],
): Uint8Array[] {
  const contents = Object.values(files)
  const extents: [number, number][][] = []
  let indexAt = 0
  for (const { length } of contents) {
    extents.push([[indexAt, length]])
    indexAt += length
  }
  const index = machineCheckedJson({ format: 1, call: 1, manifest: manifestOf(files), extents }, sha256)
  const pages = Math.ceil((indexAt + index.length) / PAGE_BYTES)
  const stream = Buffer.alloc(pages * PAGE_BYTES)
  Buffer.concat([...contents, index]).copy(stream)
  let firstPage = 0
  return pagesEach.map((wanted, at) => {
    const isLastOfCall = at === pagesEach.length - 1
    const pagesHere = isLastOfCall ? pages - firstPage : wanted
    const fields = {
      seriesId: SERIES,
      volume: at + 1,
      call: 1,
      callFirstVolume: 1,
      isLastOfCall,
      volumePages: 100,
      parity: 2,
      pages: pagesHere,
      firstPage,
      indexAt: isLastOfCall ? indexAt : 0,
      indexBytes: isLastOfCall ? index.length : 0,
    }
    const content = stream.subarray(firstPage * PAGE_BYTES, (firstPage + pagesHere) * PAGE_BYTES)
    firstPage += pagesHere
    return machineVolume(fields, [gzipSync(content)], sha256)
  })
}

async function opened(dir: string): Promise<Series> {
  return openSeries({ prefix: 'z', dirs: [dir] }, { fileSystem: nodeFileSystem })
}

describe('B2: volumes are byte-order independent', () => {
  test('B2: a volume', async () => {
    const fields = {
      seriesId: SERIES,
      volume: 0x0304,
      call: 0x0203,
      callFirstVolume: 0x0301,
      isLastOfCall: true,
      volumePages: 0x0102,
      parity: 3,
      pages: 200,
      firstPage: 0x01_02_03_04_05,
      indexAt: 0x01_02_03_04_05_06,
      indexBytes: 0x0102,
    }
    const content = Buffer.from(LONG.repeat(Math.ceil((200 * 8192) / LONG.length))).subarray(0, 200 * 8192)
    const parts = [content.subarray(0, 1024 * 1024), content.subarray(1024 * 1024)]
    const theirs = Buffer.from(
      machineVolume(
        fields,
        parts.map((part) => gzipSync(part)),
        sha256,
      ),
    )
    const header = decodeVolumeHeader('it', theirs.subarray(0, 128))
    expect(header).toMatchObject(fields)
    expect(encodeVolumeHeader(header)).toEqual(theirs.subarray(0, 128))
    const source = {
      bytes: theirs.length,
      read: (target: Buffer, at: number) => Promise.resolve(void theirs.copy(target, 0, at)),
    }
    await verifyVolume(source, header, { name: 'it' })
    const blocks = await readBlockTable(source, header, 'it')
    const read = blocks.map((block, index) =>
      readBlock(source, { ...block, contentBytes: parts[index]?.length ?? 0 }, 'it'),
    )
    expect(Buffer.concat(await Promise.all(read)).equals(content)).toBe(true)
  })

  test('B2: a series of volumes with parity that a big-endian machine wrote, also without any one of them', async () => {
    const dir = scenes.path('series')
    await mkdir(dir)
    const files = { 'log/log.0000000001': Buffer.from(LONG.repeat(70)), 'timberline.json': Buffer.from('{}') }
    const volumes = seriesOfTheMachine(files, [1, 1, 1])
    const group = { seriesId: SERIES, call: 1 }
    const all = {
      ...Object.fromEntries(volumes.map((volume, at) => [`z${String(at + 1)}.bp`, volume])),
      'z1-2.parity': machineParity({ ...group, first: 1, volumes: volumes.slice(0, 2) }, sha256),
      'z3-3.parity': machineParity({ ...group, first: 3, volumes: volumes.slice(2) }, sha256),
    }
    for (const [name, bytes] of Object.entries(all)) await writeFile(join(dir, name), bytes)
    expect((await opened(dir)).warnings).toEqual([])
    const spare = scenes.path('spare')
    for (const lost of Object.keys(all)) {
      await rename(join(dir, lost), spare)
      const series = await opened(dir)
      expect(series.warnings).toEqual([expect.stringContaining(lost)])
      for (const [name, content] of Object.entries(files))
        expect((await readFileWhole(`/1/${name}`, seriesFiles(series))).equals(content), name).toBe(true)
      await rename(spare, join(dir, lost))
    }
  })

  test('B2: parity that was written here is what that machine would have written', async () => {
    const dir = scenes.path('ours')
    await mkdir(dir)
    const place = { prefix: 'z', dirs: [dir], seriesId: SERIES, volumePages: 100, parity: 2 }
    const writer = new CallWriter({ ...place, call: 1, firstVolume: 1, firstPage: 0 }, nodeFileSystem)
    // More than one volume, which a compressor makes small.
    const content = Buffer.alloc(120 * PAGE_BYTES, LONG)
    await writer.append(content)
    const manifest = manifestOf({ 'timberline.json': content })
    await writer.finish({ manifest, extents: [[{ at: 0, bytes: content.length }]] })
    await writer.publish()
    const volumes = await Promise.all(writer.paths.map((path) => readFile(path)))
    expect(volumes).toHaveLength(2)
    const theirs = machineParity({ seriesId: SERIES, call: 1, first: 1, volumes }, sha256)
    expect((await readFile(join(dir, 'z1-2.parity'))).equals(theirs)).toBe(true)
  })
})
