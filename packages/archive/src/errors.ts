import { errorsFrom, TimberlineError, type ErrorDetails } from '@timberline/wal'

/** Every code this package throws; codes are never reused and never renamed. */
export type ArchiveErrorCode =
  | 'ARCHIVE_MISSING'
  | 'ARCHIVE_FOREIGN_ENVIRONMENT'
  | 'ARCHIVE_FORMAT'
  | 'ARCHIVE_NAME_INVALID'
  | 'ARCHIVE_URL_UNKNOWN'
  | 'ARCHIVE_OBJECT_MISSING'
  | 'ARCHIVE_OBJECT_DAMAGED'
  | 'ARCHIVE_OBJECT_TOO_LARGE'
  | 'ARCHIVE_SOURCE_CHANGED'
  | 'ARCHIVE_JOURNAL_DAMAGED'
  | 'ARCHIVE_MANIFEST_DAMAGED'
  | 'ARCHIVE_CONFLICT'
  | 'ARCHIVE_AHEAD'
  | 'ARCHIVE_FENCED'
  | 'ARCHIVE_TIMELINE_UNKNOWN'
  | 'ARCHIVE_TIMELINE_TAKEN'
  | 'ARCHIVE_TIMELINE_ENDED'
  | 'ARCHIVE_BACKUP_EXISTS'
  | 'ARCHIVE_RECIPIENTS_CHANGED'
  | 'ARCHIVE_BACKUP_UNKNOWN'
  | 'ARCHIVE_UPLOAD_DAMAGED'
  | 'ARCHIVE_PROMISE_MISSING'
  | 'ARCHIVE_PROMISE_BROKEN'
  | 'ARCHIVE_STORE_FAILED'
  | 'ARCHIVE_STORE_UNSAFE'
  | 'ARCHIVE_LOG_MISSING'
  | 'ARCHIVE_LOG_EMPTY'
  | 'ARCHIVE_LOG_FOREIGN'
  | 'ARCHIVE_LOG_FAILED'
  | 'ARCHIVE_KEY_MISSING'
  | 'ARCHIVE_KEY_WRONG'
  | 'ARCHIVE_KEY_INVALID'
  | 'ARCHIVE_OPTION_INVALID'
  | 'ARCHIVE_REPAIR_REFUSED'
  | 'ARCHIVE_VOLUMES_ABSENT'
  | 'ARCHIVE_VOLUME_MISSING'
  | 'ARCHIVE_VOLUME_DAMAGED'
  | 'ARCHIVE_VOLUME_FOREIGN'
  | 'ARCHIVE_VOLUME_ORDER'
  | 'ARCHIVE_VOLUMES_FULL'
  | 'ARCHIVE_ABORTED'

type ErrorMaker = (
  code: ArchiveErrorCode,
  message: string,
  more?: { details?: ErrorDetails; cause?: unknown },
) => TimberlineError

