import type { Archive } from '@timberline/archive'
import { controlCall } from '@timberline/engine'
import { type Lsn, TimberlineError } from '@timberline/wal'
import { type CheckResult, runCheck } from './check-command.ts'
import { openOnce } from '../restore/open-once.ts'
import type { RecoveryProgress } from '../restore/progress.ts'
import { recover } from '../restore/recover.ts'
import type { RecoveryReport } from '../restore/report.ts'
import { makeScratch, type Scratch } from '../scratch.ts'
import { formatTimeUs } from '../plan/target.ts'

/** What to prove, and how. */
export interface DrillOptions {
  readonly archive: Archive
  /** Where to restore: a folder of its own is made there, and removed. Default: the system's temporary folder. */
  readonly scratch?: string
  /** A shell command of the user's that looks at the recovered home (`TIMBERLINE_HOME`); exit code 0 is well. */
  readonly check?: string
  /** How long the check may take, in milliseconds. Default: 600,000. */
  readonly checkTimeoutMs?: number
  /** The live home, if it runs on this machine: then the recovery point is measured against it, not by the clock. */
  readonly home?: string
  /** Leave the recovered home where it is. Default: false. */
  readonly keep?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RecoveryProgress) => void
}

/** What would be lost if the machine were lost now. */
export interface RecoveryPoint {
  /** `home`: against the live database; `clock`: the age of the newest archived record, an upper bound. */
  readonly measuredBy: 'home' | 'clock'
  readonly ms: number
  /** Commits that are not archived; known only against the live database. */
  readonly transactions?: number
}

/** The result of a drill. */
export interface DrillReport {
  readonly passed: boolean
  readonly archive: string
  readonly startedAtUs: number
  /** From the beginning to an open database: the measured recovery time. */
  readonly rtoMs?: number
  readonly rpo?: RecoveryPoint
  readonly recovery?: RecoveryReport
  readonly check?: CheckResult
  /** Why the drill did not pass. */
  readonly failure?: { readonly code: string; readonly message: string; readonly hint: string }
  /** Why the archive could not be told that a recovery was right, which proves it all the same. */
  readonly unrecorded?: string
  /** Where the recovered home was left, if it was kept. */
  readonly keptAt?: string
}

const checkTimeoutMs = 600_000

/**
 * Recovers the newest archived state aside, opens it, compares digests, runs the user's own check, and measures how long it took
 * and how much would have been lost. A failure is a result, not an exception; only an abort is thrown.
 *
 * @throws RECOVERY_ABORTED
 */
export async function drill(options: DrillOptions): Promise<DrillReport> {
  const begun = { archive: options.archive.store.url, startedAtUs: Date.now() * 1000 }
  const scratch = await makeScratch(options.scratch)
  const kept = options.keep === true ? { keptAt: scratch.home } : {}
  try {
    const report = { ...begun, ...(await rehearse(options, scratch, begun.startedAtUs)), ...kept }
    return { ...report, ...(await record(options.archive, report)) }
  } catch (error) {
    if (!(error instanceof TimberlineError) || error.kind === 'aborted') throw error
    const { code, message, hint } = error
    return { ...begun, passed: false, failure: { code, message, hint }, ...kept }
  } finally {
    if (options.keep !== true) await scratch.remove()
  }
}

/** The report in words, one fact a line. */
export function formatDrill(report: DrillReport): readonly string[] {
  const { recovery, rpo, check, failure, rtoMs, keptAt, unrecorded } = report
  return [
    `drill of ${report.archive}: ${report.passed ? 'passed' : 'FAILED'}`,
    ...(failure === undefined
      ? []
      : [`failure: ${failure.code} ${failure.message}`, `next step: ${failure.hint}`]),
    ...(recovery === undefined
      ? []
      : [
          `recovered: lsn ${recovery.lsn} of ${formatTimeUs(recovery.committedAtUs)}`,
          `from: backup ${recovery.base.label} at lsn ${recovery.base.lsn}, ${recovery.records} records replayed${deltasText(recovery)}`,
          `digest: ${recovery.digest?.hex ?? 'none'}, ${recovery.proofs.length} recorded earlier and equal`,
        ]),
    ...(rtoMs === undefined ? [] : [`recovery time: ${(rtoMs / 1000).toFixed(3)} s`]),
    ...(rpo === undefined ? [] : [`recovery point: ${describePoint(rpo)}`]),
    ...(check === undefined
      ? []
      : [`check: exit code ${check.exitCode ?? check.endedBy ?? 'none'}, ${check.command}`]),
    ...(unrecorded === undefined ? [] : [`not recorded in the archive: ${unrecorded}`]),
    ...(keptAt === undefined ? [] : [`kept: ${keptAt}`]),
  ]
}

