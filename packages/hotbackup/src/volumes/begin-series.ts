/** Which series a call belongs to, and where in it the call goes on. */
import { randomBytes } from 'node:crypto'
import {
  type CallIndex,
  type SeriesEnd,
  type SeriesPlace,
  settleSeries,
  surveySeries,
} from '@timberline/archive'
import type { BackupRun } from '../backup-run.ts'
import { hotbackupError } from '../errors.ts'
import { foldersOf, refuseOverlap, settledPath } from '../sink/target-check.ts'
import { readSeriesRecord, type SeriesRecord } from './series-record.ts'
import type { VolumesTarget } from '../volumes-target.ts'

/** The series as this call found it. */
export interface BegunSeries {
  readonly record: SeriesRecord
  readonly call: number
  readonly firstVolume: number
  readonly firstPage: number
  /** What the series holds already; `undefined` for its first call. */
  readonly held: CallIndex | undefined
}

/**
 * Finds the series that the home goes on with, or begins one. Nothing is ever overwritten.
 *
 * @throws HOTBACKUP_SERIES_CHANGED, HOTBACKUP_SERIES_PRESENT, HOTBACKUP_SERIES_INCOMPLETE, HOTBACKUP_SERIES_RECORD,
 * HOTBACKUP_TARGET_OVERLAPS, HOTBACKUP_OPTIONS, and the refusals of the volumes themselves
 */
export function beginSeries(run: BackupRun, target: VolumesTarget): Promise<BegunSeries> {
  const { fileSystem, onEvent } = run.options
  return seriesOf(run, target, async (place) => {
    const settled = await settleSeries(place, fileSystem)
    for (const path of settled.removed) onEvent({ type: 'leftover.removed', path })
    return settled
  })
}

/**
 * The series that a call would go on with, and where; nothing is changed.
 *
 * @throws as `beginSeries`
 */
export function surveyCall(run: BackupRun, target: VolumesTarget): Promise<BegunSeries> {
  return seriesOf(run, target, (place) => surveySeries(place, run.options.fileSystem))
}

async function seriesOf(
  run: BackupRun,
  target: VolumesTarget,
  endOf: (place: SeriesPlace) => Promise<SeriesEnd>,
): Promise<BegunSeries> {
  const { fileSystem, home } = run.options
  const dirs = await settledDirs(run, target)
  const place = { prefix: target.prefix, dirs }
  const known = target.newSeries === true ? undefined : await readSeriesRecord(home, fileSystem)
  if (known !== undefined) refuseChange(known, { ...target, dirs })
  const end = await endOf(place)
  const { last, index, seriesId } = end
  if (last !== undefined && seriesId !== known?.seriesId) throw present(place, last.path)
  const record: SeriesRecord = {
    format: 1,
    seriesId: known?.seriesId ?? randomBytes(16).toString('hex'),
    prefix: target.prefix,
    volumePages: target.volumePages,
    dirs,
    parity: target.parity ?? 0,
    lastVolume: known?.lastVolume ?? 0,
  }
  refuseLoss(record, end)
  if (last === undefined) return { record, call: 1, firstVolume: 1, firstPage: 0, held: undefined }
  refuseOtherLine(run, index)
  const { header } = last
  return {
    record,
    call: header.call + 1,
    firstVolume: header.volume + 1,
    firstPage: header.firstPage + header.pages,
    held: index,
  }
}

/** A folder that is not there is more likely a disk that is not mounted than one to be made on whatever lies below. */
async function settledDirs(run: BackupRun, target: VolumesTarget): Promise<readonly string[]> {
  const { fileSystem } = run.options
  const dirs: string[] = []
  for (const given of target.dirs) {
    const directory = await settledPath(given)
    await refuseOverlap(directory, foldersOf(run.layout))
    if ((await fileSystem.status(directory))?.isDirectory !== true)
      throw hotbackupError('HOTBACKUP_OPTIONS', 'a folder for volumes is not there', {
        details: { directory },
      })
    if (dirs.includes(directory))
      throw hotbackupError('HOTBACKUP_OPTIONS', 'a folder for volumes is named twice', {
        details: { directory },
      })
    dirs.push(directory)
  }
  return dirs
}

/** Folders may be added behind the others, for a series whose disks are full. */
function refuseChange(known: SeriesRecord, given: VolumesTarget): void {
  const changed = (what: string, values: { recorded: string; given: string }): Error =>
    hotbackupError('HOTBACKUP_SERIES_CHANGED', `the series was begun with another ${what}`, {
      details: values,
    })
  if (known.prefix !== given.prefix) throw changed('prefix', { recorded: known.prefix, given: given.prefix })
  if (known.volumePages !== given.volumePages) {
    throw changed('number of pages', {
      recorded: String(known.volumePages),
      given: String(given.volumePages),
    })
  }
  const { parity = 0 } = given
  if (known.parity !== parity)
    throw changed('number of volumes for each parity volume', {
      recorded: String(known.parity),
      given: String(parity),
    })
  if (known.dirs.some((directory, index) => given.dirs[index] !== directory))
    throw changed('list of folders', { recorded: known.dirs.join(','), given: given.dirs.join(',') })
}

function refuseLoss({ lastVolume, seriesId }: SeriesRecord, { last }: SeriesEnd): void {
  const found = last?.header.volume ?? 0
  if (found >= lastVolume) return
  throw hotbackupError('HOTBACKUP_SERIES_INCOMPLETE', 'the last volumes of the series are not there', {
    details: { seriesId, lastVolume: found, expectedLastVolume: lastVolume },
  })
}

/** A home that was exchanged for a recovered one may have kept the record, and has another history. */
function refuseOtherLine({ identity }: BackupRun, held: CallIndex | undefined): void {
  const { environmentId, timeline } = held?.manifest ?? identity
  if (environmentId === identity.environmentId && timeline === identity.timeline) return
  throw hotbackupError('HOTBACKUP_SERIES_CHANGED', 'the series was begun by another home', {
    details: { environmentId, timeline, homeTimeline: identity.timeline },
  })
}

function present({ prefix }: SeriesPlace, path: string): Error {
  return hotbackupError('HOTBACKUP_SERIES_PRESENT', 'the folders hold volumes of another series', {
    details: { prefix, path },
  })
}
