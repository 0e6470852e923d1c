import type { Confirmation } from '@timberline/wal'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { engineError } from '../errors.ts'

/** When checkpoints are taken by themselves, and how far the log may grow. */
export interface CheckpointPolicy {
  /** A checkpoint is taken once so many bytes were appended since the last; default 64 MiB; 0: only by age and on request. */
  readonly checkpointBytes: number
  /** A checkpoint is taken once the last is so old and anything was appended since; default 300,000 ms; 0: never by age. */
  readonly checkpointAgeMs: number
  /** The log folder may grow to this; default 16 GiB; 0: without limit. */
  readonly logBytesMax: number
  /** A segment that only an archive still needs is kept so long after it was sealed; default 0: without limit; in ms. */
  readonly logAgeMsMax: number
  /**
   * What happens at these limits, when an archive does not confirm: `stall` lets commits wait until it does, `release` removes
   * the oldest segments that a late archive lacks, as few as it must, and says so by an event. Either is announced at four fifths
   * of the limit. Segments under a live hold, and those needed to go on from the newest checkpoint, stay in any case.
   */
  readonly logFullPolicy: 'stall' | 'release'
}

const MIB = 1024 * 1024

/** The policy where nothing else is said. */
export const CHECKPOINT_POLICY: CheckpointPolicy = Object.freeze({
  checkpointBytes: 64 * MIB,
  checkpointAgeMs: 300_000,
  logBytesMax: 16 * 1024 * MIB,
  logAgeMsMax: 0,
  logFullPolicy: 'stall',
})

/**
 * The whole policy: what was given, and defaults for the rest.
 *
 * @throws ENGINE_OPTION_INVALID
 */
export function completePolicy(given: Partial<CheckpointPolicy> = {}): CheckpointPolicy {
  const policy = { ...CHECKPOINT_POLICY, ...given }
  for (const name of ['checkpointBytes', 'checkpointAgeMs', 'logBytesMax', 'logAgeMsMax'] as const) {
    if (!Number.isSafeInteger(policy[name]) || policy[name] < 0) throw refused(name, policy[name])
  }
  if (policy.logFullPolicy !== 'stall' && policy.logFullPolicy !== 'release') {
    throw refused('logFullPolicy', policy.logFullPolicy)
  }
  return policy
}

/**
 * Segments below the returned number may be removed: they are below the checkpoint, and every configured archive holds
 * them. An archive is configured by its confirmation file; one of another timeline confirms nothing of this one.
 */
export function removableBelow(
  checkpoint: Pick<CheckpointManifest, 'segmentNumber' | 'timeline'>,
  confirmations: readonly Confirmation[],
): number {
  const confirmed = confirmations.map(({ timeline, segmentNumber }) =>
    timeline === checkpoint.timeline ? segmentNumber + 1 : 0,
  )
  return Math.min(checkpoint.segmentNumber, ...confirmed)
}

function refused(name: string, value: number | string): Error {
  return engineError('ENGINE_OPTION_INVALID', `${name} is out of bounds`, { details: { [name]: value } })
}
