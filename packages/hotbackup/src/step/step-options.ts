import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'

/** How to copy one database over another, step by step. */
export interface StepBackupOptions {
  /**
   * `end`: the copy holds every commit that was acknowledged when `finish` was called; needs a Timberline database as the source, whose
   * log tells what came meanwhile, and is the default for one. `start`: the state at the beginning; for any other source.
   */
  readonly asOf?: 'start' | 'end'
  /** Replace what an open target holds, whatever its encodings. Default: a target with content or other encodings is refused. */
  readonly overwrite?: boolean
  /** Merge the tables of a copy in a folder, so that it is as small as it can be (SQLite's VACUUM INTO). Default: false. */
  readonly compact?: boolean
  /** How long to wait for a database that another process has open, in milliseconds. Default: 5000. */
  readonly busyTimeoutMs?: number
  /** Decides instead of the timeout: asked after each refusal; `false` gives up. */
  readonly onBusy?: (busy: {
    readonly tries: number
    readonly waitedMs: number
  }) => boolean | Promise<boolean>
  /** Content that an open target may be given in its one atomic batch, in bytes. Default: 268,435,456. */
  readonly batchBytesMax?: number
  /** Makes a copy in a folder durable and gives it its name; LevelDB writes its files itself. Default: the real one. */
  readonly fileSystem?: FileSystem
}

/** How to go through all steps. */
export interface RunOptions {
  /** Pages of 8 KiB copied at once. Default: 128, a mebibyte. */
  readonly pagesPerStep?: number
  /** Pause after each step, for others to have the disk. Default: 0. */
  readonly pauseMs?: number
  readonly onProgress?: (progress: StepProgress) => void
  readonly signal?: AbortSignal
}

/** How far a copy is, in pages of 8 KiB. */
export interface StepProgress {
  readonly remainingPages: number
  readonly pageCount: number
}

/** What was copied. */
export interface StepReport {
  readonly entries: number
  /** Of keys and values. */
  readonly bytes: number
  readonly pageCount: number
  readonly asOf: 'start' | 'end'
  /** The state that the copy is, of a Timberline source. */
  readonly lsn?: number
  /** sha256 of the copy's entries, as `TimberLevel.digest` has it. */
  readonly digest: string
}

/** A page of the copy: what its steps are counted in. */
export const PAGE_BYTES = 8192

/** A whole number of pages, or -1 for all that is left. @throws HOTBACKUP_OPTIONS */
export function checkedPages(pages: number): number {
  if (pages === -1) return Infinity
  if (Number.isSafeInteger(pages) && pages > 0) return pages
  throw hotbackupError('HOTBACKUP_OPTIONS', 'a step is a whole number of pages above 0, or -1 for the rest', {
    details: { pages },
  })
}
