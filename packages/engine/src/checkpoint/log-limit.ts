// What the limits of the log ask for, as a function of its files and the archives' word. Bytes bound the disk; time bounds how long a
// dead archive is waited for where the disk is large.
import type { Confirmation } from '@timberline/wal'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { removableBelow } from './checkpoint-policy.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'

/** One file of the log. */
export interface LogPart {
  readonly segmentNumber: number
  readonly bytes: number
  /** When it was last written to: of a sealed segment, when it was sealed. */
  readonly writtenAtMs: number
}

/** The log, and how far archives have it. */
export interface LogState {
  /** Ascending. */
  readonly parts: readonly LogPart[]
  readonly checkpoint: Pick<CheckpointManifest, 'segmentNumber' | 'timeline'>
  readonly confirmations: readonly Confirmation[]
  readonly nowMs: number
}

/** One limit that is exceeded, and what `release` would take because of it. */
export interface Excess {
  readonly limit: 'bytes' | 'age'
  /** Segments below this one, oldest first and no more than it must be. */
  readonly releaseBelow: number
  /** The archives that hold the log back at this limit; with `release`, those that would lose log. */
  readonly archives: readonly string[]
}

/** How near the log is to its limits. */
export interface LogReach {
  readonly logBytes: number
  /** How long the oldest segment has been sealed that is kept for an archive alone; 0 when there is none. */
  readonly logAgeMs: number
  /** 1 at the nearest limit. */
  readonly share: number
  /** The archives that lack the oldest segment which is kept for an archive alone. */
  readonly archives: readonly string[]
  /** The archives that lack any segment which is kept for an archive alone. */
  readonly behind: readonly string[]
  readonly excesses: readonly Excess[]
}

/** Judges the log by its limits. */
export function reachOf(
  state: LogState,
  { logBytesMax, logAgeMsMax }: Pick<CheckpointPolicy, 'logBytesMax' | 'logAgeMsMax'>,
): LogReach {
  const { parts, checkpoint, confirmations, nowMs } = state
  const logBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  const confirmedBelow = removableBelow(checkpoint, confirmations)
  const kept = parts.filter(
    ({ segmentNumber }) => segmentNumber >= confirmedBelow && segmentNumber < checkpoint.segmentNumber,
  )
  const ageOf = ({ writtenAtMs }: LogPart): number => Math.max(0, nowMs - writtenAtMs)
  const logAgeMs = kept[0] === undefined ? 0 : ageOf(kept[0])
  const lacking = (below: number): readonly string[] => archivesLacking(state, below)
  const archives = lacking((kept[0]?.segmentNumber ?? -1) + 1)
  const behind = lacking(checkpoint.segmentNumber)
  const shares = [
    logBytesMax > 0 ? logBytes / logBytesMax : 0,
    logAgeMsMax > 0 ? logAgeMs / logAgeMsMax : 0,
  ] as const
  const excesses: Excess[] = []
  if (shares[0] > 1) {
    let left = logBytes
    const taken = kept.filter(({ bytes }) => {
      const isTaken = left > logBytesMax
      if (isTaken) left -= bytes
      return isTaken
    })
    const releaseBelow = (taken.at(-1)?.segmentNumber ?? -1) + 1
    excesses.push({ limit: 'bytes', releaseBelow, archives: lacking(releaseBelow) })
  }
  if (shares[1] > 1) {
    const old = kept.filter((part) => ageOf(part) > logAgeMsMax)
    const releaseBelow = (old.at(-1)?.segmentNumber ?? -1) + 1
    excesses.push({ limit: 'age', releaseBelow, archives: lacking(releaseBelow) })
  }
  return { logBytes, logAgeMs, share: Math.max(...shares), archives, behind, excesses }
}

/** The archives that lack any segment which is there and lies below the number. */
function archivesLacking({ parts, checkpoint, confirmations }: LogState, below: number): readonly string[] {
  return confirmations
    .filter((confirmation) => {
      const from = removableBelow(checkpoint, [confirmation])
      return parts.some(({ segmentNumber }) => segmentNumber >= from && segmentNumber < below)
    })
    .map(({ name }) => name)
}