/** Makes the errors of this package. */
export const archiveError: ErrorMaker = errorsFrom<ArchiveErrorCode>({
  // There is no archive at this address. A mistyped path must not look like an empty archive.
  ARCHIVE_MISSING: { kind: 'invalid', hint: 'Check the address; a new archive is made by an explicit step.' },
  // The archive holds another environment than the log or call names.
  ARCHIVE_FOREIGN_ENVIRONMENT: { kind: 'conflict', hint: 'Give each environment an archive of its own.' },
  // Written by a release that this one does not know.
  ARCHIVE_FORMAT: { kind: 'invalid', hint: 'Read it with the release that wrote it, or a newer one.' },
  // Object names are checked before any store sees them, so that none can leave the archive's folder.
  ARCHIVE_NAME_INVALID: {
    kind: 'invalid',
    hint: 'Use parts of letters, digits, dot, underscore and hyphen, separated by "/", none beginning with a dot.',
  },
  // No store is known for this address.
  ARCHIVE_URL_UNKNOWN: {
    kind: 'invalid',
    hint: 'Use a path, dir:/path, or s3://bucket/prefix without credentials.',
  },
  // An object that the catalogue or the caller names is not there.
  ARCHIVE_OBJECT_MISSING: {
    kind: 'gap',
    hint: 'Run `timberline archive verify`; read the catalogue again if it is old.',
  },
  // An object is not what was put there: cut, flipped, swapped with another.
  ARCHIVE_OBJECT_DAMAGED: {
    kind: 'corruption',
    hint: 'Run `timberline archive repair`, which takes it from another archive or the live home.',
  },
  // An object is larger than the caller's bound for holding it in memory, or than the store can take in one put.
  ARCHIVE_OBJECT_TOO_LARGE: {
    kind: 'invalid',
    hint: 'Read it as a stream, or raise bytesMax; to store it, cut it, or use a folder.',
  },
  // What was to be stored changed between the reading that hashed it and the one that uploaded it.
  ARCHIVE_SOURCE_CHANGED: { kind: 'conflict', hint: 'Store only what no longer changes.' },
  // An event of the catalogue is damaged, unknown or missing; nothing may be decided on the strength of the rest.
  ARCHIVE_JOURNAL_DAMAGED: {
    kind: 'corruption',
    hint: 'Restore the named journal object from another copy of the archive.',
  },
  // A backup manifest does not match its own checksum or contradicts itself.
  ARCHIVE_MANIFEST_DAMAGED: { kind: 'corruption', hint: 'Use another backup; this one cannot be trusted.' },
  // Something else is stored under this name, or another history at this place.
  ARCHIVE_CONFLICT: {
    kind: 'conflict',
    hint: 'Two writers share an archive, or a home was copied: give one an archive of its own.',
  },
  // The archive holds later records than the log: the log is an older copy, or lost its end.
  ARCHIVE_AHEAD: { kind: 'conflict', hint: 'Recover from the archive: it knows more than this home.' },
  // Another shipper took the archive over; this one may not archive anything any more.
  ARCHIVE_FENCED: {
    kind: 'conflict',
    hint: 'Leave the archive to the other process, or stop that and begin again.',
  },
  // The log is on a timeline that the archive has not heard of.
  ARCHIVE_TIMELINE_UNKNOWN: {
    kind: 'conflict',
    hint: 'Say from which timeline and LSN it forked, or use a new archive.',
  },
  // The number of a new timeline is taken.
  ARCHIVE_TIMELINE_TAKEN: {
    kind: 'conflict',
    hint: 'Take the next number; a home that has this one already needs a new archive.',
  },
  // A standby was promoted: the timeline ended, and its successor goes on elsewhere. What this home wrote after the end is in no archive.
  ARCHIVE_TIMELINE_ENDED: {
    kind: 'conflict',
    hint: 'Follow the new line with `timberline standby`; a former primary with --rejoin, which keeps its folder aside.',
  },
  // There is a backup with this label already.
  ARCHIVE_BACKUP_EXISTS: { kind: 'conflict', hint: 'Take another label.' },
  // The recipients were changed while the files of a backup were put: some of them are for the readers of before.
  ARCHIVE_RECIPIENTS_CHANGED: { kind: 'conflict', hint: 'Make the backup again.' },
  // No backup has this label.
  ARCHIVE_BACKUP_UNKNOWN: { kind: 'invalid', hint: 'List the backups of the archive.' },
  // What the store gave back after an upload is not what was uploaded; the object was not entered in the catalogue.
  ARCHIVE_UPLOAD_DAMAGED: { kind: 'corruption', hint: 'Check the storage device or the path to it.' },
  // Retention was asked to let things go, and nobody said what is to be kept.
  ARCHIVE_PROMISE_MISSING: {
    kind: 'invalid',
    hint: 'Say what to keep: `timberline archive promise --instants 7d --bases 1w/8w`.',
  },
  // What was asked would make something unreachable that the archive promises.
  ARCHIVE_PROMISE_BROKEN: {
    kind: 'conflict',
    hint: 'Nothing was let go. Keep more, or add --force to break the promise knowingly.',
  },
  // The store refused or could not be reached; the cause says why.
  ARCHIVE_STORE_FAILED: {
    kind: 'unavailable',
    hint: 'Mend what the cause names; a shipper tries again by itself.',
  },
  // The store took a second put of one name: conditional puts are ignored, so two writers could overwrite each other.
  ARCHIVE_STORE_UNSAFE: {
    kind: 'invalid',
    hint: 'Use a bucket without versioning, or a service with conditional puts (If-None-Match).',
  },
  // There is no log folder at this path. A mistyped home must not look like an idle one.
  ARCHIVE_LOG_MISSING: { kind: 'invalid', hint: 'Check the path of the home or its log folder.' },
  // The log folder has no segment yet.
  ARCHIVE_LOG_EMPTY: {
    kind: 'unavailable',
    hint: 'Open the home once; a shipper waits for the first segment by itself.',
  },
  // The log in the folder is not the one that the caller named.
  ARCHIVE_LOG_FOREIGN: {
    kind: 'conflict',
    hint: 'Check the path: this log is of another environment or timeline.',
  },
  // The log could not be read or its confirmation not written; the cause says why.
  ARCHIVE_LOG_FAILED: {
    kind: 'unavailable',
    hint: 'Mend what the cause names; a shipper tries again by itself.',
  },
  // What was asked for is encrypted, and neither an identity nor a passphrase was given.
  ARCHIVE_KEY_MISSING: {
    kind: 'invalid',
    hint: 'Give an identity of one of its recipients: --identity FILE or TIMBERLINE_IDENTITY, or the passphrase in TIMBERLINE_PASSPHRASE.',
  },
  // None of the identities opens it, or the passphrase opens nothing here.
  ARCHIVE_KEY_WRONG: {
    kind: 'invalid',
    hint: 'Give the identity that its recipients name; after a rotation keep the older identities in the file too.',
  },
  // A recipient or an identity is not one of age, or a file of identities holds something else.
  ARCHIVE_KEY_INVALID: {
    kind: 'invalid',
    hint: 'Use recipients age1… and identities AGE-SECRET-KEY-1… as age-keygen makes them.',
  },
  // An argument outside its documented bounds.
  ARCHIVE_OPTION_INVALID: { kind: 'invalid', hint: 'Mend the argument named in the message.' },
  // A repair could not remove a damaged object: a lock on objects, or a missing right. The object is as it was.
  ARCHIVE_REPAIR_REFUSED: {
    kind: 'unavailable',
    hint: 'Lift the lock of that object, or give the right to delete, and repair again.',
  },
  // No volumes of this prefix are in the directories, or one of these is not there. A mistyped prefix must not look like success.
  ARCHIVE_VOLUMES_ABSENT: {
    kind: 'invalid',
    hint: 'Check prefix and directories; name all directories that the series was written to.',
  },
  // A volume of the series is in none of the directories, and no parity volume makes up for it.
  ARCHIVE_VOLUME_MISSING: {
    kind: 'gap',
    hint: 'Bring the named file back, name the directory that holds it, or take away all volumes of that call and later ones.',
  },
  // A volume is not what was written: cut, flipped, overwritten; and no parity volume makes up for it.
  ARCHIVE_VOLUME_DAMAGED: {
    kind: 'corruption',
    hint: 'Put another copy of the named file in its place, or take away all volumes of that call and later ones.',
  },
  // A volume belongs to another series than those beside it.
  ARCHIVE_VOLUME_FOREIGN: {
    kind: 'conflict',
    hint: 'Move the named file away; the volumes of one series belong together.',
  },
  // A volume has the name of another one of its series: it was renamed, or copied over another.
  ARCHIVE_VOLUME_ORDER: { kind: 'conflict', hint: 'Give the named file the number that the message tells.' },
  // No directory has room for the next volume; all files of this call were removed.
  ARCHIVE_VOLUMES_FULL: {
    kind: 'unavailable',
    hint: 'Free space, or add a directory at the end of the list; volumes of earlier calls are as they were.',
  },
  // The caller's signal asked to stop.
  ARCHIVE_ABORTED: { kind: 'aborted', hint: 'Nothing to mend: the caller asked to stop.' },
})

/** Whether an error has this code. */
export function hasCode(error: unknown, code: ArchiveErrorCode): error is TimberlineError {
  return error instanceof TimberlineError && error.code === code
}
