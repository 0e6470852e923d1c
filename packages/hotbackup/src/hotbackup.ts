import { untilUndisturbed } from './begin-anew.ts'
import { beginRun } from './backup-run.ts'
import type { BackupRun } from './backup-run.ts'
import { askForCheckpoint } from './checkpoint-request.ts'
import { copyLimit } from './pace/copy-limit.ts'
import { copyMeter } from './copy-meter.ts'
import { asHotbackupError } from './errors.ts'
import type { BackupStyle } from './events.ts'
import { fullBackup } from './full-backup.ts'
import { completeOptions, nameOf } from './options.ts'
import type { BackupResult, CompletedOptions, HotbackupOptions } from './options.ts'
import { meetOwner } from './owner.ts'
import { settledPath } from './sink/target-check.ts'
import { updateBackup } from './update/update-backup.ts'
import { watchWriters } from './pace/writer-watch.ts'
import type { WriterWatch } from './pace/writer-watch.ts'

/** A copy at full speed looks while it pins, and does not wait: a writer of 200 commits a second is seen at once, others at the next look. */
const FULL_SPEED_SPAN_MS = 5

/**
 * Backs up a home that another process has open and writes to, and needs no answer from it: it is asked to seal its log file, and what
 * its commits waited, and does neither if it does not answer. The result is a backup set: usable by recovery, refused by an ordinary open, and there either whole or not at all.
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
  // An offline backup has the home for itself.
  if (style === 'offline') return untilUndisturbed(run, fullBackup)
  return besideOwner(run, async (met) => {
    if (options.checkpoint) await askForCheckpoint(options)
    return untilUndisturbed(met, fullBackup)
  })
}

async function runUpdate(options: CompletedOptions, target: string): Promise<BackupResult> {
  return besideOwner(await beginRun(options, 'update'), (met) => updateBackup(met, target))
}

async function besideOwner(
  run: BackupRun,
  make: (met: BackupRun) => Promise<BackupResult>,
): Promise<BackupResult> {
  const { options } = run
  const writers = writersToSpare(options)
  const owner = meetOwner(options)
  try {
    return await make({ ...run, owner, meter: copyMeter(options, copyLimit(options, writers)) })
  } finally {
    owner.close()
    writers?.close()
  }
}

/** Watched unless a rate was asked for that holds whether anybody writes or not. */
function writersToSpare(options: CompletedOptions): WriterWatch | undefined {
  if (options.bytesPerSBesideWriters !== undefined) return watchWriters(options)
  return options.sharesDisk
    ? watchWriters({ home: options.home, firstSpanMs: FULL_SPEED_SPAN_MS })
    : undefined
}
