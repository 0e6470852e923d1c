// What is asked of the checkpoint keeper, and what it tells.
import type { CheckpointReason } from './checkpoint-event.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'

/** What a request for a checkpoint may say. */
export interface CheckpointRequest {
  readonly reason?: CheckpointReason
  /** Resolve only when every table has its hash; default false: hashing goes on in the background. */
  readonly hashed?: boolean
  /** Record the digest of the checkpoint's state; reads all of it. */
  readonly digest?: boolean
}

/** A checkpoint as its requester sees it. */
export interface CheckpointInfo {
  readonly lsn: number
  readonly committedAtUs: number
  readonly segmentNumber: number
  readonly tables: number
  /** Bytes of its tables; shared with the live database as long as that keeps them too. */
  readonly bytes: number
  /** False when nothing had changed since the newest. */
  readonly created: boolean
  readonly ms: number
}

/** How checkpoints and log stand. */
export interface KeeperStatus {
  readonly checkpoint:
    | {
        readonly lsn: number
        readonly createdAtUs: number
        readonly segmentNumber: number
        readonly tables: number
      }
    | undefined
  readonly bytesSinceCheckpoint: number
  readonly logBytes: number
  readonly stalled: boolean
  /** How far the log may grow, and what happens then. */
  readonly logLimits: Pick<CheckpointPolicy, 'logBytesMax' | 'logAgeMsMax' | 'logFullPolicy'>
  /** The archives of which `log.filling` told, until the log is well below its limits again. */
  readonly fillingFor: readonly string[]
}
