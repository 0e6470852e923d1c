import { errorsFrom, systemCode, TimberlineError } from '@timberline/wal'

/** Errors of this package; codes are stable. */
const errors = {
  // The target lies before the oldest backup. The plan's `after` is the earliest instant that can be had.
  RECOVERY_NO_BASE: { kind: 'gap', hint: 'choose a target at or after the earliest restorable point' },
  // Log between the base and the target is missing; the details name it. Fetch it, or choose one of the points named.
  RECOVERY_LOG_GAP: { kind: 'gap', hint: 'put the missing log back, or choose one of the reachable points' },
  // The home has no log, so that neither a normal nor a catastrophic recovery of it can bring anything back.
  RECOVERY_LOG_LOST: {
    kind: 'gap',
    hint: 'put the log folder back, or recover into a new folder from the archive or a backup (--from)',
  },
  // The target lies after the last archived record. Nothing proves that no commit is missing before it.
  RECOVERY_TARGET_AFTER_END: { kind: 'gap', hint: 'choose an earlier target, or ask for the latest' },
  // No restore point of that name is on the chosen timeline.
  RECOVERY_MARK_UNKNOWN: {
    kind: 'invalid',
    hint: 'check the name and the timeline; the details list known marks',
  },
  // Several restore points carry that name: recovery does not guess which one is meant.
  RECOVERY_MARK_AMBIGUOUS: { kind: 'invalid', hint: 'give the LSN of the one you mean' },
  // The archive knows no such timeline.
  RECOVERY_TIMELINE_UNKNOWN: { kind: 'invalid', hint: 'choose one of the known timelines' },
  // The base asked for is not in the archive, or lies after the target.
  RECOVERY_BASE_UNKNOWN: { kind: 'invalid', hint: 'leave the choice of the base to the plan' },
  // The ends between which a first bad transaction is looked for are not one good state and one bad state behind it.
  RECOVERY_BISECT_ENDS: {
    kind: 'invalid',
    hint: 'give as --good a state that the check passes, and as --bad a later one that it does not',
  },
  // The check of a state was not run, or was ended by a signal or for its length: nobody knows whether the state is good.
  RECOVERY_BISECT_CHECK: {
    kind: 'unavailable',
    hint: 'run the check by hand on a recovered home, mend it, then begin again',
  },
  // The target is not well formed.
  RECOVERY_TARGET_INVALID: { kind: 'invalid', hint: 'give a whole LSN, or a time in whole microseconds' },
  // An argument outside its documented bounds.
  RECOVERY_OPTION_INVALID: { kind: 'invalid', hint: 'mend the argument named in the message' },
  // The new home holds something. Recovery never writes over data.
  RECOVERY_TARGET_NOT_EMPTY: { kind: 'conflict', hint: 'recover into a new or an empty folder' },
  // The source is not there, or is no backup. A mistyped path must not look like success.
  RECOVERY_SOURCE_MISSING: { kind: 'invalid', hint: 'check the path of the backup or archive' },
  // A file of the backup differs from what its manifest says. It must not be restored.
  RECOVERY_SOURCE_DAMAGED: { kind: 'corruption', hint: 'use another backup; verify this one' },
  // Fetched log is not what the catalogue promised, or its records do not follow each other.
  RECOVERY_LOG_DAMAGED: { kind: 'corruption', hint: 'verify the archive; choose a target before the damage' },
  // A compacted delta is damaged, missing, or of a later release. Recovery reads the log instead and tells of it in a warning.
  RECOVERY_DELTA_UNUSABLE: {
    kind: 'corruption',
    hint: 'nothing is lost: the log that it was made of is read instead; verify the archive',
  },
  // The restored content differs from what was recorded at the same LSN.
  RECOVERY_DIGEST_MISMATCH: {
    kind: 'corruption',
    hint: 'do not use this restore; verify the archive, try another base',
  },
  // Base and log belong to different environments.
  RECOVERY_ENVIRONMENT_MISMATCH: { kind: 'conflict', hint: 'use the archive of the same environment' },
  // Records that bypassed the log were loaded between base and target, so that the log cannot bring them back.
  RECOVERY_BULK_LOAD: { kind: 'gap', hint: 'use a backup taken after the bulk load, or a target before it' },
  // The operating system or LevelDB refused to read or write; the cause says what. The home stays marked as unfinished.
  RECOVERY_IO_FAILED: {
    kind: 'unavailable',
    hint: 'mend the cause (space, permissions, the disk) and run the recovery again',
  },
  // The archive did not reach the LSN of the live database in time.
  RECOVERY_ARCHIVE_BEHIND: { kind: 'unavailable', hint: 'see whether the shipper runs, and try again' },
  // The live home and the archive hold different environments or timelines.
  RECOVERY_NOT_THE_SAME: { kind: 'invalid', hint: 'check the paths of home and archive' },
  // Log that a standby needs next, or all of the timeline that it followed, is no longer in the archive: retention let it go.
  RECOVERY_STANDBY_BEHIND: {
    kind: 'gap',
    hint: 'begin the standby anew: run `timberline standby --anew` once',
  },
  // The archive went on along a line that does not lead through what the standby has applied.
  RECOVERY_STANDBY_DIVERGED: {
    kind: 'conflict',
    hint: 'begin the standby anew with --anew, or name the timeline that it is to follow',
  },
  // A backup in the archive goes further than the log that was shipped: the standby lacks commits that the backup has.
  RECOVERY_STANDBY_BACKUP_AHEAD: {
    kind: 'gap',
    hint: 'run `timberline standby --anew --once`, which begins with that backup, and promote then',
  },
  // The folder that is to be a standby is a home: its commits may be nowhere else.
  RECOVERY_STANDBY_IS_HOME: {
    kind: 'conflict',
    hint: 'run it again with --rejoin: the home is kept aside inside the folder, and a new standby takes its place',
  },
  // The home that a standby follows is not there: its disk is not mounted, or it is lost.
  RECOVERY_PRIMARY_AWAY: {
    kind: 'unavailable',
    hint: 'mount it; where it is lost for good, `timberline promote --lost` goes on with what the standby has',
  },
  // The home that a standby follows is open, so that commits made during a promotion would be lost.
  RECOVERY_PRIMARY_RUNS: {
    kind: 'conflict',
    hint: 'stop the application that has the home open, and promote then',
  },
  // What is to be promoted is no standby.
  RECOVERY_STANDBY_MISSING: {
    kind: 'invalid',
    hint: 'check the path; `timberline standby` makes one out of a new folder',
  },
  // A promotion ended the timeline and died before its folder was a home. Nobody else can go on from there.
  RECOVERY_PROMOTION_UNFINISHED: { kind: 'conflict', hint: 'finish it: run `timberline promote` again' },
  // A standby was used after it was closed, or after it ended by an error.
  RECOVERY_STANDBY_CLOSED: { kind: 'closed', hint: 'open the standby again' },
  // The caller asked to stop. What was written stays marked as unfinished, and can be run again.
  RECOVERY_ABORTED: { kind: 'aborted', hint: 'run the recovery again to begin anew' },
} as const

/** Makes an error of this package by its code. */
export const recoveryError: ReturnType<typeof errorsFrom<keyof typeof errors>> = errorsFrom(errors)

/** A code of this package's table of errors. */
export type RecoveryErrorCode = keyof typeof errors

/**
 * Runs what a caller asked for, so that it fails only with errors that have a code and a next step: those of the system and of
 * LevelDB are wrapped, once, here.
 */
export async function atBoundary<Result>(
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof TimberlineError) throw cause
    if (signal?.aborted === true)
      throw recoveryError('RECOVERY_ABORTED', 'the recovery was stopped', { cause })
    if (!/^(E[A-Z0-9]+|LEVEL_[A-Z_]+)$/.test(systemCode(cause) ?? '')) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw recoveryError('RECOVERY_IO_FAILED', `the recovery could not go on, ${reason}`, { cause })
  }
}
