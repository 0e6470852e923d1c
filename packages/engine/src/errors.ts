import { errorsFrom, withSystemErrors, type ErrorMaker } from '@timberline/wal'

/** The stable codes of this package. */
export type EngineCode =
  | 'ENGINE_HOME_MISSING'
  | 'ENGINE_HOME_EXISTS'
  | 'ENGINE_HOME_DAMAGED'
  | 'ENGINE_HOME_LOCKED'
  | 'ENGINE_HOME_NOT_ADOPTED'
  | 'ENGINE_BACKUP_NOT_RECOVERED'
  | 'ENGINE_RECOVERY_UNFINISHED'
  | 'ENGINE_HOME_STANDBY'
  | 'ENGINE_HOME_ENDED'
  | 'ENGINE_IO_FAILED'
  | 'ENGINE_MANIFEST_DAMAGED'
  | 'ENGINE_CURRENT_DAMAGED'
  | 'ENGINE_TABLE_DAMAGED'
  | 'ENGINE_STATE_DAMAGED'
  | 'ENGINE_STATE_CLOSED'
  | 'ENGINE_CHECKPOINT_UNCONFIRMED'
  | 'ENGINE_CHECKPOINT_RESTLESS'
  | 'ENGINE_CHECKPOINT_DAMAGED'
  | 'ENGINE_LOG_GAP'
  | 'ENGINE_LOG_LOST'
  | 'ENGINE_BULK_LOADED'
  | 'ENGINE_STATE_LOST'
  | 'ENGINE_NOT_RUNNING'
  | 'ENGINE_CONTROL_FAILED'
  | 'ENGINE_CONTROL_REQUEST'
  | 'ENGINE_QUIESCED'
  | 'ENGINE_QUIESCE_ENDED'
  | 'ENGINE_NOT_QUIESCED'
  | 'ENGINE_BARRIER_FAILED'
  | 'ENGINE_BARRIER_INCOMPLETE'
  | 'ENGINE_ADOPT_REFUSED'
  | 'ENGINE_ADOPT_KEY_RESERVED'
  | 'ENGINE_ADOPT_UNFINISHED'
  | 'ENGINE_RECORD_DAMAGED'
  | 'ENGINE_RECORD_FORMAT'
  | 'ENGINE_META_INVALID'
  | 'ENGINE_KEY_RESERVED'
  | 'ENGINE_LOG_FAILED'
  | 'ENGINE_APPLY_FAILED'
  | 'ENGINE_NOT_ARCHIVED'
  | 'ENGINE_CLOSED'
  | 'ENGINE_TRANSACTION_CONFLICT'
  | 'ENGINE_REPAIR_NEEDLESS'
  | 'ENGINE_LSN_PRUNED'
  | 'ENGINE_READ_ONLY'
  | 'ENGINE_OPTION_INVALID'

