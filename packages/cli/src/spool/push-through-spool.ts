/**
 * `archive push --async`, the side of the call: looks for the outcome of its file, has a worker begun when others wait too, and waits.
 *
 * Model: success is told only for bytes of which a marker says that they are in this archive, and the file is read to see that they
 * are its bytes. All else (no worker, a dead one, no marker in time, a marker of something else) ends in the caller archiving the
 * file itself, so that no state of the spool can make a push succeed that did not happen.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { nodeFileSystem } from '@timberline/wal'
import { type ContentDigest, fileDigest } from '../source-file.ts'
import { errorTold, takeOutcome, wholeAddress } from './outcome-marker.ts'
import type { PushErrand } from './push-ahead.ts'
import { readyFiles } from './ready-files.ts'
import { hasWorker } from './worker-lock.ts'

/** A process that was begun. */
export interface LaunchedWorker {
  isRunning(): boolean
}

/** How a call waits. */
export interface SpoolWait {
  /** At most so long for an outcome, in milliseconds. */
  readonly waitMs: number
  /** Begins the worker. */
  readonly launch: (errand: PushErrand) => LaunchedWorker
  readonly signal: AbortSignal
}

const POLL_MS = 20

/**
 * Resolves with what the worker archived, or with `undefined` when the caller must do it.
 *
 * @throws the error that the worker met, with its code
 */
export async function pushThroughSpool(
  errand: PushErrand,
  { waitMs, launch, signal }: SpoolWait,
): Promise<ContentDigest | undefined> {
  await nodeFileSystem.makeDirectory(errand.spool)
  const end = performance.now() + waitMs
  for (let launched: LaunchedWorker | undefined; ; await delay(POLL_MS, undefined, { signal })) {
    const isLed = launched?.isRunning() === true || (await hasWorker(errand.spool))
    // Looked for after the worker, which leaves the outcome first and ends then.
    const outcome = await settled(errand)
    if (outcome !== 'nothing') return outcome.digest
    if (performance.now() >= end) return undefined
    if (isLed) continue
    // One that ended without an outcome would do so again; and for one file alone a second process is only slower.
    if (launched !== undefined || !(await othersWait(errand))) return undefined
    launched = launch(errand)
  }
}

/** The outcome that waits, if there is one that speaks of this file and this archive. */
async function settled({
  url,
  spool,
  folder,
  first,
}: PushErrand): Promise<{ readonly digest: ContentDigest | undefined } | 'nothing'> {
  const outcome = await takeOutcome(spool, first)
  if (outcome === undefined) return 'nothing'
  if (outcome.archive !== wholeAddress(url)) return { digest: undefined }
  if (outcome.type === 'error') throw errorTold(outcome.error)
  const { bytes, sha256 } = await fileDigest(join(folder, first))
  return { digest: bytes === outcome.bytes && sha256 === outcome.sha256 ? { bytes, sha256 } : undefined }
}

async function othersWait({ folder, first }: PushErrand): Promise<boolean> {
  return (await readyFiles(folder)).some((name) => name !== first)
}
