// The port between a standby and what it follows: an archive, or the home itself.
import type { StandbyState } from '@timberline/engine'
import type { Lsn } from '@timberline/wal'
import type { Outlook } from './standby-outlook.ts'
import type { StandbyFolder } from './standby-place.ts'

/** What a standby begins with. */
export interface StandbyBase {
  readonly timeline: number
  /** Makes a LevelDB folder, durably; resolves with the number of the segment that goes on from it. */
  restore(folder: StandbyFolder, options: BaseOptions): Promise<number>
}

export interface BaseOptions {
  readonly dataDirectory: string
  readonly signal: AbortSignal
}

/** What one look came to. */
export interface StandbyStep {
  readonly outlook: Pick<Outlook, 'timeline' | 'knownLsn' | 'blocked'>
  readonly appliedLsn: Lsn
  /** Records applied by this step. */
  readonly records: number
}

/** Brings a state forward. */
export interface Feed {
  /** Looks once, and applies what can be applied; not to be called again before the call before has ended. */
  step(signal: AbortSignal): Promise<StandbyStep>
  /** Resolves when there may be something new; absent where only looking tells. */
  news?(): Promise<void>
  close(): Promise<void>
}

/** What a feed works on. */
export interface FeedParts {
  readonly folder: StandbyFolder
  readonly state: StandbyState
  readonly pinned: number | undefined
}

/** What a standby follows. */
export interface StandbySource {
  readonly environmentId: string
  /** Before anything is read: what the source is to keep for this standby. */
  begin(folder: StandbyFolder): Promise<void>
  /** Who ended a timeline, by a promotion, and what goes on. */
  endOf(timeline: number): Promise<{ readonly ownerId: string; readonly successor: number } | undefined>
  /**
   * The newest base; with `leadsOn` only one that can be followed from.
   *
   * @throws RECOVERY_NO_BASE; with `leadsOn` RECOVERY_BULK_LOAD, RECOVERY_STANDBY_BEHIND
   */
  newestBase(options: {
    readonly pinned: number | undefined
    readonly leadsOn: boolean
  }): Promise<StandbyBase>
  follow(parts: FeedParts): Feed
}
