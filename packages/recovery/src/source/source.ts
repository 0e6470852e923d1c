// The port between recovery and the places that backups and log come from.
import type { BackupManifest, DeltaRef } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import type { Base, History, Span } from '../history/history.ts'
import type { TransferOptions } from '../transfer.ts'

/** A segment, or the readable beginning of one, as a local file. */
export interface LocalSegment {
  readonly path: string
  /** Whether it may end without a seal, in a torn tail. Any other segment must be whole. */
  readonly last: boolean
  /** Whether the file is a copy that may be removed after reading. */
  readonly isCopy: boolean
}

/** A place that backups and log come from: an archive, a backup folder, or both together. */
export interface RecoverySource {
  /** How the source is named in reports and errors. */
  readonly name: string
  readonly environmentId: string
  /** What is wrong with the source although everything can be had from it; goes into the report. */
  readonly warnings?: readonly string[]
  /** What the source holds. */
  history(): Promise<History>
  /** The manifest of a base of this history. */
  manifest(base: Base): Promise<BackupManifest>
  /** Writes the tables of a base into `directory`, each verified while it is written. */
  restoreTables(base: Base, directory: string, options: TransferOptions): Promise<void>
  /** Brings the segments of a span within reach, in order; copies go into `directory`. */
  fetchSpan(span: Span, directory: string, options: TransferOptions): Promise<readonly LocalSegment[]>
  /** Writes a delta of this history to `path`, verified while it is written. */
  fetchDelta(delta: DeltaRef, path: string, options: TransferOptions): Promise<void>
  /**
   * Takes a timeline number that nobody else has, or ever will have. Without `claim` it is only the next free one: for a
   * home that never archives.
   */
  beginTimeline(
    fork: { readonly timeline: number; readonly forkLsn: Lsn },
    options: { readonly claim: boolean },
  ): Promise<number>
}