async function rehearse(
  options: DrillOptions,
  { home }: Scratch,
  startedAtUs: number,
): Promise<Omit<DrillReport, 'archive' | 'startedAtUs' | 'keptAt'>> {
  const { archive, signal, onProgress, check: command } = options
  const beganAt = performance.now()
  const live = options.home === undefined ? undefined : await liveEnd(options.home)
  const recovery = await recover({
    from: { archive },
    home,
    scratch: true,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  })
  // That it opens as any home does is part of the proof.
  await openOnce(home)
  const rtoMs = performance.now() - beganAt
  const rpo = recoveryPoint(recovery, { live, startedAtUs })
  const done = { recovery, rtoMs, rpo }
  if (command === undefined) return { ...done, passed: true }
  const timeoutMs = options.checkTimeoutMs ?? checkTimeoutMs
  const check = await runCheck(command, { home, lsn: recovery.lsn, timeoutMs, signal })
  return { ...done, check, passed: check.exitCode === 0 }
}

/** Tells the archive's ledger; a rehearsal is also possible with the right to read alone. */
async function record(archive: Archive, report: DrillReport): Promise<{ readonly unrecorded?: string }> {
  const { passed, recovery, rtoMs } = report
  if (!passed || recovery === undefined || rtoMs === undefined) return {}
  const { parent, lsn, committedAtUs, durationsMs, baseBytes, logBytes, records } = recovery
  try {
    await archive.appendEvent({
      type: 'recovery.proved',
      proof: {
        timeline: parent.timeline,
        lsn,
        committedAtUs,
        provedAtUs: Date.now() * 1000,
        totalUs: Math.round(rtoMs * 1000),
        restoreUs: Math.round(durationsMs.restore * 1000),
        replayUs: Math.round(durationsMs.replay * 1000),
        baseBytes,
        logBytes,
        records: records + (recovery.deltas?.entries ?? 0),
      },
    })
    return {}
  } catch (error) {
    /* v8 ignore if -- a mistake of ours is no answer of the archive */
    if (!(error instanceof TimberlineError)) throw error
    return { unrecorded: `${error.code} ${error.message}` }
  }
}

async function liveEnd(home: string): Promise<{ lsn: Lsn } | undefined> {
  const status = await controlCall(home, { type: 'status' })
  const isStatus = typeof status === 'object' && status !== null && 'durableLsn' in status
  return isStatus && typeof status.durableLsn === 'number' ? { lsn: status.durableLsn } : undefined
}

/** Time passes also when nobody commits: without the live database, the age of the last record is only an upper bound. */
function recoveryPoint(
  { lsn, committedAtUs }: RecoveryReport,
  { live, startedAtUs }: { live: { lsn: Lsn } | undefined; startedAtUs: number },
): RecoveryPoint {
  const ageMs = Math.max(0, (startedAtUs - committedAtUs) / 1000)
  if (live === undefined) return { measuredBy: 'clock', ms: ageMs }
  const transactions = Math.max(0, live.lsn - lsn)
  return { measuredBy: 'home', ms: transactions === 0 ? 0 : ageMs, transactions }
}

function deltasText({ deltas }: RecoveryReport): string {
  if (deltas === undefined) return ''
  return `, ${deltas.entries} keys of ${deltas.count} deltas in place of ${deltas.records} more`
}

function describePoint({ measuredBy, ms, transactions }: RecoveryPoint): string {
  const seconds = `${(ms / 1000).toFixed(3)} s`
  if (measuredBy === 'home') return `${transactions ?? 0} transactions, at most ${seconds}`
  return `at most ${seconds} (age of the newest archived record)`
}
