/**
 * The home's word on its series of volumes: which one it is, and with what it was begun. Virtuoso remembers the arguments of
 * the first call and silently uses them for ever; here a call that says something else is refused.
 */
import { join } from 'node:path'
import { readFileWhole, systemCode, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'

const NAME = 'volumes.json'

/** The series that the next call of this home goes on with. */
export interface SeriesRecord {
  readonly format: 1
  /** 32 hex digits. */
  readonly seriesId: string
  readonly prefix: string
  readonly volumePages: number
  /** Absolute, links resolved. */
  readonly dirs: readonly string[]
  readonly parity: number
  /** The last volume that is known to count; 0 before the first call has ended. */
  readonly lastVolume: number
}

/**
 * The record of a home; `undefined` when it has none.
 *
 * @throws HOTBACKUP_SERIES_RECORD
 */
export async function readSeriesRecord(
  home: string,
  fileSystem: FileSystem,
): Promise<SeriesRecord | undefined> {
  const path = join(home, NAME)
  let content: Buffer
  try {
    content = await readFileWhole(path, fileSystem)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  const record = decodeSeriesRecord(content)
  if (record !== undefined) return record
  throw hotbackupError('HOTBACKUP_SERIES_RECORD', 'the record of the series cannot be read', {
    details: { path },
  })
}

/** Puts the record in place, durably. */
export function writeSeriesRecord(home: string, record: SeriesRecord, fileSystem: FileSystem): Promise<void> {
  return writeFileAtomic(
    join(home, NAME),
    Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`),
    fileSystem,
  )
}

/** The record in these bytes; `undefined` when they are none. */
export function decodeSeriesRecord(content: Buffer): SeriesRecord | undefined {
  let value: unknown
  try {
    value = JSON.parse(content.toString())
  } catch {
    return undefined
  }
  return isSeriesRecord(value) ? value : undefined
}

function isSeriesRecord(value: unknown): value is SeriesRecord {
  if (typeof value !== 'object' || value === null) return false
  const { format, seriesId, prefix, volumePages, dirs, parity, lastVolume } = value as Record<string, unknown>
  const areNumbers = [volumePages, parity, lastVolume].every((each) => Number.isSafeInteger(each))
  const areFolders = Array.isArray(dirs) && dirs.every((each) => typeof each === 'string')
  const isSeries = typeof seriesId === 'string' && /^[0-9a-f]{32}$/.test(seriesId)
  return format === 1 && typeof prefix === 'string' && areNumbers && areFolders && isSeries
}
