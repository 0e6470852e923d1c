// A series of volumes as the source of a recovery: each of its calls is a base, and the log of all calls leads on from them.
import { basename, join } from 'node:path'
import {
  type BackupFile,
  type BackupManifest,
  type CallIndex,
  callFolder,
  openSeries,
  type OpenSeriesOptions,
  seriesFiles,
  type SeriesPlace,
} from '@timberline/archive'
import { type FileSystem, invariant } from '@timberline/wal'
import { readBackupSet } from '../history/folder-history.ts'
import type { Base, Span } from '../history/history.ts'
import type { LocalSegment, RecoverySource } from './source.ts'
import { readChunks, transferAll, type TransferOptions, writeVerified } from '../transfer.ts'
import { unite } from '../history/unite-histories.ts'

const tablesPrefix = 'checkpoint/tables/'
const logPrefix = 'log/'

/** A transfer out of the view of a series. */
interface FromView {
  readonly view: FileSystem
  readonly directory: string
  readonly options: TransferOptions
}

/**
 * Opens a series, after every volume of it has been proved.
 *
 * @throws ARCHIVE_VOLUMES_ABSENT, ARCHIVE_VOLUME_MISSING, ARCHIVE_VOLUME_DAMAGED, ARCHIVE_VOLUME_FOREIGN, ARCHIVE_VOLUME_ORDER,
 * RECOVERY_SOURCE_DAMAGED
 */
export async function openVolumeSource(
  place: SeriesPlace,
  options: OpenSeriesOptions,
): Promise<RecoverySource> {
  const series = await openSeries(place, options)
  const calls = ownFiles(series.calls)
  const view = seriesFiles({ ...series, calls })
  const files = new Map(calls.flatMap(filesByPath))
  const [first] = calls
  invariant(first !== undefined, 'a series that was opened has a call')
  const sets = await Promise.all(calls.map((call) => readBackupSet(callFolder(call), call.manifest, view)))
  const history = unite(sets.map((set) => set.history))
  return {
    name: place.dirs.map((directory) => join(directory, `${place.prefix}*.bp`)).join(' + '),
    environmentId: first.manifest.environmentId,
    warnings: series.warnings,
    history: () => Promise.resolve(history),
    manifest: (base) => Promise.resolve(setOf(base).manifest),
    restoreTables: (base, directory, transfer) => restoreTables(base, { view, directory, options: transfer }),
    fetchSpan: (span, directory, transfer) =>
      fetchSegment(span, files, { view, directory, options: transfer }),
    // v8 ignore next -- a history without deltas leads to none
    fetchDelta: () => Promise.reject(new Error('volumes hold no deltas')),
    // Nobody else takes numbers from a series: it is only read.
    beginTimeline: ({ timeline }) => Promise.resolve(timeline + 1),
  }
}

/** The calls without log that a later one holds too, and perhaps more of it. */
function ownFiles(calls: readonly CallIndex[]): readonly CallIndex[] {
  const later = new Set<string>()
  const own: CallIndex[] = []
  for (const index of calls.toReversed()) {
    const isOwn = ({ name }: BackupFile): boolean => !name.startsWith(logPrefix) || !later.has(name)
    const { manifest, extents } = index
    own.unshift({
      ...index,
      manifest: { ...manifest, files: manifest.files.filter(isOwn) },
      // One for each file, in their order.
      extents: extents.filter((_, position) => manifest.files.slice(position, position + 1).some(isOwn)),
    })
    for (const { name } of manifest.files) later.add(name)
  }
  return own
}

function filesByPath(index: CallIndex): readonly (readonly [string, BackupFile])[] {
  return index.manifest.files.map((file) => [join(callFolder(index), file.name), file] as const)
}

function setOf({ origin }: Base): { directory: string; manifest: BackupManifest } {
  invariant(origin.type === 'directory', 'every base of a series is one of its calls')
  return origin
}

async function restoreTables(base: Base, { view, directory, options }: FromView): Promise<void> {
  const set = setOf(base)
  const tables = set.manifest.files.filter(({ name }) => name.startsWith(tablesPrefix))
  await transferAll(tables, async ({ name, bytes, sha256 }) => {
    const expected = { name, bytes, sha256, code: 'RECOVERY_SOURCE_DAMAGED' as const }
    const chunks = readChunks(join(set.directory, name), bytes, view)
    await writeVerified(join(directory, name.slice(tablesPrefix.length)), { chunks, expected }, options)
  })
}

async function fetchSegment(
  { origin }: Span,
  files: ReadonlyMap<string, BackupFile>,
  { view, directory, options }: FromView,
): Promise<readonly LocalSegment[]> {
  invariant(origin.type === 'files', 'every span of a series is a segment of its calls')
  const file = files.get(origin.path)
  invariant(file !== undefined, 'every segment of a call is in its manifest')
  const { name, bytes, sha256 } = file
  const path = join(directory, `volume-${basename(name)}`)
  const expected = { name, bytes, sha256, code: 'RECOVERY_LOG_DAMAGED' as const }
  await writeVerified(path, { chunks: readChunks(origin.path, bytes, view), expected }, options)
  return [{ path, last: origin.last, isCopy: true }]
}
