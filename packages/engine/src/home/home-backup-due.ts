import { join } from 'node:path'
import { nodeFileSystem, readFileWhole, removeIfPresent, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import { engineError } from '../errors.ts'

/** Why the home must be backed up in full before anything that is kept of it elsewhere can bring it back. */
export interface BackupDue {
  readonly reason: 'adopted' | 'bulkload'
  readonly sinceUs: number
  /** A backup settles it whose checkpoint is at this LSN or behind it; absent: any that was taken since. */
  readonly lsn?: number
}

const NAME = 'backup-due.json'
const BYTES_MAX = 4096
const schema = v.object({
  reason: v.picklist(['adopted', 'bulkload']),
  sinceUs: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  lsn: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
})

/** Whether a full backup is due, and why; `undefined` when none is. */
export async function readBackupDue(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<BackupDue | undefined> {
  const path = join(home, NAME)
  if ((await fileSystem.status(path)) === undefined) return undefined
  try {
    return v.parse(schema, JSON.parse((await readFileWhole(path, fileSystem, BYTES_MAX)).toString('utf8')))
  } catch (cause) {
    throw engineError('ENGINE_HOME_DAMAGED', 'the mark of a due backup cannot be decoded', {
      details: { path },
      cause,
    })
  }
}

/** Marks that a full backup is due. */
export async function writeBackupDue(
  home: string,
  due: BackupDue,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  await writeFileAtomic(join(home, NAME), Buffer.from(`${JSON.stringify(due)}\n`), fileSystem)
}

/** To be called once a full backup stands; fine when none was due. */
export async function clearBackupDue(home: string, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  if (await removeIfPresent(join(home, NAME), fileSystem)) await fileSystem.syncDirectory(home)
}
