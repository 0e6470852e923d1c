/**
 * Retention in a history. What goes is the plan's to say; that it is not too much, the model says from the lines and commit times alone,
 * before anything is let go. From then on the disk owes what stays, and nothing else of what was promised.
 */
import assert from 'node:assert/strict'
import type { Archive, PieceRef, SegmentRef } from '@timberline/archive'
import { expire, type ExpireReport, type RetentionPlan } from '@timberline/recovery'
import type { MadeBackup } from './history-promises.ts'
import type { Line } from './history-line.ts'

/** Behind every commit, however the clock of the machine goes. */
const NOW_US = 4e15

type Part = SegmentRef | PieceRef

/** What a run of retention is held against. */
export interface RetentionScene {
  readonly archive: Archive
  /** Every line, the one of the home last. */
  readonly lines: readonly Line[]
  /** Those in the archive, in the order in which they were made. */
  readonly backups: readonly MadeBackup[]
}

/** Retention that is about to begin. */
export interface Retention {
  readonly plan: RetentionPlan
  readonly apply: () => Promise<ExpireReport>
}

/** Plans to keep every instant since the checkpoint of the newest backup; without a backup, not even the newest state. */
export async function planOf(scene: RetentionScene): Promise<Retention> {
  const { archive, backups } = scene
  const newest = backups.at(-1)
  const sinceUs = newest === undefined ? NOW_US : timeOf(newest)
  const promise = { instantsUs: NOW_US - sinceUs, bases: [] }
  const options = { archive, promise, now: () => NOW_US }
  const { plan } = await expire(options)
  assertKept(plan, scene, sinceUs)
  return { plan, apply: () => expire({ ...options, apply: true }) }
}

/** Where the archive begins on a line, once the plan is carried out. */
export function lessen(line: Line, plan: RetentionPlan): void {
  const own = (part: Part): boolean => part.timeline === line.timeline && hasRecords(part)
  const gone = [...plan.segments, ...plan.pieces].filter(own)
  if (gone.length === 0) return
  const goneLsn = Math.max(...gone.map(({ lastLsn }) => lastLsn))
  const stay = [...plan.after.segments, ...plan.after.pieces].filter(own)
  const firstLsn = Math.min(goneLsn + 1, ...stay.map((part) => part.firstLsn))
  assert.equal(firstLsn, goneLsn + 1, 'what goes of a line is its beginning')
  line.archivedFromLsn = firstLsn
}

/** A line that has anything since then needs the newest backup that is not younger, and all that follows it on its path. */
function assertKept(plan: RetentionPlan, { lines, backups }: RetentionScene, sinceUs: number): void {
  const labels = new Set(plan.backups.map(({ label }) => label))
  const goes = backups.filter(({ label }) => labels.has(label))
  assert.equal(goes.length, plan.backups.length, 'only backups that were made can go')
  assert.ok(goes.length === 0 || !goes.includes(backups.at(-1) as MadeBackup), 'the newest backup stays')
  for (const line of lines.filter((one) => isPromised(one, backups, { sinceUs, newest: lines.at(-1) }))) {
    const ends = pathOf(line)
    const isOnPath = (backup: MadeBackup): boolean => backup.baseLsn <= (ends.get(backup.line) ?? -1)
    const old = backups.filter((backup) => isOnPath(backup) && timeOf(backup) <= sinceUs)
    const baseLsn = Math.max(-1, ...old.map((backup) => backup.baseLsn))
    const stays = backups.filter((backup) => isOnPath(backup) && !goes.includes(backup))
    const isThere = baseLsn < 0 || stays.some((backup) => backup.baseLsn === baseLsn)
    assert.ok(isThere, `the backup at ${String(baseLsn)} goes, line ${String(line.timeline)} needs it`)
    for (const backup of goes.filter(isOnPath)) {
      assert.ok(backup.baseLsn <= baseLsn, `backup ${backup.label} goes, though it is younger`)
    }
    for (const part of [...plan.segments, ...plan.pieces].filter(hasRecords)) {
      const [, endLsn] = [...ends].find(([{ timeline }]) => timeline === part.timeline) ?? [line, 0]
      const isNeeded = part.firstLsn <= endLsn && Math.min(part.lastLsn, endLsn) > baseLsn
      assert.ok(!isNeeded, `${part.name} goes, line ${String(line.timeline)} needs it`)
    }
  }
}

/** The line of the home; one begun since then; one of which the archive has a commit since then. */
function isPromised(
  line: Line,
  backups: readonly MadeBackup[],
  { sinceUs, newest }: { readonly sinceUs: number; readonly newest: Line | undefined },
): boolean {
  const ends = backups.filter((backup) => backup.line === line).map(({ endLsn }) => endLsn)
  const lastLsn = Math.max(line.shippedLsn, ...ends)
  const isWritten = lastLsn >= line.firstLsn && (line.times[lastLsn] ?? 0) > sinceUs
  const isBegun = line.parent !== undefined && (line.times[line.firstLsn - 1] ?? 0) >= sinceUs
  return line === newest || isWritten || isBegun
}

/** The lines through which one goes, each with the last record that belongs to the path. */
function pathOf(line: Line): ReadonlyMap<Line, number> {
  const ends = new Map<Line, number>([[line, Infinity]])
  let endLsn = Infinity
  for (let at = line; at.parent !== undefined; at = at.parent) {
    endLsn = Math.min(endLsn, at.firstLsn - 1)
    ends.set(at.parent, endLsn)
  }
  return ends
}

function timeOf({ line, baseLsn }: MadeBackup): number {
  return line.times[baseLsn] ?? 0
}

function hasRecords({ firstLsn, lastLsn }: Part): boolean {
  return lastLsn >= firstLsn
}
