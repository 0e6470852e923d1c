/**
 * What the next call of a series would add, before it is made: the tables and the log that the series does not hold yet, and the index of the
 * whole set, in volumes, folder by folder.
 */
import { join } from 'node:path'
import {
  type BackupFile,
  type BackupManifest,
  type CallIndex,
  type Extent,
  type FolderRoom,
  planCall,
  type CallPlan,
  VOLUME_PAGE_BYTES,
} from '@timberline/archive'
import { checkpointName, encodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest } from '@timberline/engine'
import { segmentName } from '@timberline/wal'
import { baseOf, unchangedTables } from '../sink/backup-base.ts'
import { manifestOf } from '../backup-run.ts'
import type { BackupRun, BackupSize, CopiedSet } from '../backup-run.ts'
import type { FileRange } from '../sink/file-source.ts'
import { roomIn } from '../free-space.ts'
import type { DurableLog } from '../log-copy.ts'
import { backupLabel } from '../sink/sink.ts'
import type { Pin } from '../staging.ts'
import { surveyCall } from './begin-series.ts'
import type { BegunSeries } from './begin-series.ts'
import type { VolumesTarget } from '../volumes-target.ts'

/** What a call would be, if nothing of it could be compressed. */
export interface VolumesEstimate extends CallPlan {
  /** 1 = the full backup that begins a series. */
  readonly call: number
}

/** A file of the set: all of it, and the part that the series does not hold. */
interface SizedFile {
  readonly name: string
  readonly bytes: number
  readonly addedBytes: number
  readonly range?: FileRange
}

/** Stands for any checksum: all are of one length. */
const SHA256 = '0'.repeat(64)
/** Stands for any count in a digest. */
const COUNT = 1_000_000_000

/** Sizes a call; a table whose checksum is not recorded yet is read, the log is taken to be what it was. */
export async function volumesSize(
  run: BackupRun,
  target: VolumesTarget,
  { pin, log }: { readonly pin: Pin; readonly log: DurableLog },
): Promise<BackupSize & { readonly volumes: VolumesEstimate }> {
  const series = await surveyCall(run, target)
  const tables = await sizedTables(run, pin, series)
  const logs = log.segments.map(({ header, bytes }): SizedFile => {
    const segment = segmentName(header.segmentNumber)
    const heldBytes = heldOf(series, `log/${segment}`)?.file.bytes ?? 0
    const addedBytes = heldBytes <= bytes ? bytes - heldBytes : bytes
    return { name: `log/${segment}`, bytes, addedBytes, range: { path: join(log.directory, segment), bytes } }
  })
  const small = await sizedDescriptions(run, pin.checkpoint, series)
  const index = indexOf(run, {
    series,
    files: [...tables, ...logs, ...small],
    checkpoint: pin.checkpoint,
    log,
  })
  const rooms = await Promise.all(
    series.record.dirs.map(async (directory): Promise<FolderRoom> => ({
      directory,
      ...(await roomIn(directory)),
    })),
  )
  const bytes = addedBytesOf([...tables, ...logs, ...small])
  const plan = planCall({ ...series.record, firstVolume: series.firstVolume }, { bytes, index }, rooms)
  const content = [...tables, ...logs]
  return {
    dataBytes: addedBytesOf(tables),
    logBytes: addedBytesOf(logs),
    reusedBytes: content.reduce((sum, file) => sum + file.bytes - file.addedBytes, 0),
    files: content.flatMap(({ range }) => range ?? []),
    volumes: { call: series.call, ...plan },
  }
}

async function sizedTables(run: BackupRun, pin: Pin, { held }: BegunSeries): Promise<readonly SizedFile[]> {
  const base = held === undefined ? undefined : baseOf(held.manifest)
  const unchanged = await unchangedTables(pin, base, run.meter.context)
  return pin.checkpoint.tables.map((table) => ({
    name: `checkpoint/tables/${table.name}`,
    bytes: table.bytes,
    addedBytes: unchanged.has(table) ? 0 : table.bytes,
    range: { path: join(pin.tablesDirectory, table.name), bytes: table.bytes },
  }))
}

/** The files that only describe the set. */
async function sizedDescriptions(
  { layout, options }: BackupRun,
  checkpoint: CheckpointManifest,
  series: BegunSeries,
): Promise<readonly SizedFile[]> {
  const tables = checkpoint.tables.map((table) => ({ ...table, sha256: SHA256 }))
  const identity = await options.fileSystem.status(layout.identityPath)
  const described = [
    { name: 'timberline.json', bytes: identity?.bytes ?? 0 },
    {
      name: `checkpoint/${checkpointName(checkpoint.lsn)}`,
      bytes: encodeCheckpoint({ ...checkpoint, tables }).length,
    },
  ]
  return described.map(({ name, bytes }) => ({
    name,
    bytes,
    addedBytes: heldOf(series, name)?.file.bytes === bytes ? 0 : bytes,
  }))
}

function heldOf(
  { held }: BegunSeries,
  name: string,
): { readonly file: BackupFile; readonly extents: readonly Extent[] } | undefined {
  const position = held?.manifest.files.findIndex((file) => file.name === name) ?? -1
  const file = held?.manifest.files[position]
  return file === undefined ? undefined : { file, extents: held?.extents[position] ?? [] }
}

/** The index that the call would end with, but for checksums and times. */
function indexOf(
  run: BackupRun,
  call: {
    readonly series: BegunSeries
    readonly files: readonly SizedFile[]
    readonly checkpoint: CheckpointManifest
    readonly log: DurableLog
  },
): CallIndex {
  const { series, checkpoint, log } = call
  const files = call.files.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const digest = {
    algorithm: 'sha256',
    lsn: log.endLsn,
    entries: COUNT,
    bytes: COUNT,
    hex: SHA256,
  } as const
  const set: CopiedSet = {
    checkpoint,
    files: files.map(({ name, bytes }) => ({ name, bytes, sha256: SHA256 })),
    log,
    // Whether the owner will answer is known only then; it seals the last file, if it does.
    sealed: { segmentNumber: log.segments.at(-1)?.header.segmentNumber ?? 1, lsn: log.endLsn },
    digest: run.options.digest ? digest : undefined,
    tries: 1,
  }
  const manifest: BackupManifest = manifestOf(
    run,
    set,
    `${backupLabel(run.startedAtMs, 'full')}.${String(series.call)}`,
  )
  let at = series.firstPage * VOLUME_PAGE_BYTES
  const extents = files.map(({ name, bytes, addedBytes }) => {
    const held = addedBytes < bytes ? (heldOf(series, name)?.extents ?? []) : []
    at += addedBytes
    return addedBytes === 0 ? held : [...held, { at: at - addedBytes, bytes: addedBytes }]
  })
  return { call: series.call, manifest, extents }
}

function addedBytesOf(files: readonly SizedFile[]): number {
  return files.reduce((sum, { addedBytes }) => sum + addedBytes, 0)
}
