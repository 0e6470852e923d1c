import type { WriterReport } from '@timberline/engine'
import type { PinnedBy } from './plain/pins.ts'

/** What a backup tells while it runs; facts in the past tense, in this order. */
export type HotbackupEvent =
  | {
      readonly type: 'backup.begun'
      readonly home: string
      readonly target: string
      readonly kind: BackupStyle
    }
  | { readonly type: 'leftover.removed'; readonly path: string }
  | { readonly type: 'checkpoint.taken' }
  | { readonly type: 'checkpoint.skipped'; readonly reason: string }
  /** What was copied cannot become a backup any more; all of it is copied anew. */
  | { readonly type: 'backup.restarted'; readonly reason: RestartReason }
  | {
      readonly type: 'pinned'
      readonly lsn: number
      readonly tableCount: number
      readonly segmentCount: number
      readonly tries: number
    }
  /** An earlier backup has the file; it was linked or named instead of copied. */
  | { readonly type: 'file.reused'; readonly name: string; readonly bytes: number }
  | ({ readonly type: 'file.copied'; readonly name: string; readonly bytes: number } & CopyProgress)
  | ({ readonly type: 'progressed' } & CopyProgress)
  /** Somebody writes to the home: from now on the copy keeps to the limit for company. */
  | { readonly type: 'rate.limited'; readonly bytesPerS: number }
  | { readonly type: 'rate.lifted' }
  /** The owner sealed its log file for the backup; it writes on in the next one. */
  | { readonly type: 'log.sealed'; readonly segmentNumber: number; readonly lsn: number }
  /** The log is taken as far as it is durable: there is no owner, or it did not do as it was asked. */
  | { readonly type: 'log.unsealed'; readonly reason: string }
  /** Everything that was durable at this moment will be in the backup; as of the start, told before any file is copied. */
  | { readonly type: 'log.begun' }
  | { readonly type: 'log.ended'; readonly lsn: number; readonly segments: readonly string[] }
  /** Recovery was run on the backup: its data files reach its end. */
  | { readonly type: 'data.forwarded'; readonly lsn: number; readonly tableCount: number }
  | { readonly type: 'digest.computed'; readonly lsn: number; readonly hex: string; readonly ms: number }
  | ({ readonly type: 'writers.metered' } & WriterReport)
  | { readonly type: 'writers.unmetered'; readonly reason: string }
  | { readonly type: 'leftover.kept'; readonly path: string; readonly reason: string }
  | {
      readonly type: 'plain.pinned'
      readonly tableCount: number
      readonly logCount: number
      readonly tries: number
      readonly pinnedBy: PinnedBy
    }
  | {
      readonly type: 'plain.ended'
      readonly bytes: number
      readonly logRecordCount: number
      readonly ms: number
    }
  | { readonly type: 'backup.ended'; readonly lsn: number; readonly bytes: number; readonly ms: number }

/** How a backup is made: from a live home, from a home nobody has open, or by adding new log to an old backup. */
export type BackupStyle = 'hot' | 'offline' | 'update'

/**
 * Why a backup began anew: data was loaded beside the log behind what it had copied, or the recipients of the archive were changed, so
 * that some of its files were for the readers of before.
 */
export type RestartReason = 'bulkload' | 'recipients'

/** How far the copy is; the totals may grow while the log does. */
export interface CopyProgress {
  readonly bytesCopied: number
  readonly bytesTotal: number
  readonly filesCopied: number
  readonly filesTotal: number
}

/** Receives events; an error that it throws is its own and surfaces as an uncaught exception, not in the backup. */
export type HotbackupListener = (event: HotbackupEvent) => void

/** Wraps a listener so that it cannot break the backup that calls it. */
export function guardedListener(listener: HotbackupListener | undefined): HotbackupListener {
  if (listener === undefined) return () => undefined
  return (event) => {
    try {
      listener(event)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
