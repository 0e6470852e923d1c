import type { FileSystem } from '@timberline/wal'
import type { HotbackupListener } from '../events.ts'
import type { PinnedBy } from './pins.ts'

/** A live LevelDB folder to copy, and where to. */
export interface PlainBackupOptions {
  /** The folder that some application has open, of any language; nothing in it is opened but CURRENT, MANIFEST, tables and logs. */
  readonly folder: string
  /** The folder that becomes a LevelDB of its own: absent or empty. */
  readonly target: string
  /** Upper limit of the copy in 10^6 bytes a second, more than 0. Default none, as is `Infinity`. */
  readonly maxMbPerS?: number
  /** Aborts the copy; nothing is left behind. */
  readonly signal?: AbortSignal
  readonly onEvent?: HotbackupListener
  /** Default: the operating system's. */
  readonly fileSystem?: FileSystem
}

/** What was copied. */
export interface PlainBackupResult {
  readonly target: string
  readonly tableCount: number
  /** Tables packed in a way not known here, of which not every block could be checked. */
  readonly uncheckedCount: number
  readonly logCount: number
  /** Batches in LevelDB's own logs, which the next open of the copy brings into tables. */
  readonly logRecordCount: number
  /** Bytes of LevelDB's own logs after their last whole record, which are not in the copy. */
  readonly tornBytes: number
  /** Bytes of all files. */
  readonly bytes: number
  /** How often the version changed while it was pinned, plus one. */
  readonly tries: number
  readonly pinnedBy: PinnedBy
  readonly ms: number
  /** Folders that could not be removed afterwards; the next copy to this target removes them. */
  readonly leftBehind: readonly string[]
}
