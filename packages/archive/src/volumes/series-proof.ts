/**
 * Proves every volume of a series by its checksum, and makes up for one lost volume in each group that has a parity volume. What is
 * made up for is proved by its own checksum too.
 */
import { basename, dirname, join } from 'node:path'
import { hasCode } from '../errors.ts'
import { lostBytes, openParity, type Parity } from './parity.ts'
import {
  assessSeries,
  type FoundFiles,
  type LostVolume,
  parityGroups,
  requireNoneLost,
  type SeriesState,
} from './series-check.ts'
import type { OpenSeriesOptions, ReadableVolume } from './series-reader.ts'
import { fileBytes, verifyVolume } from './volume-file.ts'
import { decodeVolumeHeader, VOLUME_HEADER_BYTES } from './volume-header.ts'
import { parityName, volumeName } from './volume-names.ts'

/** The volumes of a series, each known to be what was written. */
export interface ProvedSeries {
  readonly seriesId: string
  /** Ascending, all that belong to the series. */
  readonly volumes: readonly ReadableVolume[]
  readonly warnings: readonly string[]
}

/**
 * Proves a series.
 *
 * @throws ARCHIVE_VOLUME_MISSING, ARCHIVE_VOLUME_DAMAGED, ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER
 */
export async function proveSeries(
  found: FoundFiles,
  prefix: string,
  options: OpenSeriesOptions,
): Promise<ProvedSeries> {
  const proved = new Map<string, ReadableVolume>()
  const warnings: string[] = []
  let known = found
  // Each turn finds damage, makes up for a loss, or is the last: there are no more turns than files.
  for (;;) {
    const state = assessSeries(known)
    const damage = await proveEach(state, proved, options)
    if (damage.size > 0) {
      known = { ...known, volumes: known.volumes.map((each) => ({ ...each, ...damage.get(each.path) })) }
      continue
    }
    if (state.lost.length === 0) {
      const volumes = state.volumes.map(({ path }) => proved.get(path)).filter((each) => each !== undefined)
      return {
        seriesId: state.seriesId,
        volumes,
        warnings: [...warnings, ...(await aboutParity(state, prefix, options))],
      }
    }
    const rebuilt = await rebuildAny(state, proved, options)
    if (rebuilt === undefined) requireNoneLost(state.lost, prefix)
    else {
      const { volume, readable, parity } = rebuilt
      const name = volumeName(prefix, volume.volume)
      const path = join(dirname(parity.path), `${name} (rebuilt)`)
      proved.set(path, readable)
      const entry = { volume: volume.volume, path, writerPid: undefined, header: readable.header }
      known = { ...known, volumes: [...known.volumes, entry] }
      const reason = volume.damage === undefined ? 'missing' : 'damaged'
      warnings.push(
        `${name} is ${reason}; it was made anew from ${basename(parity.path)}, and is what was written`,
      )
    }
  }
}

/** Proves what has not been proved yet; tells what is damaged, by path. */
async function proveEach(
  state: SeriesState,
  proved: Map<string, ReadableVolume>,
  { fileSystem, signal }: OpenSeriesOptions,
): Promise<ReadonlyMap<string, { header: undefined; damage: Error }>> {
  const damaged = new Map<string, { header: undefined; damage: Error }>()
  for (const { path, header } of state.volumes) {
    if (proved.has(path)) continue
    const source = fileBytes(path, header.fileBytes, fileSystem)
    try {
      await verifyVolume(source, header, { name: path, signal })
      proved.set(path, { header, name: path, source })
    } catch (error) {
      if (!hasCode(error, 'ARCHIVE_VOLUME_DAMAGED')) throw error
      damaged.set(path, { header: undefined, damage: error })
    }
  }
  return damaged
}

interface Rebuilt {
  readonly volume: LostVolume
  readonly parity: Parity
  readonly readable: ReadableVolume
}

/** The first lost volume that a parity volume makes up for. */
async function rebuildAny(
  state: SeriesState,
  proved: ReadonlyMap<string, ReadableVolume>,
  { fileSystem, signal }: OpenSeriesOptions,
): Promise<Rebuilt | undefined> {
  for (const volume of state.lost) {
    for (const found of state.parities) {
      const { first, last } = found
      if (volume.volume < first || volume.volume > last) continue
      const others = state.volumes
        .filter((each) => each.volume >= first && each.volume <= last)
        .map(({ path }) => proved.get(path)?.source)
        .filter((source) => source !== undefined)
      if (others.length < last - first) continue
      try {
        const parity = await openParity(found.path, found.header, fileSystem)
        const source = lostBytes(parity, volume.volume, others)
        const name = `${found.path} for volume ${String(volume.volume)}`
        const head = Buffer.alloc(Math.min(VOLUME_HEADER_BYTES, source.bytes))
        await source.read(head, 0)
        const header = decodeVolumeHeader(name, head)
        await verifyVolume(source, header, { name, signal })
        return { volume, parity, readable: { header, name, source } }
      } catch (error) {
        // The loss is told by the name of the volume; a damaged parity volume is no worse than none.
        if (!hasCode(error, 'ARCHIVE_VOLUME_DAMAGED')) throw error
      }
    }
  }
  return undefined
}

/** Parity volumes that are missing or damaged while they are not needed. */
async function aboutParity(
  { volumes, parities }: SeriesState,
  prefix: string,
  { fileSystem }: OpenSeriesOptions,
): Promise<readonly string[]> {
  const sound = new Set<string>()
  for (const { path, header } of parities) {
    try {
      await openParity(path, header, fileSystem)
      sound.add(parityName(prefix, header))
    } catch (error) {
      if (!hasCode(error, 'ARCHIVE_VOLUME_DAMAGED')) throw error
    }
  }
  return volumes
    .filter(({ header }) => header.isLastOfCall)
    .flatMap(({ volume, header }) =>
      parityGroups({ first: header.callFirstVolume, last: volume }, header.parity),
    )
    .map((group) => parityName(prefix, group))
    .filter((name) => !sound.has(name))
    .map((name) => `${name} is missing or damaged: none of its volumes may be lost`)
}
