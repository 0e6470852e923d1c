/**
 * What the files of a prefix add up to: a function of their names and headers. A call counts as soon as one of its volumes has
 * its own name, because names are given when all of the call is durable; volumes of such a call that still have the name of a
 * part count too, and all other parts are leftovers.
 */
import { archiveError } from '../errors.ts'
import type { ParityHeader } from './parity-header.ts'
import { volumeDamaged, type VolumeHeader } from './volume-header.ts'
import { parityName, volumeName } from './volume-names.ts'

/** A file whose name is that of a volume. */
export interface FoundVolume {
  /** The number in its name. */
  readonly volume: number
  readonly path: string
  /** The process that writes or wrote it, while it has the name of a part. */
  readonly writerPid: number | undefined
  /** `undefined` when it has none that could be believed; `damage` says why. */
  readonly header: VolumeHeader | undefined
  readonly damage?: Error
}

/** A file whose name is that of a parity volume. */
export interface FoundParity {
  /** As its name says. */
  readonly first: number
  readonly last: number
  readonly path: string
  readonly writerPid: number | undefined
  readonly header: ParityHeader | undefined
  readonly damage?: Error
}

/** All files of one prefix. */
export interface FoundFiles {
  readonly volumes: readonly FoundVolume[]
  readonly parities: readonly FoundParity[]
}

/** A parity volume whose header can be believed, of a call that counts. */
export interface SoundParity extends FoundParity {
  readonly header: ParityHeader
}

/** A volume that counts. */
export interface SoundVolume extends FoundVolume {
  readonly header: VolumeHeader
}

/** A volume that must be there and cannot be used. */
export interface LostVolume {
  readonly volume: number
  readonly damage: Error | undefined
}

/** What the files of one prefix add up to. */
export interface SeriesState {
  readonly seriesId: string
  /** Ascending, without the lost ones. */
  readonly volumes: readonly SoundVolume[]
  readonly lost: readonly LostVolume[]
  readonly parities: readonly SoundParity[]
  /** Parts that no call which counts has written. */
  readonly leftovers: readonly Part[]
}

/** A file under the name of a part. */
export type Part = Pick<FoundVolume, 'path' | 'writerPid'>

/**
 * Adds the files of one prefix up; a series of no volumes when none counts.
 *
 * @throws ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER, ARCHIVE_VOLUME_DAMAGED when no header at all can be believed
 */
export function assessSeries(found: FoundFiles): SeriesState {
  const all = [...found.volumes, ...found.parities]
  const named = all.filter(({ writerPid }) => writerPid === undefined)
  const sound = named.filter(isSound)
  if (sound.length === 0) {
    const damage = named[0]?.damage
    if (damage !== undefined) throw damage
    return { seriesId: '', volumes: [], lost: [], parities: [], leftovers: all }
  }
  const seriesId = mostFrequent(sound.map(({ header }) => header.seriesId))
  for (const each of sound) refuseMisplaced(each, seriesId)
  const calls = new Set(sound.map(({ header }) => header.call))
  const counts = ({ writerPid, header }: SoundVolume | SoundParity): boolean =>
    writerPid === undefined || (header.seriesId === seriesId && calls.has(header.call))
  const counting = found.volumes
    .filter(isSound)
    .filter((each) => counts(each) && each.header.volume === each.volume)
  const parities = found.parities.filter(isSound).filter(counts)
  const volumes = new Map<number, SoundVolume>()
  // The same volume may lie in two places, after a copy or a move that was cut off; any whole one will do.
  for (const each of counting) if (!volumes.has(each.volume)) volumes.set(each.volume, each)
  const ascending = [...volumes.values()].toSorted((a, b) => a.volume - b.volume)
  refuseContradiction(ascending)
  const counted = new Set<Part>([...counting, ...parities])
  return {
    seriesId,
    volumes: ascending,
    lost: lostOf(ascending, found, parities),
    parities,
    leftovers: all.filter((each) => each.writerPid !== undefined && !counted.has(each)),
  }
}

