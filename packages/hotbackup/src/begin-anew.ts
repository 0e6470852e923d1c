/**
 * A full backup that a bulk load overtook begins anew: what it copied is of the state before, and the log behind it does not lead past
 * the load. A checkpoint of the owner comes in its turn behind the load, so that the next attempt starts from all of it. Who loads
 * without end would keep a backup from ever standing, and is not waited for.
 */
import { TimberlineError } from '@timberline/wal'
import type { BackupRun } from './backup-run.ts'
import { askForCheckpoint } from './checkpoint-request.ts'
import { copyMeter } from './copy-meter.ts'
import type { BackupResult } from './options.ts'

/** So many loads in a row are taken for an accident. */
const RESTARTS_MAX = 3

/**
 * Makes a backup, and makes it anew when data was loaded beside the log meanwhile.
 *
 * @throws HOTBACKUP_BULK_LOAD when it was overtaken again and again, or nobody is there to take a checkpoint behind the load
 */
export async function despiteLoads(
  run: BackupRun,
  make: (run: BackupRun) => Promise<BackupResult>,
): Promise<BackupResult> {
  const { options } = run
  for (let restarts = 0; ; restarts += 1) {
    // Counted from the beginning: what was copied before is in no backup.
    const meter = restarts === 0 ? run.meter : copyMeter(options)
    try {
      return await make({ ...run, meter, restarts })
    } catch (error) {
      const isOvertaken = error instanceof TimberlineError && error.code === 'HOTBACKUP_BULK_LOAD'
      if (!isOvertaken || restarts === RESTARTS_MAX || !(await askForCheckpoint(options))) throw error
      options.onEvent({ type: 'backup.restarted', loadLsn: Number(error.details['lsn']) })
    }
  }
}
