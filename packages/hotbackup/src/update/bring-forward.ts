/**
 * Recovery run on a backup as it is updated: its log is replayed over its own data files, and what comes out is its new
 * checkpoint, so that a restore has nothing left to replay. Data files and log are those of the set in the making; the backup
 * that stands is only read.
 */
import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import { checkpointName, encodeCheckpoint, homeLayout } from '@timberline/engine'
import type { CheckpointManifest, CheckpointTable, StateDigest } from '@timberline/engine'
import { inParallel, segmentName } from '@timberline/wal'
import type { BackupRun } from '../backup-run.ts'
import { hotbackupError } from '../errors.ts'
import type { FolderSink } from '../sink/folder-sink.ts'
import { inScratch } from '../scratch-digest.ts'

/** A set that holds its data files and all its log, and has not appeared yet. */
export interface SetToForward {
  readonly sink: FolderSink
  readonly checkpoint: CheckpointManifest
  readonly files: readonly BackupFile[]
  readonly endLsn: number
  /** Of its last segment, which is where its log goes on. */
  readonly lastSegmentNumber: number
}

/** What the set is afterwards. */
export interface ForwardedSet {
  readonly checkpoint: CheckpointManifest
  readonly files: readonly BackupFile[]
  readonly digest: StateDigest | undefined
}

const FILES_AT_A_TIME = 2

/**
 * Brings the data files of a set to the end of its log; older data files and log leave it.
 *
 * @throws ENGINE_TABLE_DAMAGED when a data file of the backup is not what its checkpoint recorded
 */
export async function bringForward(run: BackupRun, set: SetToForward): Promise<ForwardedSet> {
  const { fileSystem, signal, onEvent, digest: wantsDigest } = run.options
  const { sink, endLsn } = set
  const scratch = join(sink.folder, 'scratch')
  const source = {
    checkpoint: set.checkpoint,
    tablesDirectory: join(sink.folder, 'checkpoint/tables'),
    logDirectory: join(sink.folder, 'log'),
    endLsn,
    scratch,
    // What LevelDB merges would lose the checksum that gives damage away.
    verify: true,
    fileSystem,
    signal,
  }
  const forwarded = await inScratch(source, async (state, dataDirectory) => {
    const digest = wantsDigest ? await state.digest() : undefined
    const layout = { ...homeLayout(scratch), dataDirectory }
    const { manifest } = await state.checkpoint({
      layout,
      identity: run.identity,
      segmentAfter: () => Promise.resolve(set.lastSegmentNumber),
      previous: undefined,
      ...(digest === undefined ? {} : { digest }),
      fileSystem,
    })
    if (manifest.lsn !== endLsn) throw notAtEnd(manifest.lsn, endLsn)
    return {
      manifest,
      digest,
      tables: await copyTables(run, set, { manifest, from: layout.tablesDirectory }),
    }
  })
  const { manifest, digest, tables } = forwarded
  const hashes = new Map(tables.map(({ name, sha256 }) => [name, sha256]))
  const checkpoint = {
    ...manifest,
    tables: manifest.tables.map((table) => ({ ...table, sha256: hashes.get(fileNameOf(table)) ?? '' })),
  }
  const kept = set.files.filter((file) => isNeeded(file.name, { tables: hashes, set }))
  for (const { name } of set.files) {
    if (!kept.some((file) => file.name === name)) await fileSystem.remove(join(sink.folder, name))
  }
  const description = await sink.write(
    `checkpoint/${checkpointName(checkpoint.lsn)}`,
    encodeCheckpoint(checkpoint),
  )
  onEvent({ type: 'data.forwarded', lsn: endLsn, tableCount: tables.length })
  const added = tables.filter(({ name }) => !kept.some((file) => file.name === name))
  return { checkpoint, files: [...kept, ...added, description], digest }
}

/** The tables of the new checkpoint; the set has those already that the replay left alone. */
function copyTables(
  run: BackupRun,
  { sink, files }: SetToForward,
  { manifest, from }: { readonly manifest: CheckpointManifest; readonly from: string },
): Promise<readonly BackupFile[]> {
  // The count of bytes is that of what the home was read for.
  const context = { ...run.meter.context, onBytes: () => undefined }
  return inParallel(manifest.tables, FILES_AT_A_TIME, async (table) => {
    const name = fileNameOf(table)
    const known = files.find((file) => file.name === name)
    return known ?? (await sink.copy({ path: join(from, table.name), bytes: table.bytes }, name, context))
  })
}

function isNeeded(
  name: string,
  { tables, set }: { readonly tables: ReadonlyMap<string, string>; readonly set: SetToForward },
): boolean {
  if (name.startsWith('checkpoint/tables/')) return tables.has(name)
  if (name.startsWith('log/')) return name === `log/${segmentName(set.lastSegmentNumber)}`
  return !name.startsWith('checkpoint/')
}

function fileNameOf({ name }: CheckpointTable): string {
  return `checkpoint/tables/${name}`
}

function notAtEnd(lsn: number, endLsn: number): Error {
  return hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the copy does not reach its end', {
    details: { lsn, endLsn },
  })
}
