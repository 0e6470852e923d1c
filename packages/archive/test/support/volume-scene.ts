// Series of volumes on a simulated disk with three folders, and few verbs to write and read them.
import { createCipheriv, createHash } from 'node:crypto'
import { type FileSystem, readFully } from '@timberline/wal'
import { CrashFileSystem, type CrashModel } from '@timberline/wal/testing'
import {
  type BackupManifest,
  CallWriter,
  type Extent,
  openSeries,
  seriesFiles,
  settleSeries,
  VOLUME_PAGE_BYTES,
} from '../../src/index.ts'

export const PLACE = { prefix: 'z', dirs: ['/a', '/b', '/c'] } as const
export const SERIES_ID = '5e'.repeat(16)

/** Files by name, as a backup set has them. */
export type Files = Readonly<Record<string, Buffer>>

export interface CallOptions {
  readonly seriesId?: string
  readonly volumePages?: number
  readonly parity?: number
  readonly prefix?: string
}

/** Content that cannot be compressed, always the same for the same seed. */
export function noise(bytes: number, seed: string): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
}

/** So many pages that compress to next to nothing. */
export function blank(pages: number, fill = 0): Buffer {
  return Buffer.alloc(pages * VOLUME_PAGE_BYTES, fill)
}

export async function emptyDisk(
  options: { seed?: number; model?: CrashModel } = {},
): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem(options)
  for (const directory of PLACE.dirs) await disk.makeDirectory(directory)
  await disk.syncDirectory('/')
  return disk
}

/** One call, as a backup makes it; it leaves nothing when it fails. Files that the series holds already are not written. */
export async function writeCall(
  fileSystem: FileSystem,
  files: Files,
  options: CallOptions = {},
): Promise<readonly string[]> {
  const { seriesId = SERIES_ID, volumePages = 100, parity = 0, prefix = PLACE.prefix } = options
  const place = { ...PLACE, prefix }
  const { last, index } = await settleSeries(place, fileSystem)
  const firstVolume = 1 + (last?.header.volume ?? 0)
  const firstPage = last === undefined ? 0 : last.header.firstPage + last.header.pages
  const call = 1 + (last?.header.call ?? 0)
  const writer = new CallWriter(
    { ...place, seriesId, volumePages, parity, call, firstVolume, firstPage },
    fileSystem,
  )
  try {
    const manifest = manifestOf(files, call)
    const extents: (readonly Extent[])[] = []
    for (const file of manifest.files) {
      const known = index?.manifest.files.findIndex((each) => each.sha256 === file.sha256) ?? -1
      const at = writer.position
      if (known >= 0) {
        extents.push(index?.extents[known] ?? [])
        continue
      }
      await writer.append(files[file.name] ?? Buffer.alloc(0))
      extents.push([{ at, bytes: file.bytes }])
    }
    await writer.finish({ manifest, extents })
    await writer.publish()
    return writer.paths
  } catch (error) {
    await writer.abandon()
    throw error
  }
}

/** Files by the checksum of their content: comparing content itself byte by byte takes a test minutes. */
export function sums(files: Files): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [name, sumOf(content)]))
}

function sumOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** The checksums of the files of each call, read back. */
export async function readCalls(
  fileSystem: FileSystem,
  place: { prefix: string; dirs: readonly string[] } = PLACE,
): Promise<Record<string, string>[]> {
  const series = await openSeries(place, { fileSystem })
  const view = seriesFiles(series)
  const calls: Record<string, string>[] = []
  for (const { call, manifest } of series.calls) {
    const files: Record<string, Buffer> = {}
    for (const { name, bytes } of manifest.files) {
      const handle = await view.open(`/${String(call)}/${name}`, 'read')
      const content = Buffer.alloc(bytes)
      if ((await readFully(handle, content, 0)) < bytes) throw new Error(`${name} ends early`)
      files[name] = content
    }
    calls.push(sums(files))
  }
  return calls
}

/** The path of a volume, in whichever folder it is. */
export async function pathOf(fileSystem: FileSystem, name: string): Promise<string> {
  for (const directory of PLACE.dirs)
    if ((await fileSystem.list(directory)).includes(name)) return `${directory}/${name}`
  throw new Error(`there is no ${name}`)
}

/** All names in the folders. */
export async function namesOf(fileSystem: FileSystem): Promise<string[]> {
  const names: string[] = []
  for (const directory of PLACE.dirs)
    names.push(...(await fileSystem.list(directory)).map((name) => `${directory}/${name}`))
  return names
}

export async function read(fileSystem: FileSystem, path: string): Promise<Buffer> {
  const handle = await fileSystem.open(path, 'read')
  const content = Buffer.alloc((await handle.status()).bytes)
  await handle.read(content, 0)
  await handle.close()
  return content
}

/** Puts content in the place of a file, or of nothing. */
export async function put(fileSystem: FileSystem, path: string, content: Buffer): Promise<void> {
  if ((await fileSystem.status(path)) !== undefined) await fileSystem.remove(path)
  const handle = await fileSystem.open(path, 'create')
  await handle.write(content, 0)
  await handle.close()
}

/** What the index of a call says of a set of files. */
export function manifestOf(files: Files, call: number): BackupManifest {
  return {
    format: 1,
    label: `call-${String(call)}`,
    environmentId: 'e0'.repeat(16),
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn: 1,
      committedAtUs: 1,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000001',
      manifestBase64: '',
      current: 'MANIFEST-000001\n',
    },
    beginLsn: 2,
    endLsn: 2,
    endCommittedAtUs: 2,
    files: Object.entries(files).map(([name, content]) => ({
      name,
      bytes: content.length,
      sha256: sumOf(content),
    })),
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  }
}
