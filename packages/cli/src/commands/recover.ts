import { BACKUP_LABEL, homeLayout, readHomeIdentity } from '@timberline/engine'
import {
  planFor,
  recover,
  recoverHome,
  type RecoveryFrom,
  type RecoveryReport,
  type Target,
  type TransactionBrief,
} from '@timberline/recovery'
import { nodeFileSystem } from '@timberline/wal'
import { join } from 'node:path'
import { type Arguments, folderList } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns, formatBytes, formatCount, formatMs } from '../quantity.ts'
import { jsonText } from '../readable.ts'
import { readableArchive } from '../archive-access.ts'
import { recoveryMeter } from './recovery-meter.ts'

/** `timberline recover` */
export const recoverCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  const prefix = args.text('from-volumes')
  if (prefix !== undefined) {
    const dirs = folderList(args.text('dirs') ?? '.')
    return recoverFrom({ volumes: { prefix, dirs } }, args, surroundings)
  }
  const from = args.text('from')
  if (from !== undefined) return recoverFrom(await sourceAt(from, args), args, surroundings)
  // As `db_recover -c -h BACKUP` does: a backup becomes a home where it lies.
  if (await isBackup(home)) return recoverFrom({ backup: home }, args, surroundings)
  await readHomeIdentity(home)
  return recoverInPlace(args, surroundings)
}

/** The target that the options name. */
export function targetOf(args: Arguments): Target {
  const edge = args.flag('before') ? 'before' : 'through'
  const lsn = args.number('until-lsn')
  if (lsn !== undefined) return { type: 'lsn', lsn, edge }
  const atUs = args.number('until-time') ?? args.number('time')
  if (atUs !== undefined) return { type: 'time', atUs, edge }
  const name = args.text('until-mark')
  return name === undefined ? { type: 'latest' } : { type: 'mark', name, edge }
}

async function recoverFrom(
  from: RecoveryFrom,
  args: Arguments,
  surroundings: Surroundings,
): Promise<Outcome> {
  const timeline = args.number('timeline')
  const deltas = !args.flag('no-deltas')
  const options = { from, target: targetOf(args), deltas, ...(timeline === undefined ? {} : { timeline }) }
  if (args.flag('plan')) {
    const plan = await planFor(options)
    for (const warning of plan.warnings) surroundings.warn(warning)
    return { document: plan, lines: jsonText(plan, 2).split('\n'), exitCode: plan.possible ? 0 : 1 }
  }
  const meter = recoveryMeter(surroundings)
  try {
    const report = await recover({
      ...options,
      home: args.required('home'),
      digest: !args.flag('no-digest'),
      signal: surroundings.signal,
      onProgress: meter.update,
    })
    for (const warning of report.warnings) surroundings.warn(warning)
    tellComplete(report.lsn, surroundings)
    return { document: reportDocument(report), lines: reportLines(report) }
  } finally {
    meter.end()
  }
}

/** As `db_recover -v` ends. */
function tellComplete(lsn: number, { tell }: Surroundings): void {
  tell(`recovery complete at ${formatInstant(Date.now() * 1000)}, through LSN ${String(lsn)}`)
}

async function recoverInPlace(args: Arguments, surroundings: Surroundings): Promise<Outcome> {
  // With -c the data files are not trusted: they are rebuilt from checkpoint and log.
  const catastrophic = args.flag('catastrophic')
  const { signal, tell } = surroundings
  const report = await recoverHome(args.required('home'), { catastrophic, signal })
  const { home, environmentId, timeline, opened, ms } = report
  const { log, state } = opened
  tell(`last valid log LSN: ${String(log.lastLsn)}`)
  if (state.replayed > 0) tell(`recovery started from LSN ${String(state.fromLsn)}`)
  tellComplete(state.throughLsn, surroundings)
  return {
    document: report,
    lines: columns([
      ['recovered', `${home}, environment ${environmentId}, timeline ${String(timeline)}`],
      ['state after', `LSN ${String(state.throughLsn)}`],
      ['replayed', `${formatCount(state.replayed)} records`],
      [
        'data files',
        state.rebuilt
          ? `rebuilt from ${state.checkpointLsn === undefined ? 'the log alone' : `the checkpoint at LSN ${String(state.checkpointLsn)}`}`
          : 'kept',
      ],
      ['torn tail', log.tornBytes === 0 ? 'none' : `${formatBytes(log.tornBytes)} cut off`],
      ['took', formatMs(ms)],
    ]),
  }
}

function reportDocument(report: RecoveryReport): unknown {
  return { ...report, committedAt: formatInstant(report.committedAtUs) }
}

function reportLines(report: RecoveryReport): readonly string[] {
  const { lsn, committedAtUs, lastApplied, firstDropped, base, timeline, parent, durationsMs } = report
  const proofs = report.proofs.map(
    (proof) => `equal to what the ${proof.recordedBy} recorded at LSN ${String(proof.lsn)}`,
  )
  return columns([
    ['recovered', `${report.home} from ${report.source}`],
    ['target', report.target],
    ['state after', formatPoint(lsn, committedAtUs)],
    ['last applied', lastApplied === undefined ? 'nothing beyond the backup' : briefText(lastApplied)],
    [
      'first dropped',
      firstDropped === undefined ? 'nothing, the history ends here' : briefText(firstDropped),
    ],
    ['backup', `${base.label}, LSN ${String(base.lsn)}, ${formatBytes(report.baseBytes)}`],
    ['log', `${formatCount(report.records)} records, ${formatBytes(report.logBytes)}`],
    ...deltaRows(report),
    [
      'timeline',
      `${String(timeline)}, from ${String(parent.timeline)} after LSN ${String(parent.forkLsn)}; archiving is off`,
    ],
    ['digest', report.digest === undefined ? 'not computed' : `sha256 ${report.digest.hex}`],
    ...proofs.map((proof) => ['', proof]),
    [
      'took',
      `${formatMs(durationsMs.total)} (restore ${formatMs(durationsMs.restore)}, replay ${formatMs(durationsMs.replay)}, digest ${formatMs(durationsMs.digest)})`,
    ],
  ])
}

function deltaRows({ deltas }: RecoveryReport): readonly (readonly string[])[] {
  if (deltas === undefined) return []
  const { count, entries, records } = deltas
  return [
    [
      'deltas',
      `${formatCount(count)} with ${formatCount(entries)} keys, in place of ${formatCount(records)} records`,
    ],
  ]
}

/** `LSN 17, 2026-…Z, 3 operations, meta {"actor":"x"}` */
function briefText({ lsn, committedAtUs, kind, meta, name, operations }: TransactionBrief): string {
  const what =
    operations === undefined
      ? `${kind}${name === undefined ? '' : ` ${JSON.stringify(name)}`}`
      : `${String(operations)} operations`
  const parts = [`LSN ${String(lsn)}`, formatInstant(committedAtUs), what]
  return [...parts, ...(meta === undefined ? [] : [`meta ${jsonText(meta)}`])].join(', ')
}

/** A folder with a backup's label is a backup; everything else is taken for an archive, which says if it is none. */
async function sourceAt(from: string, args: Arguments): Promise<RecoveryFrom> {
  return (await isBackup(from)) ? { backup: from } : { archive: await readableArchive(from, args) }
}

async function isBackup(path: string): Promise<boolean> {
  return (await nodeFileSystem.status(join(homeLayout(path).home, BACKUP_LABEL))) !== undefined
}
