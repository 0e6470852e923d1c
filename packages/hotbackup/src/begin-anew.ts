/**
 * A full backup that was overtaken begins anew, where that helps. By a bulk load: what was copied is of the state before, and the log
 * behind it does not lead past the load; a checkpoint of the owner comes in its turn behind the load, so that the next attempt starts
 * from all of it. By a change of the recipients of an archive: what was put is for the readers of before, and is removed. Who does
 * either without end would keep a backup from ever standing, and is not waited for.
 */
import { TimberlineError } from '@timberline/wal'
import type { BackupRun } from './backup-run.ts'
import { askForCheckpoint } from './checkpoint-request.ts'
import { copyMeter } from './copy-meter.ts'
import type { RestartReason } from './events.ts'
import type { BackupResult } from './options.ts'

/** So often in a row is taken for an accident. */
const RESTARTS_MAX = 3

const REASONS: ReadonlyMap<string, RestartReason> = new Map([
  ['HOTBACKUP_BULK_LOAD', 'bulkload'],
  ['ARCHIVE_RECIPIENTS_CHANGED', 'recipients'],
])

/**
 * Makes a backup, and makes it anew when it was overtaken.
 *
 * @throws HOTBACKUP_BULK_LOAD or ARCHIVE_RECIPIENTS_CHANGED when it was overtaken again and again, or nobody is there to take a
 * checkpoint behind the load
 */
export async function untilUndisturbed(
  run: BackupRun,
  make: (run: BackupRun) => Promise<BackupResult>,
): Promise<BackupResult> {
  const { options } = run
  const restarts: RestartReason[] = []
  for (;;) {
    // Counted from the beginning: what was copied before is in no backup.
    const meter = restarts.length === 0 ? run.meter : copyMeter(options, run.meter.context.limit)
    try {
      return await make({ ...run, meter, restarts })
    } catch (error) {
      const reason = error instanceof TimberlineError ? REASONS.get(error.code) : undefined
      if (reason === undefined || restarts.length === RESTARTS_MAX) throw error
      if (reason === 'bulkload' && !(await askForCheckpoint(options))) throw error
      restarts.push(reason)
      options.onEvent({ type: 'backup.restarted', reason })
    }
  }
}
