// An archive's catalogue as a history: which records its objects can supply. Pure.
import type { BackupRef, Catalogue, PieceRef } from '@timberline/archive'
import { type Base, type Branch, type History, rooted, type Span } from '../history/history.ts'
import { planHistory, type PlanOptions, type RecoveryGap, type RecoveryPlan } from './plan.ts'
import type { Target } from './target.ts'

/**
 * How to recover `target` from what an archive holds, or exactly why that is impossible and which points are the nearest
 * that can be had. Pure: nothing is read and nothing is written.
 *
 * @throws RECOVERY_TARGET_INVALID
 */
export function planRecovery(
  catalogue: Catalogue,
  target: Target,
  options: PlanOptions = {},
): RecoveryPlan | RecoveryGap {
  const history = historyOf(catalogue)
  return planHistory({ ...history, branches: rooted(history.branches) }, target, options)
}

/** The history that a catalogue tells. */
export function historyOf(catalogue: Catalogue): History {
  const { segments, pieces, backups, deltas, marks } = catalogue
  return {
    branches: branchesOf(catalogue),
    spans: [
      ...segments
        .filter(hasRecords)
        .map((segment): Span => ({ ...segment, origin: { type: 'segment', segment } })),
      ...[...groupPieces(pieces)].flatMap(piecesSpan),
      ...backups.flatMap(backupLog),
    ],
    bases: backups.map(baseOf),
    deltas,
    marks,
    known: [
      ...[...segments, ...pieces]
        .filter(hasRecords)
        .map(({ timeline, lastLsn }) => ({ timeline, lsn: lastLsn })),
      ...backups.map(({ timeline, endLsn }) => ({ timeline, lsn: endLsn })),
    ],
  }
}

/** A backup may be there before any shipper told of its timeline; then that is a root as far as the archive knows. */
function branchesOf({ timelines, backups }: Catalogue): readonly Branch[] {
  const told = new Set(timelines.map(({ timeline }) => timeline))
  const untold = new Set(backups.map(({ timeline }) => timeline).filter((timeline) => !told.has(timeline)))
  return [...timelines.map(branchOf), ...[...untold].map((timeline) => ({ timeline }))]
}

function branchOf({ timeline, parent, forkLsn }: Catalogue['timelines'][number]): Branch {
  return parent === undefined || forkLsn === undefined ? { timeline } : { timeline, parent, forkLsn }
}

function baseOf(backup: BackupRef): Base {
  const { label, timeline, lsn, committedAtUs, bytes } = backup
  return { label, timeline, lsn, committedAtUs, bytes, origin: { type: 'archive', backup } }
}

/** A backup carries the log from its checkpoint to its end: it can be recovered without any other object. */
function backupLog(backup: BackupRef): Span[] {
  if (backup.endLsn <= backup.lsn) return []
  return [
    {
      timeline: backup.timeline,
      firstLsn: backup.lsn + 1,
      lastLsn: backup.endLsn,
      lastCommittedAtUs: backup.endCommittedAtUs,
      bytes: 0,
      origin: { type: 'backup', backup },
    },
  ]
}

function groupPieces(pieces: readonly PieceRef[]): Iterable<readonly PieceRef[]> {
  const groups = new Map<string, PieceRef[]>()
  for (const piece of pieces) {
    const key = `${piece.timeline}/${piece.segmentNumber}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [piece])
    else group.push(piece)
  }
  return groups.values()
}

/**
 * The readable beginning of a segment. Frames are bound to their segment by its header, so that pieces behind a hole, or
 * without the first one, cannot be read; they are known all the same, which makes the hole a gap.
 */
function piecesSpan(group: readonly PieceRef[]): Span[] {
  const used: PieceRef[] = []
  let position = 0
  for (const piece of group.toSorted((a, b) => a.position - b.position || b.endPosition - a.endPosition)) {
    if (piece.position > position) break
    if (piece.endPosition <= position) continue
    used.push(piece)
    position = piece.endPosition
  }
  const withRecords = used.filter(hasRecords)
  const [first] = withRecords
  const last = withRecords.at(-1)
  if (first === undefined || last === undefined) return []
  return [
    {
      timeline: first.timeline,
      segmentNumber: first.segmentNumber,
      firstLsn: first.firstLsn,
      lastLsn: last.lastLsn,
      lastCommittedAtUs: last.lastCommittedAtUs,
      bytes: position,
      origin: { type: 'pieces', pieces: used },
    },
  ]
}

function hasRecords({ firstLsn, lastLsn }: { readonly firstLsn: number; readonly lastLsn: number }): boolean {
  return lastLsn >= firstLsn
}
