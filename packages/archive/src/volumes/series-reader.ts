/**
 * A series as one stream of bytes that can be read anywhere, and the index of each of its calls. Every volume is compared with
 * its checksum before anything of it is believed.
 */
import type { FileSystem } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import { type CallIndex, decodeCallIndex } from './call-index.ts'
import type { SoundVolume } from './series-check.ts'
import { proveSeries } from './series-proof.ts'
import { scanSeries, type SeriesPlace } from './series-scan.ts'
import { blockContentBytes, fileBytes, readBlock, readBlockTable } from './volume-file.ts'
import type { VolumeBytes } from './volume-file.ts'
import { prefixComplaint } from './volume-names.ts'
import { VOLUME_BLOCK_BYTES, volumeDamaged, VOLUME_PAGE_BYTES, type VolumeHeader } from './volume-header.ts'

/** Blocks kept for the next read: files are read from one end to the other, a few at a time. */
const BLOCKS_KEPT = 16
/** An index of a million files is 400 MB. */
const INDEX_BYTES_MAX = 512 * 1024 * 1024

export interface OpenSeriesOptions {
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
}

/** A series of volumes that were found whole. */
export interface Series {
  readonly seriesId: string
  /** The indexes of its calls, oldest first; at least one. */
  readonly calls: readonly CallIndex[]
  /** What was made up for by parity volumes, or is wrong with these; each a sentence. */
  readonly warnings: readonly string[]
  /** Fills the target with the content of the stream from this place on. */
  read(target: Buffer, at: number): Promise<void>
}

/** A volume whose bytes are known to be those that its header promises. */
export interface ReadableVolume {
  readonly header: VolumeHeader
  /** For errors. */
  readonly name: string
  readonly source: VolumeBytes
}

/**
 * Opens a series, and proves each volume of it by its checksum.
 *
 * @throws ARCHIVE_VOLUMES_ABSENT, ARCHIVE_VOLUME_MISSING, ARCHIVE_VOLUME_DAMAGED, ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER
 */
export async function openSeries(place: SeriesPlace, options: OpenSeriesOptions): Promise<Series> {
  const complaint = prefixComplaint(place.prefix)
  // Else the volumes of a prefix that this one begins with would be told to be out of place.
  if (complaint !== undefined) throw absent(place, `no volumes can have this prefix: ${complaint}`)
  const found = await scanSeries(place, options.fileSystem)
  const { seriesId, volumes, warnings } = await proveSeries(found, place.prefix, options)
  if (volumes.length === 0) throw absent(place, 'no volume of this prefix is there')
  const read = streamOf(volumes)
  const calls: CallIndex[] = []
  for (const volume of volumes) if (volume.header.isLastOfCall) calls.push(await readCallIndex(volume, read))
  return { seriesId, calls, warnings, read }
}

/**
 * What the last call left in the series.
 *
 * @throws ARCHIVE_VOLUME_DAMAGED
 */
export async function lastCallIndex(volumes: readonly ReadableVolume[]): Promise<CallIndex | undefined> {
  const last = volumes.at(-1)
  return last === undefined ? undefined : readCallIndex(last, streamOf(volumes))
}

/** A volume by its file. */
export function readable({ path, header }: SoundVolume, fileSystem: FileSystem): ReadableVolume {
  return { header, name: path, source: fileBytes(path, header.fileBytes, fileSystem) }
}

function absent({ prefix, dirs }: SeriesPlace, message: string): Error {
  return archiveError('ARCHIVE_VOLUMES_ABSENT', message, { details: { prefix, dirs } })
}

async function readCallIndex({ header, name }: ReadableVolume, read: Series['read']): Promise<CallIndex> {
  if (header.indexBytes > INDEX_BYTES_MAX) throw volumeDamaged(name, 'its index is impossibly long')
  const content = Buffer.alloc(header.indexBytes)
  await read(content, header.indexAt)
  const index = decodeCallIndex(name, content, header.indexAt)
  if (index.call !== header.call) throw volumeDamaged(name, 'its index is of another call')
  return index
}

/** Reads the stream that the pages of ascending volumes make. */
function streamOf(volumes: readonly ReadableVolume[]): Series['read'] {
  const tables = new Map<ReadableVolume, ReturnType<typeof readBlockTable>>()
  const blocks = new Map<string, Promise<Buffer>>()
  const blockOf = (volume: ReadableVolume, index: number): Promise<Buffer> => {
    const key = `${String(volume.header.volume)}:${String(index)}`
    const content = blocks.get(key) ?? loadBlock(volume, index, tables)
    // A block that is used again becomes the youngest.
    blocks.delete(key)
    blocks.set(key, content)
    for (const oldest of blocks.keys()) {
      if (blocks.size <= BLOCKS_KEPT) break
      blocks.delete(oldest)
    }
    return content
  }
  return async (target, at) => {
    for (let filled = 0; filled < target.length;) {
      const position = at + filled
      const volume = volumeAt(volumes, position)
      const inside = position - volume.header.firstPage * VOLUME_PAGE_BYTES
      const block = await blockOf(volume, Math.floor(inside / VOLUME_BLOCK_BYTES))
      filled += block.copy(target, filled, inside % VOLUME_BLOCK_BYTES)
    }
  }
}

async function loadBlock(
  volume: ReadableVolume,
  index: number,
  tables: Map<ReadableVolume, ReturnType<typeof readBlockTable>>,
): Promise<Buffer> {
  const { source, header, name } = volume
  const table = tables.get(volume) ?? readBlockTable(source, header, name)
  tables.set(volume, table)
  const place = (await table)[index]
  if (place === undefined) throw volumeDamaged(name, 'a block of it is missing')
  return readBlock(source, { ...place, contentBytes: blockContentBytes(header, index) }, name)
}

function volumeAt(volumes: readonly ReadableVolume[], position: number): ReadableVolume {
  const page = Math.floor(position / VOLUME_PAGE_BYTES)
  let low = 0
  let high = volumes.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((volumes[middle]?.header.firstPage ?? 0) <= page) low = middle
    else high = middle - 1
  }
  const volume = volumes[low]
  const { firstPage = 0, pages = 0 } = volume?.header ?? {}
  if (volume !== undefined && page >= firstPage && page < firstPage + pages) return volume
  throw archiveError('ARCHIVE_VOLUME_DAMAGED', 'the stream of the series ends before this place', {
    details: { position },
  })
}
