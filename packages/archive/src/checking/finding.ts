import { TimberlineError } from '@timberline/wal'
import type { BackupFile } from '../catalogue/backup-manifest.ts'
import type { BackupRef, DeltaRef, PieceRef, SegmentRef } from '../catalogue/catalogue.ts'

/** What a finding is about, as the catalogue knows it: what is lost with it, and what could mend it, follow from that. */
export type FindingSubject =
  | { readonly type: 'segment'; readonly segment: SegmentRef }
  | { readonly type: 'piece'; readonly piece: PieceRef }
  | { readonly type: 'manifest'; readonly backup: BackupRef }
  | { readonly type: 'backup-file'; readonly backup: BackupRef; readonly file: BackupFile }
  | { readonly type: 'delta'; readonly delta: DeltaRef }
  /** A file that was pushed by name. */
  | { readonly type: 'file'; readonly name: string }
  /** Log that no object holds; `lsn` is a record that cannot be read for want of it. */
  | { readonly type: 'gap'; readonly timeline: number; readonly lsn: number }

/** What is wrong with an object, or missing. */
export interface ArchiveFinding {
  /** An error's code, `ARCHIVE_GAP` for log that is nowhere in the archive, `ARCHIVE_STRAY` for what nothing names. */
  readonly code: string
  /** The object, or the place of a gap. */
  readonly name: string
  readonly message: string
  /** Absent for journal entries and strays. */
  readonly subject?: FindingSubject | undefined
}

/** Damage and absence are findings; a store that does not answer, a key that does not fit, and a bug are not. */
export function findingOf(name: string, error: unknown, subject?: FindingSubject): ArchiveFinding {
  const isFinding =
    error instanceof TimberlineError &&
    ['corruption', 'gap', 'invalid', 'conflict'].includes(error.kind) &&
    // One clear error: with the key nothing may be wrong at all.
    !error.code.startsWith('ARCHIVE_KEY_')
  if (!isFinding) throw error
  const { code, message } = error
  return { code, name, message, ...(subject === undefined ? {} : { subject }) }
}
