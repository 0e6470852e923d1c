import type { BackupFile, BackupKind, BackupManifest } from '@timberline/archive'
import type { BackupBase } from './backup-base.ts'
import type { CopyContext, FileRange } from './file-source.ts'
import type { SegmentSummary } from '@timberline/wal'
import type { SegmentToCopy } from './segment-copy.ts'
import type { VolumesReport } from '../volumes-target.ts'

/** Where the files of a backup go: a folder, an archive or volumes. Nothing is a backup before `complete`. */
export interface BackupSink {
  /** For people: the folder, or the archive's address and the label. */
  readonly target: string
  readonly label: string
  /** The folder that holds the files written so far; `undefined` when they cannot be opened as files. */
  readonly folder: string | undefined
  /** What the volumes of this call are, once it is complete; only where the files go into volumes. */
  readonly volumes?: VolumesReport
  /** The earlier backup whose files may be taken over; absent when the backup is a full one. */
  readonly base?: BackupBase | undefined
  /** Takes a file of the base over without copying it; `undefined` when it is not there, or out of reach of a link. */
  reuse?(file: BackupFile): Promise<BackupFile | undefined>
  copy(range: FileRange, name: string, context: CopyContext): Promise<BackupFile>
  /** Copies a segment of the log and proves it on the way; absent where what was written cannot be proved so. */
  copySegment?(
    what: SegmentToCopy,
    name: string,
    context: CopyContext,
  ): Promise<{ readonly file: BackupFile; readonly summary: SegmentSummary }>
  write(name: string, content: Buffer): Promise<BackupFile>
  /** Makes the backup appear, durably; resolves with what could not be cleaned up after it. */
  complete(manifest: BackupManifest): Promise<readonly string[]>
  /** Removes what was written; resolves with what could not be removed. */
  abandon(): Promise<readonly string[]>
}

/**
 * The label of a backup that begins at a moment, UTC: `YYYYMMDD-HHMMSS`, then `F` for a full one and `I` for an incremental one.
 *
 * @example backupLabel(Date.UTC(2026, 10, 24, 19, 5, 7), 'full') // '20261124-190507F'
 */
export function backupLabel(atMs: number, kind: BackupKind): string {
  const digits = new Date(atMs).toISOString().replaceAll(/[-:]/g, '')
  return `${digits.slice(0, 8)}-${digits.slice(9, 15)}${kind === 'full' ? 'F' : 'I'}`
}
