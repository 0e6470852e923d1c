import { BACKUP_LABEL, RECOVERY_LABEL } from '@timberline/engine'
import { type FileSystem, nodeFileSystem } from '@timberline/wal'
import { join, resolve } from 'node:path'
import { buildHome } from './build-home.ts'
import { atBoundary, recoveryError } from '../errors.ts'
import { openSource, type RecoveryFrom } from '../source/open-source.ts'
import type { Point } from '../history/history.ts'
import { planHistory, type PlanOptions, type RecoveryGap, type RecoveryPlan } from '../plan/plan.ts'
import type { RecoveryProgress } from './progress.ts'
import { decodeReport, type RecoveryReport } from './report.ts'
import type { RecoverySource } from '../source/source.ts'
import { checkedTarget, formatTarget, formatTimeUs, type Target } from '../plan/target.ts'
import { throwIfAborted } from '../transfer.ts'
import { openWorkplace, type Workplace } from './workplace.ts'

/** What to recover, from where and to where. */
export interface RecoverOptions {
  /** Where base and log come from. */
  readonly from: RecoveryFrom
  /** The new home: a folder that is missing or empty. The backup's own folder makes that backup the home, in place. */
  readonly home: string
  /** Default: the latest that the timeline holds. */
  readonly target?: Target
  /** The timeline to follow. Default: the newest that holds anything. */
  readonly timeline?: number
  /** The label of the backup to start from. Default: the newest at or before the target. */
  readonly base?: string
  /** Apply compacted deltas where they shorten the way. Without, every record is replayed. Default: true. */
  readonly deltas?: boolean
  /** Compute the digest of the result, and compare with those that were recorded. Default: true. */
  readonly digest?: boolean
  /** The digest that the result must have; for proofs. */
  readonly expectedDigest?: string
  /** For proofs: the new timeline is not entered in the archive, so this home must never archive. Default: false. */
  readonly scratch?: boolean
  readonly signal?: AbortSignal
  /** Called at most ten times a second; must not throw. */
  readonly onProgress?: (progress: RecoveryProgress) => void
  readonly fileSystem?: FileSystem
}

/**
 * Makes a home as of the target: restores the base, replays the log exactly through the target, compares digests, begins a new
 * timeline. The home opens only when all of it is done; dying on the way leaves it marked, and the same call begins anew.
 *
 * @throws RECOVERY_NO_BASE, RECOVERY_LOG_GAP, RECOVERY_TARGET_AFTER_END and the other refusals of the plan
 * @throws RECOVERY_TARGET_NOT_EMPTY, ENGINE_HOME_LOCKED, RECOVERY_SOURCE_DAMAGED, RECOVERY_LOG_DAMAGED,
 * RECOVERY_DIGEST_MISMATCH, RECOVERY_IO_FAILED, RECOVERY_ABORTED
 *
 * @example
 * const report = await recover({
 *   from: { archive },
 *   home: './restored',
 *   target: { type: 'time', atUs: Date.parse('2026-11-24T18:30:00Z') * 1000, edge: 'before' },
 * })
 * report.lastApplied // the last transaction that is in
 * report.firstDropped // the first that is not
 */
export function recover(options: RecoverOptions): Promise<RecoveryReport> {
  return atBoundary(options.signal, () => recoverInto(options))
}

async function recoverInto(options: RecoverOptions): Promise<RecoveryReport> {
  const target = checkedTarget(options.target ?? { type: 'latest' })
  const fileSystem = options.fileSystem ?? nodeFileSystem
  const home = resolve(options.home)
  throwIfAborted(options.signal)
  const inPlace = options.from.backup !== undefined && resolve(options.from.backup) === home
  if (inPlace) await requireBackup(home, fileSystem)
  const request = requestOf(options, target)
  // The source is looked at first, so that a mistyped path leaves nothing behind. In place, an interrupted installation may
  // have taken it apart already, and only the workplace knows.
  const planned = inPlace ? undefined : await planFrom(options, target)
  const workplace = await openWorkplace(home, { request, inPlace, fileSystem })
  try {
    if (workplace.finished !== undefined) return { ...decodeReport(workplace.finished), resumed: true }
    const { source, plan } = planned ?? (await planFrom(options, target))
    return await buildAndInstall(workplace, { source, plan, options: { ...options, fileSystem } })
  } finally {
    await workplace.release()
  }
}

