/**
 * Why a checkpoint was taken: asked for, so many bytes, so long ago, the home had none, the log is full, data is loaded beside the
 * log, the database closes.
 */
export type CheckpointReason = 'request' | 'bytes' | 'age' | 'first' | 'full' | 'load' | 'close'

/** What the checkpoint keeper did; told after the fact is durable. Listeners must not throw. */
export type CheckpointEvent =
  | {
      readonly type: 'checkpoint.taken'
      readonly reason: CheckpointReason
      readonly lsn: number
      readonly segmentNumber: number
      readonly linkedCount: number
      readonly droppedCount: number
      readonly ms: number
    }
  | { readonly type: 'checkpoint.failed'; readonly reason: CheckpointReason; readonly error: unknown }
  | { readonly type: 'checkpoint.hashed'; readonly lsn: number; readonly tables: number; readonly ms: number }
  | { readonly type: 'checkpoint.hashFailed'; readonly error: unknown }
  | { readonly type: 'log.pruned'; readonly names: readonly string[] }
  | { readonly type: 'log.pruneFailed'; readonly error: unknown }
  /** The log comes near a limit, in bytes or in time, because `archives` do not confirm; at the limit the policy acts. */
  | {
      readonly type: 'log.filling'
      readonly logBytes: number
      readonly logBytesMax: number
      /** How long the oldest segment has been sealed that only an archive still needs. */
      readonly logAgeMs: number
      readonly logAgeMsMax: number
      readonly logFullPolicy: 'stall' | 'release'
      readonly archives: readonly string[]
    }
  /** Commits wait: the log has reached a limit, and `archives` do not confirm, or somebody holds it. */
  | {
      readonly type: 'log.stalled'
      readonly logBytes: number
      readonly logBytesMax: number
      readonly logAgeMs: number
      readonly logAgeMsMax: number
      readonly archives: readonly string[]
      readonly holds: readonly string[]
    }
  | { readonly type: 'log.resumed'; readonly logBytes: number }
  /** These segments were removed though `archives` do not hold them: their history has a hole from now on. */
  | { readonly type: 'log.released'; readonly names: readonly string[]; readonly archives: readonly string[] }
