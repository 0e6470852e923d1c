import { PARITY_MAX, prefixComplaint, VOLUME_PAGES_MAX, VOLUME_PAGES_MIN } from '@timberline/archive'
import { hotbackupError } from './errors.ts'

/** A series of volumes as the target of a backup: files `<prefix><n>.bp` of a limited number of pages. */
export interface VolumesTarget {
  /** At least one character, no path separator, no "..", no digit at its end. */
  readonly prefix: string
  /** Pages of 8 KiB of content in a volume at most, 100 to 16,777,216; compressed, a volume is smaller. */
  readonly volumePages: number
  /** Folders that are there already; when the disk of one is full, the next volume goes into the one after it. */
  readonly dirs: readonly string[]
  /**
   * One parity volume for each so many volumes of a call, 1 to 255: any one of them may then be lost or damaged. Default none.
   */
  readonly parity?: number
  /** Begin anew with a full backup, under a prefix that has no volumes in these folders yet. Default false. */
  readonly newSeries?: boolean
}

/** What a call of a series tells of itself. */
export interface VolumesReport {
  readonly seriesId: string
  /** 1 = the full backup that began the series. */
  readonly call: number
  /** Pages of 8 KiB that this call backed up. */
  readonly pages: number
  /** Paths of the volumes that it wrote. */
  readonly paths: readonly string[]
  /** Paths of its parity volumes. */
  readonly parityPaths: readonly string[]
}

/**
 * Refuses a target out of its bounds.
 *
 * @throws HOTBACKUP_OPTIONS
 */
export function checkVolumesTarget({ prefix, volumePages, dirs, parity = 0 }: VolumesTarget): void {
  const complaint = prefixComplaint(prefix)
  if (complaint !== undefined)
    throw hotbackupError('HOTBACKUP_OPTIONS', `the prefix cannot be used: ${complaint}`, {
      details: { prefix },
    })
  const isCount = Number.isSafeInteger(volumePages)
  if (!isCount || volumePages < VOLUME_PAGES_MIN || volumePages > VOLUME_PAGES_MAX) {
    throw hotbackupError(
      'HOTBACKUP_OPTIONS',
      `volumePages must be from ${String(VOLUME_PAGES_MIN)} to ${String(VOLUME_PAGES_MAX)}`,
      { details: { volumePages } },
    )
  }
  if (!Number.isSafeInteger(parity) || parity < 0 || parity > PARITY_MAX) {
    throw hotbackupError(
      'HOTBACKUP_OPTIONS',
      `parity must be from 1 to ${String(PARITY_MAX)}, or 0 for none`,
      {
        details: { parity },
      },
    )
  }
  if (dirs.length === 0 || dirs.includes(''))
    throw hotbackupError('HOTBACKUP_OPTIONS', 'dirs must name at least one folder')
}
