import { TimberlineError, errorsFrom } from '@timberline/wal'
import type { ErrorMaker } from '@timberline/wal'

/** Every code this package throws; codes are never reused and never renamed. */
export type HotbackupCode =
  | 'HOTBACKUP_OPTIONS'
  | 'HOTBACKUP_TARGET_OVERLAPS'
  | 'HOTBACKUP_TARGET_NOT_BACKUP'
  | 'HOTBACKUP_TARGET_FOREIGN'
  | 'HOTBACKUP_TARGET_BUSY'
  | 'HOTBACKUP_HOME_LABELLED'
  | 'HOTBACKUP_NO_CHECKPOINT'
  | 'HOTBACKUP_CHECKPOINT_FAILED'
  | 'HOTBACKUP_TABLE_MISSING'
  | 'HOTBACKUP_TABLE_DAMAGED'
  | 'HOTBACKUP_LOG_GAP'
  | 'HOTBACKUP_COPY_DAMAGED'
  | 'HOTBACKUP_BULK_LOAD'
  | 'HOTBACKUP_NO_SPACE'
  | 'HOTBACKUP_IO_FAILED'
  | 'HOTBACKUP_ABORTED'
  | 'HOTBACKUP_STEP_BUSY'
  | 'HOTBACKUP_STEP_TARGET'
  | 'HOTBACKUP_STEP_TOO_LARGE'
  | 'HOTBACKUP_STEP_UNFINISHED'
  | 'HOTBACKUP_STEP_ENDED'
  | 'HOTBACKUP_PLAIN_SOURCE'
  | 'HOTBACKUP_PLAIN_DAMAGED'
  | 'HOTBACKUP_PLAIN_RESTLESS'
  | 'HOTBACKUP_BASE'
  | 'HOTBACKUP_UPDATE_MISSING'
  | 'HOTBACKUP_UPDATE_GAP'
  | 'HOTBACKUP_UPDATE_DIVERGED'
  | 'HOTBACKUP_UPDATE_ARCHIVE'
  | 'HOTBACKUP_SERIES_CHANGED'
  | 'HOTBACKUP_SERIES_PRESENT'
  | 'HOTBACKUP_SERIES_INCOMPLETE'
  | 'HOTBACKUP_SERIES_RECORD'

