// One command in the worst minute: it asks nothing, says what it did, and names the next step.
import { promote } from '@timberline/recovery'
import type { Command } from '../command.ts'
import { archiveNameOf } from '../archive-targets.ts'
import { columns, formatCount, formatMs } from '../quantity.ts'
import { readableArchive } from './archive-access.ts'

/** `timberline promote` */
export const promoteCommand: Command = async (args, { signal }) => {
  const archive = await readableArchive(args.required('archive'), args)
  try {
    const report = await promote({
      archive,
      home: args.required('home'),
      archiveName: archiveNameOf(args),
      signal,
    })
    const { home, timeline, parent, records, alreadyDone, ms } = report
    const from = `${String(timeline)}, from ${String(parent.timeline)} after LSN ${String(parent.forkLsn)}`
    return {
      document: { ...report, archive: archive.store.url },
      lines: columns([
        [alreadyDone ? 'promoted before' : 'promoted', home],
        ['timeline', from],
        ...(alreadyDone ? [] : [['still applied', `${formatCount(records)} records`]]),
        ['took', formatMs(ms)],
        ['next', `open it with the application; timberline archive run -h ${home} -a ${archive.store.url}`],
      ]),
    }
  } finally {
    await archive.close()
  }
}
