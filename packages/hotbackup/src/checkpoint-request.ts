import { controlCall } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { hotbackupError } from './errors.ts'
import type { CompletedOptions } from './options.ts'

/** A checkpoint of a busy database waits for a compaction; after this long the owner is taken to be stuck. */
const CHECKPOINT_TIMEOUT_MS = 60_000

/**
 * Asks the owner of the home for a checkpoint; false when nobody listens.
 *
 * @throws HOTBACKUP_CHECKPOINT_FAILED when the owner refuses or does not answer in time
 */
export async function askForCheckpoint(
  options: Pick<CompletedOptions, 'home' | 'onEvent'>,
): Promise<boolean> {
  const { home, onEvent } = options
  try {
    await controlCall(home, { type: 'checkpoint' }, { timeoutMs: CHECKPOINT_TIMEOUT_MS })
    onEvent({ type: 'checkpoint.taken' })
    return true
  } catch (error) {
    if (error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING') {
      // Nobody has it open, or its owner has no socket: the last checkpoint and the log are enough.
      onEvent({ type: 'checkpoint.skipped', reason: 'nobody listens on the control socket of the home' })
      return false
    }
    throw hotbackupError('HOTBACKUP_CHECKPOINT_FAILED', 'the owner of the home took no checkpoint', {
      details: { home },
      cause: error,
    })
  }
}
