import { describeLoss, expire, type ExpireReport, type RetentionPlan } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns, formatBytes, formatCount } from '../quantity.ts'
import { existingArchive } from '../archive-access.ts'
import { describePromise, promiseOf } from './promise-words.ts'

/** `timberline archive expire` */
export const archiveExpireCommand: Command = async (args) => {
  const archive = await existingArchive(args.required('archive'))
  try {
    const promise = promiseOf(args)
    const report = await expire({
      archive,
      apply: args.flag('apply'),
      force: args.flag('force'),
      ...(promise === undefined ? {} : { promise }),
    })
    const { plan, lost, outcome } = report
    const { after: _, ...shown } = plan
    return {
      document: { archive: archive.store.url, plan: shown, lost, outcome },
      lines: [
        ...planLines(plan),
        ...lost.map((loss) => `BROKEN  ${describeLoss(loss)}`),
        ...endLines(report),
      ],
      exitCode: outcome !== undefined && outcome.undeleted.length > 0 ? 1 : 0,
    }
  } finally {
    await archive.close()
  }
}

const keptForWords = {
  instants: 'for every instant since',
  bases: 'as one of its period',
  files: 'for the tables that a later incremental one names',
} as const

function planLines(plan: RetentionPlan): readonly string[] {
  const { promise, nowUs, kept, backups, segments, pieces } = plan
  const bytes =
    backups.reduce((sum, backup) => sum + backup.bytes, 0) +
    [...segments, ...pieces].reduce((sum, { storedBytes }) => sum + storedBytes, 0)
  return [
    `keep ${describePromise(promise)}, as of ${formatInstant(nowUs)}`,
    ...columns([
      ...kept.map(({ backup, keptFor }) => [
        'keep',
        `backup ${backup.label}`,
        formatPoint(backup.lsn, backup.committedAtUs),
        keptFor.map((reason) => keptForWords[reason]).join(', '),
      ]),
      ...backups.map(({ label, lsn, committedAtUs }) => [
        'let go',
        `backup ${label}`,
        formatPoint(lsn, committedAtUs),
      ]),
    ]),
    `let go ${formatCount(backups.length)} backups, ${formatCount(segments.length)} segments and ${formatCount(pieces.length)} pieces of log, about ${formatBytes(bytes)}`,
  ]
}

function endLines({ plan, outcome }: ExpireReport): readonly string[] {
  if (outcome === undefined) {
    return plan.decision === undefined ? [] : ['nothing was changed; add --apply to do it']
  }
  const { deleted, deletedBytes, undeleted } = outcome
  return [
    `deleted ${formatCount(deleted)} objects, ${formatBytes(deletedBytes)}`,
    ...undeleted.map(({ name, error }) => `NOT DELETED  ${name}: ${error.code} ${error.message}`),
  ]
}
