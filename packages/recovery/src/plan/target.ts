import { inspect } from 'node:util'
import type { Lsn } from '@timberline/wal'
import { recoveryError } from '../errors.ts'

/** Whether the named record itself is the first one dropped (`before`) or the last one applied (`through`). */
export type Edge = 'before' | 'through'

/**
 * The instant to recover to. Nothing is implied: `latest` is the end of the timeline, and each other target says whether
 * the record it names is kept. Times are integer microseconds since the epoch; commit times strictly increase, so a time
 * names one place in the log.
 */
export type Target =
  | { readonly type: 'latest' }
  | { readonly type: 'lsn'; readonly lsn: Lsn; readonly edge: Edge }
  | { readonly type: 'time'; readonly atUs: number; readonly edge: Edge }
  | { readonly type: 'mark'; readonly name: string; readonly edge: Edge }

/**
 * Returns the target when it is well formed.
 *
 * @throws RECOVERY_TARGET_INVALID
 */
export function checkedTarget(target: Target): Target {
  switch (target.type) {
    case 'latest':
      return target
    case 'lsn':
      return isCount(target.lsn) && isEdge(target.edge) ? target : refuse(target)
    case 'time':
      return isCount(target.atUs) && isEdge(target.edge) ? target : refuse(target)
    case 'mark':
      return typeof target.name === 'string' && target.name !== '' && isEdge(target.edge)
        ? target
        : refuse(target)
    default:
      return refuse(target)
  }
}

/** Whether a time target drops a record that was committed at `committedAtUs`. */
export function isDroppedAt(committedAtUs: number, { atUs, edge }: Target & { type: 'time' }): boolean {
  return edge === 'through' ? committedAtUs > atUs : committedAtUs >= atUs
}

/** The target in words: `before lsn 17`, `through mark release-4`, `latest`. */
export function formatTarget(target: Target): string {
  switch (target.type) {
    case 'latest':
      return 'latest'
    case 'lsn':
      return `${target.edge} lsn ${target.lsn}`
    case 'time':
      return `${target.edge} time ${formatTimeUs(target.atUs)}`
    case 'mark':
      return `${target.edge} mark ${target.name}`
  }
}

/** A commit time as ISO 8601 in UTC with all six digits of the microsecond. */
export function formatTimeUs(atUs: number): string {
  const milliseconds = Math.floor(atUs / 1000)
  if (Math.abs(milliseconds) > 8.64e15) return `${atUs} us`
  const rest = String(atUs - milliseconds * 1000).padStart(3, '0')
  return new Date(milliseconds).toISOString().replace('Z', `${rest}Z`)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function isEdge(edge: unknown): boolean {
  return edge === 'before' || edge === 'through'
}

function refuse(target: unknown): never {
  throw recoveryError('RECOVERY_TARGET_INVALID', 'the recovery target is not well formed', {
    // Whatever it is: JSON would fail on big integers and on depth.
    details: { target: inspect(target, { depth: 1, breakLength: Infinity }) },
  })
}
