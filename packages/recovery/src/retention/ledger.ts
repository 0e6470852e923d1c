// One answer to "what can I get back, and how soon". Pure: the catalogue and the clock decide.
import type { BackupRef, Catalogue, RecoveryProof, RetentionPromise } from '@timberline/archive'
import { invariant, type Lsn } from '@timberline/wal'
import { planRecovery } from '../plan/catalogue-history.ts'
import type { RecoveryPrediction } from '../plan/plan.ts'
import { restorability, type Restorability } from '../plan/restorability.ts'
import { promiseGaps, promisedStates, type PromisedLoss } from './retention-plan.ts'

/** A recovery as it would be now. */
export interface PredictedRecovery extends RecoveryPrediction {
  /** Milliseconds by the pace of the newest proof; absent without one. */
  readonly ms?: number
}

/** What the archive promises, and whether it can keep it. */
export interface PromiseStatus {
  readonly promise: RetentionPromise
  /** Promised states without a way to them. */
  readonly gaps: readonly PromisedLoss[]
  /** Whether the archive reaches as far back as it promises; a young one does not yet. */
  readonly isFull: boolean
}

/** What an archive can give back. */
export interface Ledger extends Restorability {
  /** The timeline that a recovery follows unless told otherwise; absent when nothing is archived. */
  readonly timeline?: number
  /** The last state of it that can be recovered. */
  readonly newest?: { readonly lsn: Lsn; readonly committedAtUs?: number }
  /** The backup that a recovery of that state begins with, and its age in microseconds. */
  readonly base?: { readonly backup: BackupRef; readonly ageUs: number }
  readonly predicted?: PredictedRecovery
  /** The newest rehearsed recovery. */
  readonly proof?: RecoveryProof
  readonly promise?: PromiseStatus
}

/** Works out what `catalogue` can give back at `nowUs`. */
export function ledgerOf(catalogue: Catalogue, nowUs: number): Ledger {
  const { ranges, holes } = restorability(catalogue)
  const { proof } = catalogue
  const more = {
    ranges,
    holes,
    ...(proof === undefined ? {} : { proof }),
    ...(catalogue.promise === undefined
      ? {}
      : { promise: promiseStatus(catalogue, catalogue.promise, nowUs) }),
  }
  const timeline = planRecovery(catalogue, { type: 'latest' }).timeline
  const last = ranges.findLast((range) => range.timeline === timeline)
  if (timeline === undefined || last === undefined) return more
  const plan = planRecovery(catalogue, { type: 'lsn', lsn: last.throughLsn, edge: 'through' }, { timeline })
  invariant(plan.possible, 'a state within a range can be recovered')
  const { throughLsn: lsn, throughCommittedAtUs: committedAtUs } = last
  const backup = catalogue.backups.find(({ label }) => label === plan.base.label)
  invariant(backup, 'the base of an archive is one of its backups')
  return {
    ...more,
    timeline,
    // v8 ignore next -- the newest state ends a span or is a base, and both have times
    newest: { lsn, ...(committedAtUs === undefined ? {} : { committedAtUs }) },
    base: { backup, ageUs: Math.max(0, nowUs - backup.committedAtUs) },
    predicted: predict(plan.predicted, proof),
  }
}

/** What moved bytes and what replayed records, each at the pace of the proof; the rest of its time does not grow. */
function predict(prediction: RecoveryPrediction, proof: RecoveryProof | undefined): PredictedRecovery {
  if (proof === undefined) return prediction
  const { totalUs, restoreUs, replayUs } = proof
  const restore = proof.baseBytes === 0 ? 0 : (restoreUs / proof.baseBytes) * prediction.baseBytes
  const writes = prediction.records + prediction.deltaEntries
  const replay = proof.records === 0 ? 0 : (replayUs / proof.records) * writes
  const fixed = Math.max(0, totalUs - restoreUs - replayUs)
  return { ...prediction, ms: (restore + replay + fixed) / 1000 }
}

function promiseStatus(catalogue: Catalogue, promise: RetentionPromise, nowUs: number): PromiseStatus {
  return {
    promise,
    gaps: promiseGaps(catalogue, promise, nowUs),
    isFull: promisedStates(catalogue, promise, nowUs).every(({ isFull }) => isFull),
  }
}
