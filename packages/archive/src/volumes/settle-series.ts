/**
 * What a call finds before it writes: the volumes that count get their names, if the call before died while it gave them, and
 * parts of dead calls are removed, by name, after it is known that the series is whole.
 */
import { basename, dirname, join } from 'node:path'
import { processIsAlive } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { type CallIndex } from './call-index.ts'
import { isBeingWritten } from './call-writer.ts'
import {
  assessSeries,
  type Part,
  requireNoneLost,
  type SeriesState,
  type SoundVolume,
} from './series-check.ts'
import { lastCallIndex, readable } from './series-reader.ts'
import { scanSeries, type SeriesPlace } from './series-scan.ts'
import { parityName, volumeName } from './volume-names.ts'

/** Where a series ends. */
export interface SeriesEnd {
  readonly seriesId: string
  /** The last volume; `undefined` when no call counts. */
  readonly last: SoundVolume | undefined
  /** What the last call left in the series. */
  readonly index: CallIndex | undefined
}

/** A series as the next call goes on from it. */
export interface SettledSeries extends SeriesEnd {
  /** Paths of parts that were removed. */
  readonly removed: readonly string[]
}

/**
 * Where the next call would go on, for somebody who changes nothing.
 *
 * @throws as `settleSeries`
 */
export async function surveySeries(place: SeriesPlace, fileSystem: FileSystem): Promise<SeriesEnd> {
  const { seriesId, volumes } = await wholeSeries(place, fileSystem)
  return endOf(seriesId, volumes, fileSystem)
}

/**
 * Settles a series. Headers are checked, content is not: that is for whoever restores.
 *
 * @throws ARCHIVE_VOLUMES_ABSENT, ARCHIVE_VOLUME_MISSING, ARCHIVE_VOLUME_DAMAGED, ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER
 */
export async function settleSeries(place: SeriesPlace, fileSystem: FileSystem): Promise<SettledSeries> {
  const state = await wholeSeries(place, fileSystem)
  const nameOf = ({ volume }: SoundVolume): string => volumeName(place.prefix, volume)
  const volumes = await giveNames(state.volumes, nameOf, fileSystem)
  await giveNames(state.parities, (parity) => parityName(place.prefix, parity), fileSystem)
  const removed = await removeParts(state.leftovers, fileSystem)
  return { ...(await endOf(state.seriesId, volumes, fileSystem)), removed }
}

async function wholeSeries(place: SeriesPlace, fileSystem: FileSystem): Promise<SeriesState> {
  const state = assessSeries(await scanSeries(place, fileSystem))
  requireNoneLost(state.lost, place.prefix)
  return state
}

async function endOf(
  seriesId: string,
  volumes: readonly SoundVolume[],
  fileSystem: FileSystem,
): Promise<SeriesEnd> {
  const index = await lastCallIndex(volumes.map((volume) => readable(volume, fileSystem)))
  return { seriesId, last: volumes.at(-1), index }
}

async function giveNames<File extends Part>(
  volumes: readonly File[],
  nameOf: (file: File) => string,
  fileSystem: FileSystem,
): Promise<readonly File[]> {
  const named: File[] = []
  const folders = new Set<string>()
  for (const volume of volumes) {
    if (volume.writerPid === undefined) {
      named.push(volume)
      continue
    }
    const path = join(dirname(volume.path), nameOf(volume))
    await fileSystem.rename(volume.path, path)
    folders.add(dirname(path))
    named.push({ ...volume, path, writerPid: undefined })
  }
  // The names stand before anything builds on them.
  for (const folder of folders) await fileSystem.syncDirectory(folder)
  return named
}

async function removeParts(leftovers: readonly Part[], fileSystem: FileSystem): Promise<readonly string[]> {
  const removed: string[] = []
  for (const { path, writerPid } of leftovers) {
    // A pid that was given out again only delays the cleaning.
    const isOwn = writerPid === process.pid
    if (isOwn ? isBeingWritten(basename(path)) : processIsAlive(writerPid ?? 0)) continue
    await fileSystem.remove(path)
    removed.push(path)
  }
  return removed
}
