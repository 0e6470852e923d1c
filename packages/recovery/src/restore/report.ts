import type { StateDigest } from '@timberline/engine'
import type { Lsn } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import type { TransactionBrief } from '../history/transaction-brief.ts'

/** A digest that the recovery passed and that had been recorded before: they were equal. */
export interface DigestProof {
  readonly lsn: Lsn
  readonly hex: string
  /** Where it had been recorded. */
  readonly recordedBy: 'backup' | 'caller'
}

/** Deltas that a recovery applied. */
export interface UsedDeltas {
  readonly count: number
  /** Keys that they wrote or removed. */
  readonly entries: number
  /** Log records that they stood for. */
  readonly records: number
}

/** What a recovery did. */
export interface RecoveryReport {
  readonly home: string
  readonly environmentId: string
  /** The target in words. */
  readonly target: string
  readonly source: string
  readonly base: { readonly label: string; readonly timeline: number; readonly lsn: Lsn }
  /** The new timeline, and where it left its parent. */
  readonly timeline: number
  readonly parent: { readonly timeline: number; readonly forkLsn: Lsn }
  /** The state is exactly the one after this record. */
  readonly lsn: Lsn
  readonly committedAtUs: number
  /** The last record that is in, absent when nothing was replayed; the state then is the base's. */
  readonly lastApplied?: TransactionBrief
  /** The first record that is not in, absent when the history has none. */
  readonly firstDropped?: TransactionBrief
  /** Log records replayed one by one. */
  readonly records: number
  /** Absent when none was applied. */
  readonly deltas?: UsedDeltas
  readonly baseBytes: number
  readonly logBytes: number
  readonly digest?: StateDigest
  readonly proofs: readonly DigestProof[]
  /** What could not be told, and why; never anything that makes the result doubtful. */
  readonly warnings: readonly string[]
  readonly durationsMs: {
    readonly restore: number
    readonly replay: number
    readonly digest: number
    readonly total: number
  }
  /** A backup folder became the home. */
  readonly inPlace: boolean
  /** An interrupted run had done all but the last moves. */
  readonly resumed: boolean
}

/** A report out of a label, which only this package writes. */
export function decodeReport(value: unknown): RecoveryReport {
  if (
    typeof value === 'object' &&
    value !== null &&
    'lsn' in value &&
    'timeline' in value &&
    'proofs' in value
  ) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the label is ours, and only printed from here on
    return value as RecoveryReport
  }
  throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the label of a recovery holds no report')
}
