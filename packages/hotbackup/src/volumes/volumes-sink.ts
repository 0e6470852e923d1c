/**
 * A call of a series of volumes. The first call holds the whole set; a later one holds only files that are new and what was
 * appended to others, and the index at its end says where in the series each file of the whole set stands.
 */
import { createHash } from 'node:crypto'
import { type BackupFile, type BackupManifest, CallWriter, type Extent } from '@timberline/archive'
import { liveHolds, placeHold } from '@timberline/wal'
import type { Hold } from '@timberline/wal'
import type { BackupRun } from '../backup-run.ts'
import { hotbackupError } from '../errors.ts'
import { hashFile, readRange } from '../sink/file-source.ts'
import type { CopyContext, FileRange } from '../sink/file-source.ts'
import { backupLabel } from '../sink/sink.ts'
import type { BackupSink } from '../sink/sink.ts'
import { beginSeries, type BegunSeries } from './begin-series.ts'
import { writeSeriesRecord } from './series-record.ts'
import type { VolumesReport, VolumesTarget } from '../volumes-target.ts'

const PURPOSE = 'hotbackup volumes'

/** A sink that tells what its volumes are, once they stand. */
export interface VolumesSink extends BackupSink {
  readonly volumes: VolumesReport
}

/** A file in the series: what it is and where it stands. */
interface HeldFile {
  readonly file: BackupFile
  readonly extents: readonly Extent[]
}

interface Writing {
  readonly run: BackupRun
  readonly series: BegunSeries
  readonly writer: CallWriter
  readonly hold: Hold
  /** What the series held before this call, by name. */
  readonly held: ReadonlyMap<string, HeldFile>
  /** Where the files of the new set stand. */
  readonly placed: Map<string, readonly Extent[]>
}

/**
 * Begins a call. Files go into the stream one after the other, however many copies are asked for at once.
 *
 * @throws HOTBACKUP_TARGET_BUSY while another call of this home runs, and the refusals of `beginSeries`
 */
export async function beginVolumesSink(run: BackupRun, target: VolumesTarget): Promise<VolumesSink> {
  const hold = await beAlone(run, target)
  try {
    const series = await beginSeries(run, target)
    const { record, call, firstVolume, firstPage } = series
    const writer = new CallWriter({ ...record, call, firstVolume, firstPage }, run.options.fileSystem)
    const writing = { run, series, writer, hold, held: heldFiles(series), placed: new Map() }
    return sinkOf(writing)
  } catch (error) {
    await hold.release()
    throw error
  }
}

function sinkOf(writing: Writing): VolumesSink {
  const { run, series, writer, hold, held } = writing
  const { record, call, firstVolume } = series
  const inTurn = turns()
  return {
    target: `${record.dirs.join(',')} ${record.prefix}${String(firstVolume)}.bp`,
    // Two calls may begin in one second.
    label: `${backupLabel(run.startedAtMs, 'full')}.${String(call)}`,
    folder: undefined,
    get volumes() {
      const { pages, paths, parityPaths } = writer
      return { seriesId: record.seriesId, call, pages, paths, parityPaths }
    },
    copy: (range, name, context) =>
      inTurn(async () => (await keep(writing, range, name)) ?? append(writing, { range, name }, context)),
    write: (name, content) =>
      inTurn(async () => {
        const sha256 = createHash('sha256').update(content).digest('hex')
        const known = held.get(name)
        const file = { name, bytes: content.length, sha256 }
        if (known?.file.sha256 === sha256) return place(writing, file, known.extents)
        const at = writer.position
        await writer.append(content)
        return place(writing, file, [{ at, bytes: content.length }])
      }),
    complete: (manifest) => complete(writing, manifest),
    abandon: async () => {
      const left = await writer.abandon()
      await hold.release()
      return left
    },
  }
}

