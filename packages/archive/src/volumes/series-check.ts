/**
 * What the files of a prefix add up to: a function of their names and headers. A call counts as soon as one of its volumes has
 * its own name, because names are given when all of the call is durable; volumes of such a call that still have the name of a
 * part count too, and all other parts are leftovers.
 */
import { archiveError } from '../errors.ts'
import { volumeDamaged, type VolumeHeader } from './volume-header.ts'
import { volumeName } from './volume-names.ts'

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
  /** Parts that no call which counts has written. */
  readonly leftovers: readonly FoundVolume[]
}

/**
 * Adds the files of one prefix up; a series of no volumes when none counts.
 *
 * @throws ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER, ARCHIVE_VOLUME_DAMAGED when no header at all can be believed
 */
export function assessSeries(found: readonly FoundVolume[]): SeriesState {
  const named = found.filter(({ writerPid }) => writerPid === undefined)
  const sound = named.filter(isSound)
  if (sound.length === 0) {
    const damage = named[0]?.damage
    if (damage !== undefined) throw damage
    return { seriesId: '', volumes: [], lost: [], leftovers: found }
  }
  const seriesId = mostFrequent(sound.map(({ header }) => header.seriesId))
  for (const volume of sound) refuseMisplaced(volume, seriesId)
  const calls = new Set(sound.map(({ header }) => header.call))
  const counting = found.filter(isSound).filter(({ volume, writerPid, header }) => {
    if (writerPid === undefined) return true
    return header.seriesId === seriesId && header.volume === volume && calls.has(header.call)
  })
  const volumes = new Map<number, SoundVolume>()
  // The same volume may lie in two places, after a copy or a move that was cut off; any whole one will do.
  for (const each of counting) if (!volumes.has(each.volume)) volumes.set(each.volume, each)
  const ascending = [...volumes.values()].toSorted((a, b) => a.volume - b.volume)
  refuseContradiction(ascending)
  const counted = new Set(counting)
  return {
    seriesId,
    volumes: ascending,
    lost: lostOf(ascending, named),
    leftovers: found.filter((each) => each.writerPid !== undefined && !counted.has(each as SoundVolume)),
  }
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

function isSound(found: FoundVolume): found is SoundVolume {
  return found.header !== undefined
}

function refuseMisplaced({ path, volume, header }: SoundVolume, seriesId: string): void {
  if (header.seriesId !== seriesId) {
    throw archiveError('ARCHIVE_VOLUME_FOREIGN', 'a volume is of another series than those beside it', {
      details: { path, seriesId: header.seriesId, expectedSeriesId: seriesId },
    })
  }
  if (header.volume === volume) return
  throw archiveError(
    'ARCHIVE_VOLUME_ORDER',
    `a volume is out of place: by its header it is number ${String(header.volume)}`,
    { details: { path, volume: header.volume } },
  )
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

function lostOf(ascending: readonly SoundVolume[], named: readonly FoundVolume[]): readonly LostVolume[] {
  const there = new Set(ascending.map(({ volume }) => volume))
  const last = ascending.at(-1)
  const highest = named.reduce((most, { volume }) => Math.max(most, volume), last?.volume ?? 0)
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
