// What is known of the past, whatever place it lies in, as plain data: the plan is a function of this.
// Model: an environment's history is a tree of timelines. A timeline shares its parent's records up to and including the
// fork LSN. So along one path from the root to a leaf every LSN belongs to exactly one timeline.
import type { BackupManifest, BackupRef, DeltaRef, PieceRef, SegmentRef } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'

/** A place in the history; the commit time is absent where only the log itself could tell it. */
export interface Point {
  readonly lsn: Lsn
  readonly committedAtUs?: number
}

/** A named restore point. */
export interface Mark {
  readonly name: string
  readonly lsn: Lsn
  readonly committedAtUs: number
}

/** Where the bytes of a span come from; the order of the union is the order of preference. */
export type SpanOrigin =
  | { readonly type: 'segment'; readonly segment: SegmentRef }
  | { readonly type: 'pieces'; readonly pieces: readonly PieceRef[] }
  | { readonly type: 'files'; readonly directory: string; readonly path: string; readonly last: boolean }
  | { readonly type: 'backup'; readonly backup: BackupRef }

/** A run of consecutive records on one timeline that can be read from one place. */
export interface Span {
  readonly timeline: number
  /** The segment that holds the records; absent when several segments of one backup do. */
  readonly segmentNumber?: number
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  readonly firstCommittedAtUs?: number
  readonly lastCommittedAtUs: number
  readonly bytes: number
  readonly origin: SpanOrigin
}

/** A backup that replay can start from: its content is exactly the state at `lsn`. */
export interface Base {
  readonly label: string
  readonly timeline: number
  readonly lsn: Lsn
  readonly committedAtUs: number
  readonly bytes: number
  readonly origin:
    | { readonly type: 'archive'; readonly backup: BackupRef }
    | { readonly type: 'directory'; readonly directory: string; readonly manifest: BackupManifest }
}

/** A timeline and where it left its parent. */
export interface Branch {
  readonly timeline: number
  readonly parent?: number
  readonly forkLsn?: Lsn
}

/** All that is known of one environment's past. */
export interface History {
  readonly branches: readonly Branch[]
  readonly spans: readonly Span[]
  readonly bases: readonly Base[]
  /** Shorter ways through spans that are here. Default: none. */
  readonly deltas?: readonly DeltaRef[]
  readonly marks: readonly (Mark & { readonly timeline: number })[]
  /** Records known to have existed, readable or not: a hole before one of these is a loss, not the end. */
  readonly known: readonly { readonly timeline: number; readonly lsn: Lsn }[]
}

/** A parent that nobody knows cannot be followed: such a timeline then is a root of its own. */
export function rooted(branches: readonly Branch[]): readonly Branch[] {
  const known = new Set(branches.map(({ timeline }) => timeline))
  return branches.map((branch) =>
    branch.parent === undefined || known.has(branch.parent) ? branch : { timeline: branch.timeline },
  )
}

/** The LSNs that one timeline contributes to a path, both ends included. */
export interface Stretch {
  readonly timeline: number
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
}

/**
 * The timelines from the root to `timeline`, oldest first, each with the LSNs that are its own; `undefined` when a
 * timeline is unknown or its ancestry is broken.
 */
export function pathTo(branches: readonly Branch[], timeline: number): readonly Stretch[] | undefined {
  const known = new Map(branches.map((branch) => [branch.timeline, branch]))
  const path: Stretch[] = []
  let next: number | undefined = timeline
  let throughLsn = Number.MAX_SAFE_INTEGER
  // A parent always has a smaller number (a recovery takes a number above all others), so that a damaged tree ends too.
  while (next !== undefined) {
    const branch: Branch | undefined = known.get(next)
    if (branch === undefined || (branch.parent !== undefined && branch.parent >= next)) return undefined
    const forkLsn = branch.parent === undefined ? 0 : branch.forkLsn
    if (forkLsn === undefined) return undefined
    path.unshift({ timeline: next, fromLsn: forkLsn + 1, throughLsn })
    throughLsn = Math.min(throughLsn, forkLsn)
    next = branch.parent
  }
  return path
}

/** The newest timeline that holds anything: a number that was only taken (a recovery that died) has no history of its own. */
export function newestTimeline(history: History): number | undefined {
  const numbers = [
    ...history.spans.map((span) => span.timeline),
    ...history.bases.map((base) => base.timeline),
    ...history.known.map((point) => point.timeline),
  ]
  return numbers.length === 0 ? history.branches.at(-1)?.timeline : numbers.reduce((a, b) => Math.max(a, b))
}
