import { controlCall } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { beginRun } from './backup-run.ts'
import type { BackupRun } from './backup-run.ts'
import { asHotbackupError, hotbackupError } from './errors.ts'
import type { BackupStyle } from './events.ts'
import { fullBackup } from './full-backup.ts'
import { completeOptions, nameOf } from './options.ts'
import type { BackupResult, CompletedOptions, HotbackupOptions } from './options.ts'
import { settledPath } from './target-check.ts'
import { updateBackup } from './update-backup.ts'

/** A checkpoint of a busy database waits for a compaction; after this long the owner is taken to be stuck. */
const CHECKPOINT_TIMEOUT_MS = 60_000

/**
 * Backs up a home that another process has open and writes to, without asking it anything. The result is a backup set:
 * usable by recovery, refused by an ordinary open, and there either whole or not at all.
 *
 * @throws TimberlineError with the codes `HOTBACKUP_*` of this package, `ENGINE_HOME_MISSING` for a mistyped home
 * @example
 * const { lsn, bytes, ms } = await hotbackup({ home: './home', target: './backups/today' })
 */
export async function hotbackup(options: HotbackupOptions): Promise<BackupResult> {
  const completed = completeOptions(options)
  return runBackup(completed, completed.update ? 'update' : 'hot')
}

/** Runs a backup of any style and turns what goes wrong into one error. */
export async function runBackup(options: CompletedOptions, style: BackupStyle): Promise<BackupResult> {
  const { signal } = options
  try {
    signal?.throwIfAborted()
    if (typeof options.target !== 'string') return await runFull(options, style)
    // Symbolic links are followed once, here: the folder they lead to is replaced, not the link.
    const target = await settledPath(options.target)
    const settled = { ...options, target }
    return style === 'update' ? await runUpdate(settled, target) : await runFull(settled, style)
  } catch (error) {
    throw asHotbackupError(error, {
      target: nameOf(options.target),
      ...(signal === undefined ? {} : { signal }),
    })
  }
}

async function runFull(options: CompletedOptions, style: BackupStyle): Promise<BackupResult> {
  const run = await beginRun(options, style)
  if (options.checkpoint && style === 'hot') await askForCheckpoint(run)
  return fullBackup(run)
}

async function runUpdate(options: CompletedOptions, target: string): Promise<BackupResult> {
  return updateBackup(await beginRun(options, 'update'), target)
}

async function askForCheckpoint(run: BackupRun): Promise<void> {
  const { home, onEvent } = run.options
  try {
    await controlCall(home, { type: 'checkpoint' }, { timeoutMs: CHECKPOINT_TIMEOUT_MS })
    onEvent({ type: 'checkpoint.taken' })
  } catch (error) {
    if (error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING') {
      // Nobody has it open, or its owner has no socket: the last checkpoint and the log are enough.
      onEvent({ type: 'checkpoint.skipped', reason: 'nobody listens on the control socket of the home' })
      return
    }
    throw hotbackupError('HOTBACKUP_CHECKPOINT_FAILED', 'the owner of the home took no checkpoint', {
      details: { home },
      cause: error,
    })
  }
}
