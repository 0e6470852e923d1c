/**
 * Retention in the world of real files. What goes is the plan's to say; that it is not too much, the model says from records, commit
 * times and lines alone, before anything is let go. Afterwards the ledger and the model must name the same states, and a recovery
 * tells which of the two is right. Clocks are drawn: what counts is the commit time since which everything was promised.
 */
import { type Archive, makePromise, type RetentionPromise } from '@timberline/archive'
import { expire, ledgerOf, type RetentionPlan } from '@timberline/recovery'
import * as invariants from './invariants.ts'
import { type HeldBackup, type Line, reachable, type RealArchive } from './real-archive.ts'
import type { Counts } from './counts.ts'

/** A run of retention as it is drawn. */
export interface DrawnRetention {
  /** Everything is to stay since the commit of this record, counted from the last, modulo what there is. */
  readonly back: number
  /** Microseconds beside its commit time. */
  readonly shiftUs: -1 | 0 | 1
  /** How long ago that is by the clock of the machine that runs retention, microseconds. */
  readonly ageUs: number
  /** Of each so long period the first backup is to stay as well, microseconds. */
  readonly everyUs: number | undefined
}

export function textOfRetention({ back, shiftUs, ageUs, everyUs }: DrawnRetention): string {
  const bases = everyUs === undefined ? '' : `, a backup of each ${everyUs} us`
  return `retain(all since record -${back} ${shiftUs} us, ${ageUs} us ago${bases})`
}

/** The archive as it is, and as the model knows it. */
export interface RetentionScene {
  readonly archive: Archive
  readonly held: RealArchive
  /** Every line, the one of the home last. */
  readonly lines: readonly Line[]
  /** How far back everything is promised by the archive itself, microseconds. */
  readonly promisedUs: number | undefined
  readonly counts: Counts
}

/** A window of instants that a plan must leave whole. */
interface Window {
  readonly sinceUs: number
  readonly before: RealArchive
  readonly after: RealArchive
}

/** Lets go what a drawn promise does not need, unless the archive's own promise forbids it; gives what is left. */
export async function retain(scene: RetentionScene, drawn: DrawnRetention): Promise<RealArchive> {
  const { archive, held, lines, promisedUs, counts } = scene
  const sinceUs = timeOf(lines.at(-1), drawn)
  const { ageUs, everyUs } = drawn
  const nowUs = sinceUs + ageUs
  const promise = { instantsUs: ageUs, bases: everyUs === undefined ? [] : [{ everyUs, spanUs: EVER_US }] }
  const options = { archive, promise, now: () => nowUs }
  const { plan, lost } = await expire({ ...options, force: true })
  const after = held.without(plan)
  keepsWindow(lines, { sinceUs, before: held, after })
  keepsBases(held.backups, promise, plan)
  const outcome = await expire({ ...options, apply: true }).then(() => 'applied', invariants.codeOf)
  if (outcome !== 'applied') {
    const isRightly = outcome === 'ARCHIVE_PROMISE_BROKEN' && promisedUs !== undefined && lost.length > 0
    invariants.hold(isRightly, 'retention is refused only for the sake of a promise', { outcome, promisedUs })
    counts.add('retentions refused')
    return held
  }
  if (promisedUs !== undefined) keepsWindow(lines, { sinceUs: nowUs - promisedUs, before: held, after })
  counts.add('retentions')
  counts.add('backups let go', plan.backups.length)
  counts.add('parts of the log let go', plan.segments.length + plan.pieces.length)
  await agreesWithLedger(archive, { lines, held: after, nowUs })
  return after
}

/** Promises in the archive itself; less than before is refused. */
export async function promise(
  { archive, promisedUs = 0 }: RetentionScene,
  instantsUs: number,
): Promise<number> {
  const code = await makePromise(archive, { instantsUs, bases: [] }).then(() => 'made', invariants.codeOf)
  const expected = instantsUs < promisedUs ? 'ARCHIVE_PROMISE_BROKEN' : 'made'
  invariants.hold(code === expected, 'a promise must not shrink by itself', { code, instantsUs, promisedUs })
  return Math.max(promisedUs, instantsUs)
}

/** Longer than all histories. */
const EVER_US = 4e15

function timeOf(line: Line | undefined, { back, shiftUs }: DrawnRetention): number {
  const records = line?.records ?? []
  return (records.at(-1 - (back % Math.max(1, records.length)))?.committedAtUs ?? EVER_US) + shiftUs
}

/** Retention never shrinks the promised window: each state since then that could be had can be had. */
function keepsWindow(lines: readonly Line[], { sinceUs, before, after }: Window): void {
  for (const line of lines) {
    const lastLsn = before.lastLsn(line)
    // A line that was left before then is promised nothing of its own; the one of the home always is.
    const isPromised = line === lines.at(-1) || (lastLsn > 0 && timeAt(line, lastLsn) > sinceUs)
    if (!isPromised) continue
    const later = line.records.findIndex(({ committedAtUs }) => committedAtUs > sinceUs)
    const stateThen = later < 0 ? line.records.length : later
    const could = reachable(line, before)
    const can = reachable(line, after)
    const isLost = (was: boolean, lsn: number): boolean => was && can[lsn] !== true && lsn >= stateThen
    const lostLsn = could.findIndex(isLost)
    invariants.hold(lostLsn < 0, 'retention must not shrink the promised window', {
      timeline: line.timeline,
      sinceUs,
      stateThen,
      lostLsn,
    })
  }
}

/** Of each period that was promised a backup the oldest stays, on each timeline. */
function keepsBases(held: readonly HeldBackup[], { bases }: RetentionPromise, plan: RetentionPlan): void {
  const gone = new Set(plan.backups.map(({ label }) => label))
  const endUs = ({ line, endLsn }: HeldBackup): number => timeAt(line, endLsn)
  for (const { everyUs } of bases) {
    const periodOf = (backup: HeldBackup): string =>
      `${backup.line.timeline}/${Math.floor(endUs(backup) / everyUs)}`
    for (const backup of held) {
      const same = held.filter((other) => periodOf(other) === periodOf(backup))
      const firstUs = Math.min(...same.map(endUs))
      const stays = same.some((other) => endUs(other) === firstUs && !gone.has(other.label))
      invariants.hold(stays, 'retention must not let go a promised backup', { label: backup.label, everyUs })
    }
  }
}

/** The ledger names exactly the states that the model says are there, line by line. */
async function agreesWithLedger(
  archive: Archive,
  { lines, held, nowUs }: { lines: readonly Line[]; held: RealArchive; nowUs: number },
): Promise<void> {
  const { ranges } = ledgerOf(await archive.catalogue(), nowUs)
  for (const line of lines) {
    const { timeline, parent, forkLsn } = line
    const own = ranges.filter((range) => range.timeline === timeline)
    // The state at the fork is the parent's.
    const firstLsn = parent === undefined ? 0 : forkLsn + 1
    for (const [lsn, expected] of reachable(line, held).entries()) {
      if (lsn < firstLsn) continue
      const isNamed = own.some(({ fromLsn, throughLsn }) => fromLsn <= lsn && lsn <= throughLsn)
      invariants.hold(isNamed === expected, 'the ledger must name exactly the states that can be had', {
        timeline,
        lsn,
        expected,
      })
    }
  }
}

function timeAt(line: Line, lsn: number): number {
  return line.records[lsn - 1]?.committedAtUs ?? 0
}
