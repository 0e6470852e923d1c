import { join } from 'node:path'
import { readLog, removeStaleTemporaries } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { SCRATCH_NAME } from './checkpoint-digest.ts'
import { readStagedLoad } from './checkpoint-load.ts'
import { newestCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { sweepTables } from './checkpoint-tables.ts'
import { codeOf } from '../errors.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { decodeNote } from '../records/notes.ts'
import type { Note } from '../records/notes.ts'

/** What stands right behind a checkpoint, and makes it no older: one more would hold the same. */
const CHECKPOINT_NOTES: ReadonlySet<Note['type']> = new Set(['checkpoint', 'timeline'])

/** Where the checkpoints of a home stand. */
export interface CheckpointsFound {
  readonly newest: CheckpointManifest | undefined
  /** A load that no checkpoint holds yet. */
  readonly staged: CheckpointManifest | undefined
  /** LSN of the note about it, or of the one that begins a timeline on it, if that is all that the log has behind it; otherwise 0. */
  readonly noteLsn: number
}

/**
 * Removes what interrupted checkpoints left, and tells where they stand. The caller holds the home's lock.
 *
 * @param lastLsn - the end of the log
 */
export async function sweepCheckpoints(
  layout: HomeLayout,
  lastLsn: number,
  fileSystem: FileSystem,
): Promise<CheckpointsFound> {
  await fileSystem.makeDirectory(layout.tablesDirectory)
  await fileSystem.removeTree(join(layout.home, SCRATCH_NAME))
  await removeStaleTemporaries(layout.checkpointDirectory, fileSystem)
  const newest = await newestIfSound(layout.home, fileSystem)
  const staged = await readStagedLoad(layout, fileSystem)
  const keep = [newest, staged].flatMap((manifest) => manifest?.tables.map(({ name }) => name) ?? [])
  await sweepTables(layout.tablesDirectory, new Set(keep), fileSystem)
  const isNoteLast = newest !== undefined && lastLsn === newest.lsn + 1
  const noteLsn = isNoteLast && (await isNote(layout.logDirectory, lastLsn, fileSystem)) ? lastLsn : 0
  return { newest, staged, noteLsn }
}

/** The newest checkpoint; a damaged one is as good as none where the state itself is there. */
export async function newestIfSound(
  home: string,
  fileSystem: FileSystem,
): Promise<CheckpointManifest | undefined> {
  try {
    return await newestCheckpoint(home, fileSystem)
  } catch (error) {
    if (codeOf(error) === 'ENGINE_CHECKPOINT_DAMAGED') return undefined
    throw error
  }
}

async function isNote(logDirectory: string, lsn: number, fileSystem: FileSystem): Promise<boolean> {
  for await (const group of readLog({ directory: logDirectory, fromLsn: lsn, throughLsn: lsn, fileSystem })) {
    const [record] = group
    return record?.kind === 'note' && CHECKPOINT_NOTES.has(decodeNote(record.payload).type)
  }
  return false
}