/** Makes the errors of this package; each row's comment says what happened. */
export const hotbackupError: ErrorMaker<HotbackupCode> = errorsFrom<HotbackupCode>({
  // An option is out of its stated bounds.
  HOTBACKUP_OPTIONS: { kind: 'invalid', hint: 'mend the option named in the message' },
  // Target and home are the same folder, or one lies inside the other, also by way of a symbolic link.
  HOTBACKUP_TARGET_OVERLAPS: { kind: 'invalid', hint: 'choose a target outside the home' },
  // The target holds something that is not a backup made by this package; replacing it would destroy it.
  HOTBACKUP_TARGET_NOT_BACKUP: {
    kind: 'conflict',
    hint: 'choose an empty or new folder, or move what is there away yourself',
  },
  // The target is a backup of another database.
  HOTBACKUP_TARGET_FOREIGN: { kind: 'conflict', hint: 'choose another target for this database' },
  // Another backup is being written to the same target.
  HOTBACKUP_TARGET_BUSY: {
    kind: 'conflict',
    hint: 'wait for the other backup; a .partial folder of a process that is gone may be removed by hand',
  },
  // The folder given as home is itself a backup, or a recovery into it has not ended.
  HOTBACKUP_HOME_LABELLED: {
    kind: 'invalid',
    hint: 'give the home of a database; copy a backup with any tool, and run an unfinished recovery again first',
  },
  // The home has no checkpoint to copy and nobody answered who could make one.
  HOTBACKUP_NO_CHECKPOINT: {
    kind: 'unavailable',
    hint: 'open the database once, which makes a checkpoint, or run `timberline checkpoint`, then try again',
  },
  // The owner was asked for a checkpoint and refused, or did not answer in time.
  HOTBACKUP_CHECKPOINT_FAILED: {
    kind: 'unavailable',
    hint: 'see the cause; a backup without the checkpoint option needs no answer',
  },
  // A table that the newest checkpoint names is not there, and no newer checkpoint has appeared.
  HOTBACKUP_TABLE_MISSING: {
    kind: 'corruption',
    hint: 'take a new checkpoint with `timberline checkpoint`, then try again',
  },
  // A table has not the length or checksum that its checkpoint recorded: the home is damaged.
  HOTBACKUP_TABLE_DAMAGED: {
    kind: 'corruption',
    hint: 'keep older backups; verify the home and recover it from an archive or an earlier backup',
  },
  // The log does not lead without a gap from the checkpoint to its end.
  HOTBACKUP_LOG_GAP: {
    kind: 'gap',
    hint: 'verify the home; the missing segment may be in an archive',
  },
  // Data was loaded beside the log after the state that the backup begins with, so its log does not lead to the end.
  HOTBACKUP_BULK_LOAD: {
    kind: 'gap',
    hint: 'make a full backup when no load runs, with the database open; an older backup cannot be continued past it',
  },
  // The copy does not read back as what was copied.
  HOTBACKUP_COPY_DAMAGED: {
    kind: 'corruption',
    hint: 'check the disk that holds the target, then try again',
  },
  // The disk of the target (or of the home, for the links that pin the copy) is full.
  HOTBACKUP_NO_SPACE: { kind: 'unavailable', hint: 'free space or choose another target, then try again' },
  // The operating system refused to read, write or flush.
  HOTBACKUP_IO_FAILED: { kind: 'unavailable', hint: 'see the cause; mend the disk, then try again' },
  // The caller's signal asked to stop.
  HOTBACKUP_ABORTED: { kind: 'aborted', hint: 'nothing was left behind; begin again when you like' },
  // Source or target of a step-by-step copy is open in another process, which did not let go in time.
  HOTBACKUP_STEP_BUSY: {
    kind: 'conflict',
    hint: 'wait longer (busyTimeoutMs), or copy from the process that has the database open',
  },
  // The target of a step-by-step copy holds something, or has other encodings than the source.
  HOTBACKUP_STEP_TARGET: {
    kind: 'conflict',
    hint: 'choose an empty target, or say overwrite; nothing was changed',
  },
  // A copy into an open database would need a larger atomic batch than allowed.
  HOTBACKUP_STEP_TOO_LARGE: {
    kind: 'invalid',
    hint: 'copy into a folder, which needs no memory, or raise batchBytesMax; nothing was changed',
  },
  // A step-by-step copy was finished while pages were left.
  HOTBACKUP_STEP_UNFINISHED: {
    kind: 'invalid',
    hint: 'step until it is done, then finish; the target is as it was',
  },
  // A step-by-step copy was used after its end.
  HOTBACKUP_STEP_ENDED: { kind: 'closed', hint: 'begin another one' },
  // The folder to copy as a plain LevelDB is a home of Timberline, is RocksDB's, or holds no database.
  HOTBACKUP_PLAIN_SOURCE: {
    kind: 'invalid',
    hint: 'give the folder with LevelDB’s file CURRENT in it; copy a home of Timberline with -h, and RocksDB by its own checkpoint',
  },
  // A live LevelDB folder is damaged: a MANIFEST, table or log is missing or is not what LevelDB wrote.
  HOTBACKUP_PLAIN_DAMAGED: {
    kind: 'corruption',
    hint: 'keep older copies; let the application open the folder, which mends a torn log, or repair it, then copy again',
  },
  // The tables and logs of a live LevelDB folder changed faster than one version of them could be pinned.
  HOTBACKUP_PLAIN_RESTLESS: { kind: 'unavailable', hint: 'try again when less is written' },
  // The base of an incremental backup is no backup of this database, or was replaced or let go meanwhile.
  HOTBACKUP_BASE: {
    kind: 'conflict',
    hint: 'give an earlier backup of this database as the base, or take a full one; if it went meanwhile, begin again',
  },
  // An update was asked for, and the target holds no backup to update.
  HOTBACKUP_UPDATE_MISSING: { kind: 'invalid', hint: 'take a full backup first' },
  // The log has lost segments between the end of the backup and now; new logs cannot be joined to it.
  HOTBACKUP_UPDATE_GAP: {
    kind: 'gap',
    hint: 'take a full backup; update more often than segments are removed',
  },
  // The home has another history than the backup: another timeline, or another log at the same place.
  HOTBACKUP_UPDATE_DIVERGED: { kind: 'conflict', hint: 'take a full backup to another target' },
  // Updates are for folders; an archive is continued by the shipper.
  HOTBACKUP_UPDATE_ARCHIVE: { kind: 'invalid', hint: 'run `timberline archive run` to continue an archive' },
  // A series of volumes was begun with another prefix, number of pages, parity or list of folders, or by another home.
  HOTBACKUP_SERIES_CHANGED: {
    kind: 'conflict',
    hint: 'repeat the call with the recorded value (folders may be added behind the others), or begin anew: --new-series with a new prefix',
  },
  // A series would begin where volumes of this prefix are already. Nothing is ever overwritten.
  HOTBACKUP_SERIES_PRESENT: {
    kind: 'conflict',
    hint: 'choose another prefix, or move the volumes that are there away',
  },
  // The home knows of later volumes than those that are in the folders: an incremental call would build on what is gone.
  HOTBACKUP_SERIES_INCOMPLETE: {
    kind: 'gap',
    hint: 'bring the volumes back, or begin anew: --new-series with a new prefix',
  },
  // volumes.json of the home is damaged.
  HOTBACKUP_SERIES_RECORD: {
    kind: 'corruption',
    hint: 'begin anew: --new-series with a new prefix; the volumes that are there can be restored as before',
  },
})

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT'])
/** Codes of the packages below that only say that the system refused; what to do about it is this package's to say. */
const LOCAL_REFUSALS: ReadonlySet<string> = new Set(['ENGINE_IO_FAILED', 'WAL_IO_FAILED'])

/**
 * Turns whatever was thrown inside a backup into the package's error: the system's errors by their code, an abort by
 * the caller's signal, and the errors of other packages unchanged.
 */
export function asHotbackupError(error: unknown, context: { signal?: AbortSignal; target: string }): unknown {
  if (context.signal?.aborted === true && isAbort(error, context.signal)) {
    return hotbackupError('HOTBACKUP_ABORTED', 'the backup was aborted', {
      details: { target: context.target },
      cause: error,
    })
  }
  const isOfSystem = !(error instanceof TimberlineError) || LOCAL_REFUSALS.has(error.code)
  if (!(error instanceof Error) || !isOfSystem) return error
  const systemCode = error instanceof TimberlineError ? error.details['systemCode'] : systemCodeOf(error)
  if (typeof systemCode !== 'string') return error
  const code = NO_SPACE.has(systemCode) ? 'HOTBACKUP_NO_SPACE' : 'HOTBACKUP_IO_FAILED'
  return hotbackupError(code, 'the backup stopped on an error of the operating system', {
    details: { target: context.target, systemCode, path: pathOf(error) },
    cause: error,
  })
}

/** The operating system's code (ENOENT, ENOSPC, …) of an error, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof TimberlineError) return undefined
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

function pathOf(error: Error): string | undefined {
  const path: unknown = Reflect.get(error, 'path')
  return typeof path === 'string' ? path : undefined
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}
