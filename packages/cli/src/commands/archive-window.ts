import { absentObjects, type Archive, archiveStatus } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import {
  describeLoss,
  type Ledger,
  ledgerOf,
  type PredictedRecovery,
  type RestorabilityHole,
  withoutObjects,
} from '@timberline/recovery'
import type { Command } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { columns, formatBytes, formatCount, formatMs } from '../quantity.ts'
import { existingArchive } from '../archive-access.ts'
import { describePromise } from './promise-words.ts'

/** What would be lost with the machine now: against the live home, or by the age of the newest archived commit. */
interface RecoveryPoint {
  readonly measuredBy: 'home' | 'clock'
  readonly seconds: number
  readonly transactions?: number
  /** Of log. */
  readonly bytes?: number
}

/** `timberline archive window` */
export const archiveWindowCommand: Command = async (args) => {
  const archive = await existingArchive(args.required('archive'))
  try {
    const nowUs = Date.now() * 1000
    const catalogue = await archive.catalogue()
    const absent = await absentObjects(archive, catalogue)
    const ledger = ledgerOf(withoutObjects(catalogue, new Set(absent)), nowUs)
    const home = args.text('home')
    const point = home === undefined ? pointByClock(ledger, nowUs) : await pointByHome(archive, home)
    const isWhole =
      absent.length === 0 &&
      ledger.holes.every((hole) => hole.reason === 'no-backup' || isPast(hole, ledger)) &&
      (ledger.promise?.gaps.length ?? 0) === 0
    return {
      document: { archive: archive.store.url, ...ledger, recoveryPoint: point ?? null, absent },
      lines: [
        ...absent.map((name) => `MISSING  ${name}`),
        ...windowLines(ledger),
        ...columns(stateRows(ledger, point, archive.store.url)),
      ],
      exitCode: isWhole ? 0 : 1,
    }
  } finally {
    await archive.close()
  }
}

/** What a load beside the log made unreachable stays so; after a backup nothing is left to be done. */
function isPast({ reason, timeline, throughLsn }: RestorabilityHole, { ranges }: Ledger): boolean {
  return (
    reason === 'bulk-load' &&
    ranges.some((range) => range.timeline === timeline && range.fromLsn > throughLsn)
  )
}

function windowLines({ ranges, holes }: Ledger): readonly string[] {
  const told = [
    ...ranges.map((range) => ({
      ...range,
      text: `from ${stateOf(range.fromLsn, range.fromCommittedAtUs)} to ${stateOf(range.throughLsn, range.throughCommittedAtUs)}`,
      word: 'restorable',
    })),
    ...holes.map((hole) => ({
      ...hole,
      text: reasonOf(hole),
      word: hole.reason === 'no-backup' ? 'older' : 'HOLE',
    })),
  ].toSorted((a, b) => a.timeline - b.timeline || a.fromLsn - b.fromLsn)
  if (told.length === 0) return ['nothing can be recovered from here yet']
  return columns(told.map(({ timeline, word, text }) => [`timeline ${String(timeline)}`, word, text]))
}

function reasonOf({ fromLsn, throughLsn, reason, missing }: RestorabilityHole): string {
  const states = lsns(fromLsn, throughLsn)
  if (reason === 'bulk-load') {
    return `${states}: data was loaded beside the log at LSN ${String(fromLsn)}, and no backup was made before these`
  }
  if (missing === undefined) return `${states}: there is log, but no backup before it`
  return `${states}: log of ${lsns(missing.fromLsn, missing.throughLsn)} is missing`
}

function lsns(fromLsn: number, throughLsn: number): string {
  return `LSN ${String(fromLsn)}${fromLsn === throughLsn ? '' : ` to ${String(throughLsn)}`}`
}

function stateRows(
  { timeline, base, predicted, proof, promise }: Ledger,
  point: RecoveryPoint | undefined,
  url: string,
): readonly (readonly string[])[] {
  return [
    ['recovery follows', timeline === undefined ? 'no timeline' : `timeline ${String(timeline)}`],
    ['recovery point', describePoint(point)],
    [
      'newest backup',
      base === undefined
        ? 'none: log alone recovers nothing; run `timberline hotbackup -h HOME -a ARCHIVE`'
        : `${base.backup.label}, its last commit ${formatMs(base.ageUs / 1000)} ago`,
    ],
    [
      'a recovery now',
      predicted === undefined
        ? 'not possible'
        : `${formatBytes(predicted.baseBytes)} of backup, ${writesText(predicted)} in ${formatBytes(predicted.logBytes)} of log, ${predicted.ms === undefined ? 'time unknown until a drill measured it' : `about ${formatMs(predicted.ms)}`}`,
    ],
    [
      'last proved',
      proof === undefined
        ? `never; run \`timberline drill -a ${url}\``
        : `${formatInstant(proof.provedAtUs)}, LSN ${String(proof.lsn)} of timeline ${String(proof.timeline)} in ${formatMs(proof.totalUs / 1000)}`,
    ],
    ['promise', promise === undefined ? 'none: nothing is ever let go' : describePromise(promise.promise)],
    ...(promise === undefined
      ? []
      : promise.gaps.length > 0
        ? promise.gaps.map((gap) => ['BROKEN', `${describeLoss(gap)} cannot be recovered`])
        : [['kept', promise.isFull ? 'yes' : 'yes, so far: the archive is younger than that']]),
  ]
}

/** `1,204 records`, or `12 records and 4,711 keys of 3 deltas`. */
function writesText({ records, deltas, deltaEntries }: PredictedRecovery): string {
  const log = `${formatCount(records)} ${records === 1 ? 'record' : 'records'}`
  return deltas === 0 ? log : `${log} and ${formatCount(deltaEntries)} keys of ${formatCount(deltas)} deltas`
}

function describePoint(point: RecoveryPoint | undefined): string {
  if (point === undefined) return 'unknown'
  const { measuredBy, seconds, transactions, bytes } = point
  const ms = formatMs(seconds * 1000)
  return measuredBy === 'clock'
    ? `at most ${ms}, the age of the newest archived commit; with -h HOME it is exact`
    : `${formatCount(transactions ?? 0)} transactions, ${formatBytes(bytes ?? 0)} of log, ${ms}`
}

function pointByClock({ newest }: Ledger, nowUs: number): RecoveryPoint | undefined {
  if (newest?.committedAtUs === undefined) return undefined
  return { measuredBy: 'clock', seconds: Math.max(0, (nowUs - newest.committedAtUs) / 1e6) }
}

async function pointByHome(archive: Archive, home: string): Promise<RecoveryPoint> {
  const { timeline } = await readHomeIdentity(home)
  const { lag } = await archiveStatus({ archive, logDirectory: homeLayout(home).logDirectory, timeline })
  return { measuredBy: 'home', ...lag }
}

function stateOf(lsn: number, committedAtUs: number | undefined): string {
  return `LSN ${String(lsn)}${committedAtUs === undefined || committedAtUs === 0 ? '' : `, ${formatInstant(committedAtUs)},`}`
}