/** Two calls at once would give the same numbers; each sees the other's mark, whoever was first. */
async function beAlone(run: BackupRun, { prefix }: VolumesTarget): Promise<Hold> {
  const { layout, options } = run
  const hold = await placeHold(layout.logDirectory, { purpose: PURPOSE, fileSystem: options.fileSystem })
  const holds = await liveHolds(layout.logDirectory, options.fileSystem)
  const other = holds.find(({ id, purpose }) => purpose === PURPOSE && id !== hold.id)
  if (other === undefined) return hold
  await hold.release()
  throw hotbackupError('HOTBACKUP_TARGET_BUSY', 'another call of this series is under way', {
    details: { prefix, pid: other.pid },
  })
}

function heldFiles({ held }: BegunSeries): ReadonlyMap<string, HeldFile> {
  const files = held?.manifest.files ?? []
  return new Map(files.map((file, index) => [file.name, { file, extents: held?.extents[index] ?? [] }]))
}

/** A file of which the home has recorded that it is what the series holds is not read again. */
async function keep(writing: Writing, range: FileRange, name: string): Promise<BackupFile | undefined> {
  const known = writing.held.get(name)
  if (known === undefined || range.sha256 === undefined) return undefined
  if (known.file.bytes !== range.bytes || known.file.sha256 !== range.sha256) return undefined
  return place(writing, known.file, known.extents)
}

/** Adds a file; when it begins with what the series holds of it, only what follows. */
async function append(
  writing: Writing,
  { range, name }: { range: FileRange; name: string },
  context: CopyContext,
): Promise<BackupFile> {
  const { writer } = writing
  const known = writing.held.get(name)
  const isLonger = known !== undefined && known.file.bytes <= range.bytes
  if (isLonger && !(await beginsAs(known.file, range, context))) {
    return append({ ...writing, held: new Map() }, { range, name }, context)
  }
  const heldBytes = isLonger ? known.file.bytes : 0
  const at = writer.position
  const hash = createHash('sha256')
  let position = 0
  for await (const chunk of readRange(range, context)) {
    hash.update(chunk)
    const added = chunk.subarray(Math.max(0, Math.min(chunk.length, heldBytes - position)))
    if (added.length > 0) await writer.append(added)
    position += chunk.length
  }
  const file = { name, bytes: range.bytes, sha256: hash.digest('hex') }
  const added = range.bytes - heldBytes
  const extents = isLonger ? known.extents : []
  return place(writing, file, added === 0 ? extents : [...extents, { at, bytes: added }])
}

/** Whether the beginning of a file is what the series holds of it; not counted as progress, because nothing is copied. */
async function beginsAs(file: BackupFile, range: FileRange, context: CopyContext): Promise<boolean> {
  const { sha256 } = await hashFile(range.path, { ...context, onBytes: () => undefined }, file.bytes)
  return sha256 === file.sha256
}

function place(writing: Writing, file: BackupFile, extents: readonly Extent[]): BackupFile {
  writing.placed.set(file.name, extents)
  return file
}

async function complete(writing: Writing, manifest: BackupManifest): Promise<readonly string[]> {
  const { run, series, writer, hold, placed } = writing
  const { home, fileSystem } = run.options
  const extents = manifest.files.map(({ name }) => placed.get(name) ?? [])
  await writer.finish({ manifest, extents })
  // The home knows the series before it counts, or the next call would take its volumes for somebody else's.
  if (series.call === 1) await writeSeriesRecord(home, series.record, fileSystem)
  await writer.publish()
  const left: string[] = []
  const lastVolume = series.firstVolume + writer.paths.length - 1
  try {
    await writeSeriesRecord(home, { ...series.record, lastVolume }, fileSystem)
  } catch {
    // The call stands. Without this the next one only knows less well whether the last volumes are still there.
    left.push(`${home}, the number of the last volume`)
  }
  try {
    await hold.release()
  } catch {
    left.push(`hold ${hold.id}`)
  }
  return left
}

/** Runs one piece of work after the other. */
function turns(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let before: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = before.then(work, work)
    before = turn.catch(() => undefined)
    return turn
  }
}