/** The groups of a call's volumes that each have one parity volume. */
export function parityGroups(
  call: { readonly first: number; readonly last: number },
  parity: number,
): readonly { readonly first: number; readonly last: number }[] {
  const groups = []
  for (let first = call.first; parity > 0 && first <= call.last; first += parity)
    groups.push({ first, last: Math.min(call.last, first + parity - 1) })
  return groups
}

/**
 * Throws when a volume is lost.
 *
 * @throws ARCHIVE_VOLUME_MISSING, ARCHIVE_VOLUME_DAMAGED
 */
export function requireNoneLost(lost: readonly LostVolume[], prefix: string): void {
  const [first] = lost
  if (first === undefined) return
  if (first.damage !== undefined) throw first.damage
  throw archiveError('ARCHIVE_VOLUME_MISSING', 'a volume of the series is missing', {
    details: { name: volumeName(prefix, first.volume), missingCount: lost.length },
  })
}

function isSound<Found extends FoundVolume | FoundParity>(
  found: Found,
): found is Found & { header: NonNullable<Found['header']> } {
  return found.header !== undefined
}

function refuseMisplaced(found: SoundVolume | SoundParity, seriesId: string): void {
  const { path, header } = found
  if (header.seriesId !== seriesId) {
    throw archiveError('ARCHIVE_VOLUME_FOREIGN', 'a volume is of another series than those beside it', {
      details: { path, seriesId: header.seriesId, expectedSeriesId: seriesId },
    })
  }
  const rightName = 'volume' in found ? volumeName('', found.header.volume) : parityName('', found.header)
  const isInPlace =
    'volume' in found
      ? found.header.volume === found.volume
      : found.header.first === found.first && found.header.last === found.last
  if (isInPlace) return
  throw archiveError('ARCHIVE_VOLUME_ORDER', 'a volume is out of place by its name', {
    details: { path, nameEndsIn: rightName },
  })
}

/** Neighbours that are both there must continue each other. */
function refuseContradiction(ascending: readonly SoundVolume[]): void {
  for (const [index, next] of ascending.entries()) {
    const before = ascending[index - 1]
    if (before?.volume !== next.volume - 1) continue
    const { header } = before
    const begins = header.isLastOfCall
      ? next.header.call === header.call + 1 && next.header.callFirstVolume === next.volume
      : next.header.call === header.call && next.header.callFirstVolume === header.callFirstVolume
    const continues = next.header.firstPage === header.firstPage + header.pages
    const isAlike = next.header.volumePages === header.volumePages && next.header.parity === header.parity
    if (begins && continues && isAlike) continue
    throw volumeDamaged(next.path, 'its header contradicts that of the volume before it')
  }
}

function lostOf(
  ascending: readonly SoundVolume[],
  found: FoundFiles,
  parities: readonly SoundParity[],
): readonly LostVolume[] {
  const named = found.volumes.filter(({ writerPid }) => writerPid === undefined)
  const there = new Set(ascending.map(({ volume }) => volume))
  const last = ascending.at(-1)
  const numbers = [...there, ...named.map(({ volume }) => volume), ...parities.map((each) => each.last)]
  const highest = numbers.reduce((most, volume) => Math.max(most, volume), 0)
  // A call ends in a volume that says so.
  const isEnded = last?.volume !== highest || last.header.isLastOfCall
  const lost: LostVolume[] = []
  for (let volume = 1; volume <= (isEnded ? highest : highest + 1); volume += 1) {
    if (there.has(volume)) continue
    const damage = named.find((each) => each.volume === volume && each.damage !== undefined)?.damage
    lost.push({ volume, damage })
  }
  return lost
}

function mostFrequent(words: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  const [first] = [...counts].toSorted((a, b) => b[1] - a[1])
  return first?.[0] ?? ''
}
