// One command in the worst minute: it asks nothing, says what it did, and names the next step.
import { promote } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { archiveNameOf } from '../archive-targets.ts'
import { columns, formatCount, formatMs } from '../quantity.ts'
import { readableArchiveIfAny } from '../archive-access.ts'

/** `timberline promote` */
export const promoteCommand: Command = async (args, { signal }) => {
  const archive = await readableArchiveIfAny(args)
  const of = args.text('of')
  try {
    const report = await promote({
      home: args.required('home'),
      ...(archive === undefined ? {} : { archive }),
      ...(of === undefined ? {} : { of }),
      lost: args.flag('lost'),
      archiveName: archiveNameOf(args),
      signal,
    })
    const { home, timeline, parent, records, alreadyDone, ms } = report
    const next =
      archive === undefined
        ? `timberline archive init -h ${home} before it archives`
        : `timberline archive run -h ${home} -a ${archive.store.url}`
    const from = `${String(timeline)}, from ${String(parent.timeline)} after LSN ${String(parent.forkLsn)}`
    return {
      document: { ...report, archive: archive?.store.url ?? null },
      lines: columns([
        [alreadyDone ? 'promoted before' : 'promoted', home],
        ['timeline', from],
        ...(alreadyDone ? [] : [['still applied', `${formatCount(records)} records`]]),
        ['took', formatMs(ms)],
        ['next', `open it with the application; ${next}`],
      ]),
    }
  } finally {
    await archive?.close()
  }
}
