import { TimberLevel, lockHome, readHomeIdentity } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { asHotbackupError } from './errors.ts'
import { runBackup } from './hotbackup.ts'
import { completeOptions, nameOf } from './options.ts'
import type { BackupResult, HotbackupOptions } from './options.ts'

/** As a hot backup, with `checkpoint` true by default. */
export interface OfflineBackupOptions extends Omit<HotbackupOptions, 'update'> {
  /** How long to wait for the owner to close the home, in milliseconds. Default 0. */
  readonly busyTimeoutMs?: number
}

/**
 * Backs up a home that nobody has open, and keeps everybody out meanwhile: no writer, then a checkpoint, then the data
 * files, then the last log.
 *
 * @throws ENGINE_HOME_LOCKED with the pid of the process that has it open
 */
export async function offlineBackup(options: OfflineBackupOptions): Promise<BackupResult> {
  const { busyTimeoutMs = 0, ...rest } = options
  const completed = completeOptions({ checkpoint: true, ...rest })
  try {
    await readHomeIdentity(completed.home, completed.fileSystem)
    if (completed.checkpoint) await checkpointClosedHome(completed.home, busyTimeoutMs)
    const lock = await lockHome(completed.home, { busyTimeoutMs })
    try {
      return await runBackup(completed, 'offline')
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw asHotbackupError(error, { target: nameOf(completed.target) })
  }
}

/** Opening recovers what a crash left, and a clean close ends in a checkpoint. */
async function checkpointClosedHome(home: string, busyTimeoutMs: number): Promise<void> {
  const lock = await lockHome(home, { busyTimeoutMs })
  await lock.release()
  const db = new TimberLevel(home)
  try {
    await db.open()
    await db.close()
  } catch (error) {
    // abstract-level wraps what an open throws; the caller wants the reason.
    throw error instanceof Error && error.cause instanceof TimberlineError ? error.cause : error
  }
}
