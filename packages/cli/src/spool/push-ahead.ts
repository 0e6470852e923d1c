// The work of a spool's worker: archives what waits, several files at a time, and leaves an outcome for each.
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { removeIfPresent } from '@timberline/wal'
import { pushFile } from '../file-archive.ts'
import { asTimberlineError } from '../errors.ts'
import { leaveOutcome, listOutcomes, type PushOutcome, wholeAddress } from './outcome-marker.ts'
import { readyFiles } from './ready-files.ts'

/** What a worker is told; paths are absolute. */
export interface PushErrand {
  /** Address of the archive, as it was given. */
  readonly url: string
  readonly spool: string
  /** The folder of the files. */
  readonly folder: string
  /** The file that is being waited for. */
  readonly first: string
}

/** Files on their way at the same time: enough to hide the answers of a store, few enough for two cores. */
export const PUSHES_MAX = 4

/** Archives until nothing waits that has no outcome. Never rejects because of a file, but when the spool takes no outcomes. */
export async function pushAhead(archive: Archive, errand: PushErrand): Promise<void> {
  await clearOutcomes(errand)
  const claimed = new Set<string>()
  const lane = async (): Promise<void> => {
    for (;;) {
      const name = await claim(errand, claimed)
      if (name === undefined) return
      const outcome = await pushOne(archive, errand, name)
      await leaveOutcome(errand.spool, name, outcome)
      // Once its error is told, it is tried again; what is archived is done, even before the caller has noted that.
      if (outcome.type === 'error') claimed.delete(name)
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: PUSHES_MAX }, lane))
  // Told when all have ended: a lane that outlived this function would work without the lock of the spool.
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** The outcome for a file that nobody could even try: the archive does not open. */
export async function leaveFailure({ spool, url, first }: PushErrand, thrown: unknown): Promise<void> {
  await leaveOutcome(spool, first, failure(url, thrown))
}

/** Looks anew for each file: what is asked for next is the oldest that waits, and it may have come a moment ago. */
async function claim(
  { spool, folder, first }: PushErrand,
  claimed: Set<string>,
): Promise<string | undefined> {
  const waiting = await readyFiles(folder)
  const settled = new Set((await listOutcomes(spool)).map(({ name }) => name))
  const name = [first, ...waiting].find((each) => !claimed.has(each) && !settled.has(each))
  if (name !== undefined) claimed.add(name)
  return name
}

async function pushOne(archive: Archive, { url, folder }: PushErrand, name: string): Promise<PushOutcome> {
  try {
    const { bytes, sha256 } = await pushFile(archive, { name, path: join(folder, name) })
    return { type: 'ok', archive: wholeAddress(url), bytes, sha256 }
  } catch (error) {
    return failure(url, error)
  }
}

function failure(url: string, thrown: unknown): PushOutcome {
  const { code, kind, hint, message } = asTimberlineError(thrown)
  return { type: 'error', archive: wholeAddress(url), error: { code, kind, hint, message } }
}

/** What an earlier worker left: errors are tried again, and successes that nobody will ask for any more go. */
async function clearOutcomes({ spool, folder }: PushErrand): Promise<void> {
  const waiting = new Set(await readyFiles(folder))
  for (const { name, type, path } of await listOutcomes(spool)) {
    if (type === 'error' || !waiting.has(name)) await removeIfPresent(path)
  }
}