/** A plan, or why there is none, with what the source told of itself. */
export type PlannedRecovery = (RecoveryPlan | RecoveryGap) & {
  /** What the recovery will have to get by without, such as volumes that parity makes up for; each a sentence. */
  readonly warnings: readonly string[]
}

/**
 * Plans as `recover` would, and changes nothing.
 *
 * @throws the refusals of the source; those of the plan are its result
 */
export async function planFor(
  options: Pick<RecoverOptions, 'from' | 'target' | 'timeline' | 'base' | 'deltas' | 'fileSystem'>,
): Promise<PlannedRecovery> {
  const target = checkedTarget(options.target ?? { type: 'latest' })
  const source = await openSource(options.from, options.fileSystem ?? nodeFileSystem)
  const plan = planHistory(await source.history(), target, choicesOf(options))
  return { ...plan, warnings: source.warnings ?? [] }
}

/** The error that a gap is thrown as. */
export function gapError(gap: RecoveryGap): Error {
  const { target, missing, before, after, known, timeline } = gap
  const nearest = [pointInWords('before', before), pointInWords('after', after)]
  return recoveryError(gap.code, [gap.message, ...nearest].filter((part) => part !== '').join('; '), {
    details: {
      target: formatTarget(target),
      timeline,
      missingFromLsn: missing?.fromLsn,
      missingThroughLsn: missing?.throughLsn,
      missingTimeline: missing?.timeline,
      reachableBeforeLsn: before?.lsn,
      reachableBeforeUs: before?.committedAtUs,
      reachableAfterLsn: after?.lsn,
      reachableAfterUs: after?.committedAtUs,
      known,
    },
  })
}

function pointInWords(side: string, point: Point | undefined): string {
  if (point === undefined) return ''
  const { lsn, committedAtUs } = point
  return `nearest ${side}: lsn ${lsn}${committedAtUs === undefined ? '' : ` of ${formatTimeUs(committedAtUs)}`}`
}

async function planFrom(
  options: RecoverOptions,
  target: Target,
): Promise<{ source: RecoverySource; plan: RecoveryPlan }> {
  const source = await openSource(options.from, options.fileSystem ?? nodeFileSystem, options.signal)
  const plan = planHistory(await source.history(), target, choicesOf(options))
  if (!plan.possible) throw gapError(plan)
  return { source, plan }
}

async function buildAndInstall(
  workplace: Workplace,
  work: {
    readonly source: RecoverySource
    readonly plan: RecoveryPlan
    readonly options: RecoverOptions & { readonly fileSystem: FileSystem }
  },
): Promise<RecoveryReport> {
  const { source, plan, options } = work
  const report = await buildHome(workplace, { source, plan, options })
  const whole = { ...report, home: workplace.home, inPlace: workplace.inPlace }
  await workplace.install(whole)
  return whole
}

async function requireBackup(home: string, fileSystem: FileSystem): Promise<void> {
  const isFolder = (await fileSystem.status(home))?.isDirectory === true
  for (const label of [BACKUP_LABEL, RECOVERY_LABEL]) {
    if (isFolder && (await fileSystem.status(join(home, label))) !== undefined) return
  }
  throw recoveryError('RECOVERY_SOURCE_MISSING', 'no backup is there', {
    details: { path: join(home, BACKUP_LABEL) },
  })
}

function choicesOf({
  timeline,
  base,
  deltas,
}: Pick<RecoverOptions, 'timeline' | 'base' | 'deltas'>): PlanOptions {
  return {
    ...(timeline === undefined ? {} : { timeline }),
    ...(base === undefined ? {} : { base }),
    ...(deltas === undefined ? {} : { deltas }),
  }
}

/** What distinguishes one recovery from another, for the label. */
function requestOf({ from, timeline, base }: RecoverOptions, target: Target): string {
  return JSON.stringify({
    archive: from.archive?.store.url,
    backup: from.backup === undefined ? undefined : resolve(from.backup),
    volumes: from.volumes,
    target: formatTarget(target),
    timeline,
    base,
  })
}
