import type { FileSystem, OpenedLog } from '@timberline/wal'
import type { ArchiveEvent } from '../commit/archive-event.ts'
import type { ArchivedOptions, Durability } from '../commit/archived-options.ts'
import type { CheckpointEvent } from '../checkpoint/checkpoint-event.ts'
import type { PauseEvent } from '../commit/commit-pause.ts'
import type { CheckpointPolicy } from '../checkpoint/checkpoint-policy.ts'
import type { RecoverReport } from '../state/state-recovery.ts'

/** Options of the log of a home. */
export interface LogLimits {
  /** A segment is sealed before it grows beyond this; default 64 MiB, from 4 KiB to 4 GiB. */
  readonly segmentBytesMax?: number | undefined
  /** A segment is sealed this long after its first record, in milliseconds; default 3,600,000; 0 is never. */
  readonly segmentAgeMsMax?: number | undefined
  /** The largest transaction; default 64 MiB, at most 256 MiB. */
  readonly recordBytesMax?: number | undefined
  /** Zeros written ahead in the background; default 1 MiB; 0 is off. */
  readonly preallocateBytes?: number | undefined
}

/** What a database tells about itself; told after the fact. Listeners must not throw. */
export type EngineEvent =
  | ArchiveEvent
  | CheckpointEvent
  | PauseEvent
  | { readonly type: 'database.opened'; readonly report: OpenReport }
  /** No more writes are taken; reads go on. */
  | { readonly type: 'database.failed'; readonly error: Error }
  | { readonly type: 'database.closed' }

/** How long writes wait for what. */
export interface DurabilityOptions {
  /** When writes resolve that say nothing themselves; default `local`. `archived` needs the option of that name. */
  readonly durability?: Durability | undefined
  /** The archives that `durability: 'archived'` waits for. */
  readonly archived?: ArchivedOptions | undefined
}

/** Options of a home beyond classic-level's. */
export interface HomeOptions extends DurabilityOptions {
  /** How long to wait for another process that holds the home, in milliseconds; default 0. */
  readonly busyTimeoutMs?: number | undefined
  /** Writes wait while more than this is between the call and the state, in bytes; default 64 MiB. */
  readonly queuedBytesMax?: number | undefined
  readonly log?: LogLimits | undefined
  /** When checkpoints are taken by themselves, and how far the log may grow. */
  readonly checkpoint?: Partial<CheckpointPolicy> | undefined
  /** Verify every table at open; default false. Costs a read of the whole database. */
  readonly verify?: boolean | undefined
  readonly onEvent?: ((event: EngineEvent) => void) | undefined
  /** For tests of faults: log and checkpoints go through it; LevelDB's own files and the lock do not. */
  readonly fileSystem?: FileSystem | undefined
}

/** What opening found and did. */
export interface OpenReport {
  readonly home: string
  readonly environmentId: string
  readonly timeline: number
  /** The home was made new. */
  readonly created: boolean
  readonly log: OpenedLog
  readonly state: RecoverReport
  readonly ms: number
}