/** Throws the errors of this package; each row's comment says what happened. */
export const engineError: ErrorMaker<EngineCode> = errorsFrom<EngineCode>({
  // ---- the home
  // No identity file: the path is mistyped, or nothing was ever created there.
  ENGINE_HOME_MISSING: {
    kind: 'invalid',
    hint: 'check the path of the home; open it once with TimberLevel to create it',
  },
  // `errorIfExists` was asked for, and the home is there.
  ENGINE_HOME_EXISTS: { kind: 'conflict', hint: 'open it without errorIfExists, or choose another folder' },
  // The identity file cannot be decoded, or it is gone while data, log or checkpoint are still there.
  ENGINE_HOME_DAMAGED: {
    kind: 'corruption',
    hint: 'restore timberline.json from a backup of this environment, or recover the home',
  },
  // Another process, or another open database of this one, holds the home.
  ENGINE_HOME_LOCKED: {
    kind: 'conflict',
    hint: 'close the database in the process named by pid, or wait for it to end',
  },
  // The folder is a plain LevelDB database.
  ENGINE_HOME_NOT_ADOPTED: {
    kind: 'invalid',
    hint: 'adopt it in place with TimberLevel.adopt(location) or `timberline adopt`',
  },
  // The folder is a backup set; opening it as a database would spoil it.
  ENGINE_BACKUP_NOT_RECOVERED: {
    kind: 'invalid',
    hint: 'recover it into an empty folder with `timberline recover`',
  },
  // A recovery into this home is running or was interrupted.
  ENGINE_RECOVERY_UNFINISHED: {
    kind: 'conflict',
    hint: 'run the same recovery again; it goes on or begins anew',
  },
  // The folder follows an archive. Opened as a database it would begin a second history of the same environment.
  ENGINE_HOME_STANDBY: {
    kind: 'conflict',
    hint: 'make it the database with `timberline promote`, or follow on with `timberline standby`',
  },
  // A standby that followed the home was promoted: going on here would begin a second history of the same environment.
  ENGINE_HOME_ENDED: {
    kind: 'conflict',
    hint: 'use the home that goes on; `timberline standby -h HOME --of THAT --rejoin` makes this one its standby',
  },
  // The operating system refused to read, write or flush a file of the home.
  ENGINE_IO_FAILED: { kind: 'unavailable', hint: 'see the cause; mend the disk, then open again' },

  // ---- LevelDB's own files
  // The MANIFEST names no usable version: cut before its first whole record, or bytes that are no MANIFEST.
  ENGINE_MANIFEST_DAMAGED: {
    kind: 'corruption',
    hint: 'open the home, which rebuilds data/ from its checkpoint and log',
  },
  // CURRENT is missing or names no MANIFEST.
  ENGINE_CURRENT_DAMAGED: {
    kind: 'corruption',
    hint: 'open the home, which rebuilds data/ from its checkpoint and log',
  },
  // A table has not the length, checksum or layout it must have.
  ENGINE_TABLE_DAMAGED: {
    kind: 'corruption',
    hint: 'open the home, which rebuilds data/ from its checkpoint and log, or recover it from a backup',
  },
  // The value under the engine's reserved key is not one that it wrote.
  ENGINE_STATE_DAMAGED: {
    kind: 'corruption',
    hint: 'open the home, which rebuilds data/ from its checkpoint and log',
  },
  // A state was used after it was closed, or before it was opened.
  ENGINE_STATE_CLOSED: { kind: 'closed', hint: 'open the state again' },

  // ---- checkpoints
  // LevelDB never confirmed the flush in its MANIFEST; a full disk does this.
  ENGINE_CHECKPOINT_UNCONFIRMED: {
    kind: 'unavailable',
    hint: 'free disk space, then close and open the database again',
  },
  // The tables of one version kept vanishing while they were being linked.
  ENGINE_CHECKPOINT_RESTLESS: { kind: 'unavailable', hint: 'try again when less is being written' },
  // A checkpoint's manifest cannot be decoded.
  ENGINE_CHECKPOINT_DAMAGED: {
    kind: 'corruption',
    hint: 'take a new checkpoint, or recover the home from a backup',
  },

  // ---- recovery of data/ at open
  // The log does not reach back to the state: a segment between them is missing.
  ENGINE_LOG_GAP: {
    kind: 'gap',
    hint: 'put the missing segments back from an archive or a backup, or recover the home',
  },
  // The log ends before the newest checkpoint: its end was lost.
  ENGINE_LOG_LOST: {
    kind: 'gap',
    hint: 'put the missing segments back from an archive or a backup, or recover the home',
  },
  // Data was loaded beside the log (`bulkLoad`), and what was asked for lies on the other side of it.
  ENGINE_BULK_LOADED: {
    kind: 'gap',
    hint: 'go on from a checkpoint or a backup taken after the bulk load, or read its data from the database',
  },
  // data/ must be rebuilt, and no checkpoint is whole and the log does not begin at the first transaction.
  ENGINE_STATE_LOST: { kind: 'corruption', hint: 'recover the home from a backup or an archive' },

  // ---- control socket
  // Nobody listens on the home's control socket.
  ENGINE_NOT_RUNNING: {
    kind: 'unavailable',
    hint: 'open the home in a process first, or use the offline form of the command',
  },
  // The owner did not answer in time, or not in the protocol.
  ENGINE_CONTROL_FAILED: {
    kind: 'unavailable',
    hint: 'see the cause; try again, or restart the process that owns the home',
  },
  // The request is not one of the protocol.
  ENGINE_CONTROL_REQUEST: { kind: 'invalid', hint: 'use the request types of ControlRequest' },

  // ---- pauses
  // Commits of the home are paused already, or what was asked for has to wait for the end of a pause.
  ENGINE_QUIESCED: {
    kind: 'conflict',
    hint: 'wait until it ends, or end it with `timberline resume`; `timberline stat` shows it',
  },
  // The pause was over before it was resumed: commits went on meanwhile.
  ENGINE_QUIESCE_ENDED: {
    kind: 'unavailable',
    hint: 'throw away what was copied since, and do it again with a longer maximum',
  },
  // There is nothing to resume: commits are not paused, or this pause ended long ago.
  ENGINE_NOT_QUIESCED: { kind: 'invalid', hint: 'see `timberline stat`; quiesce the home first' },

  // A mark over several databases was given up before any of them had it: one could not be paused, or not for long enough.
  ENGINE_BARRIER_FAILED: {
    kind: 'unavailable',
    hint: 'mend what the message says of that database, then mark again; the name is free, commits go on everywhere',
  },
  // Somebody died between the moment at which all databases had reached the point and the last mark.
  ENGINE_BARRIER_INCOMPLETE: {
    kind: 'unavailable',
    hint: 'the point is whole: recover those databases with --until-lsn LSN --through, the others with --until-mark; or mark again under another name',
  },

  // ---- adopting a plain LevelDB folder
  // The folder holds no LevelDB database, or already is a home.
  ENGINE_ADOPT_REFUSED: { kind: 'invalid', hint: 'give the folder of a closed plain LevelDB database' },
  // The database has keys in the zone that the engine keeps for itself.
  ENGINE_ADOPT_KEY_RESERVED: {
    kind: 'invalid',
    hint: 'remove or rename the keys that begin with sixteen 0xFF bytes',
  },
  // An adoption or its way back was interrupted.
  ENGINE_ADOPT_UNFINISHED: {
    kind: 'conflict',
    hint: 'run the same step (adopt or unadopt) again; it goes on where it ended',
  },
  // ---- records
  // The payload of a log record is no transaction: another program wrote it, or it was damaged before it was checksummed.
  ENGINE_RECORD_DAMAGED: {
    kind: 'corruption',
    hint: 'verify the log; recover the home from a backup or an archive if it repeats',
  },
  // A later release wrote this record.
  ENGINE_RECORD_FORMAT: { kind: 'invalid', hint: 'read it with the release that wrote it, or a newer one' },
  // Meta holds something that cannot stand in the log: a function, a class instance, too deep a nesting.
  ENGINE_META_INVALID: { kind: 'invalid', hint: 'use plain values, dates and bytes as meta' },

  // ---- reading and writing
  // The key lies in the zone that the engine keeps for itself.
  ENGINE_KEY_RESERVED: { kind: 'invalid', hint: 'use keys that do not begin with sixteen 0xFF bytes' },
  // The log could not be written or synced; details.outcome says whether this commit can still appear after reopening.
  ENGINE_LOG_FAILED: {
    kind: 'unavailable',
    hint: 'reads go on; mend what the cause names, then close and open the database again',
  },
  // LevelDB refused a batch of commits that are durable in the log.
  ENGINE_APPLY_FAILED: {
    kind: 'unavailable',
    hint: 'the commits are safe in the log; mend what the cause names, then close and open the database again',
  },
  // The commit is durable in the home and readable, but the archives that it was to be held by too did not confirm it: in time,
  // or before the database was closed (details.reason).
  ENGINE_NOT_ARCHIVED: {
    kind: 'unavailable',
    hint: 'do not write it again: it stands, and is archived when the shipper comes to it; see what holds that up with `timberline archive status`',
  },
  // The database is closed, or was closed while the call waited.
  ENGINE_CLOSED: { kind: 'closed', hint: 'open the database again' },
  // Others committed what this transaction had read, on every try.
  ENGINE_TRANSACTION_CONFLICT: {
    kind: 'conflict',
    hint: 'try again later, raise `retries`, or read less in the transaction',
  },
  // What classic-level's repair would do is done by opening.
  ENGINE_REPAIR_NEEDLESS: {
    kind: 'invalid',
    hint: 'open the home: it repairs or rebuilds data/ by itself; if the log is damaged, recover from a backup or an archive',
  },
  // The LSN asked for has been removed from the log, or lies in the future of it.
  ENGINE_LSN_PRUNED: { kind: 'gap', hint: 'begin at a later LSN, or read the archive' },
  // A standby was written to. What it holds comes out of the archive alone.
  ENGINE_READ_ONLY: {
    kind: 'invalid',
    hint: 'write to the database that the standby follows, or promote the standby',
  },
  // An option outside its documented bounds.
  ENGINE_OPTION_INVALID: { kind: 'invalid', hint: 'mend the option named in the message' },
})

/** The `code` of any error: the operating system's, LevelDB's or ours. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code: unknown = Reflect.get(error, 'code')
  return typeof code === 'string' ? code : undefined
}

/** What became of a write, by the error that refused it. */
export function outcomeOf(error: Error): string {
  const details: unknown = Reflect.get(error, 'details')
  if (typeof details !== 'object' || details === null || !('outcome' in details)) return 'unknown'
  return String(details.outcome)
}

/** The boundary for what was asked of a home. LevelDB's own errors keep the codes that programs made for Level look for. */
export function atHomeBoundary<Result>(home: string, work: () => Promise<Result>): Promise<Result> {
  return withSystemErrors(work, (code, cause) =>
    engineError('ENGINE_IO_FAILED', 'the system refused to work on a file of the home', {
      details: { home, systemCode: code },
      cause,
    }),
  )
}
