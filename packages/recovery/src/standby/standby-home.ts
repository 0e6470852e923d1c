// A home as what a standby follows: its log is read in place while the home writes it, and its checkpoint is the base. A confirmation in
// the log folder keeps the log for the standby as it does for an archive, within the limits that the home sets.
import { randomBytes } from 'node:crypto'
import {
  controlCall,
  type CheckpointManifest,
  homeLayout,
  newestCheckpoint,
  readHomeEnd,
  writeDataFromCheckpoint,
} from '@timberline/engine'
import { placeHold, readConfirmationOf, writeConfirmation } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { type FollowedHome, identityOf } from './followed-home.ts'
import { HomeFeed } from './standby-home-feed.ts'
import type { StandbyFolder } from './standby-place.ts'
import type { BaseOptions, StandbySource } from './standby-source.ts'

/**
 * Lets a standby follow a home, on the same machine or where its folder is mounted.
 *
 * @throws RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED, and what else an open of the home would be refused with
 */
export async function homeSource(followed: FollowedHome): Promise<StandbySource> {
  const { environmentId } = await identityOf(followed)
  return sourceOf(followed, environmentId)
}

/** The same, of a home that need not be there any more, or whose timeline has ended. */
export function sourceOf(followed: FollowedHome, environmentId: string): StandbySource {
  const { home, fileSystem } = followed
  return {
    environmentId,
    begin: (folder) => begin(followed, folder),
    endOf: async (timeline) => {
      const end = await readHomeEnd(home, fileSystem)
      return end?.timeline === timeline ? end : undefined
    },
    newestBase: async ({ leadsOn }) => {
      // Who begins anew is behind something that only a newer one leads past.
      if (leadsOn) await askForCheckpoint(followed)
      const { timeline } = await newestOf(followed)
      return { timeline, restore: (folder, options) => restore(followed, folder, options) }
    },
    follow: (parts) => new HomeFeed({ ...parts, followed }),
  }
}

/** The home keeps its log for this standby from here on. */
async function begin(followed: FollowedHome, folder: StandbyFolder): Promise<void> {
  const { home, fileSystem } = followed
  const { timeline } = await identityOf(followed)
  const { of } = folder.label
  const name = of?.name ?? `standby-${randomBytes(4).toString('hex')}`
  if (of?.home !== home) await folder.relabel({ of: { home, name } })
  const { logDirectory } = homeLayout(home)
  const known = await readConfirmationOf(logDirectory, name, fileSystem)
  if (known?.timeline === timeline) return
  await writeConfirmation(logDirectory, name, { segmentNumber: 0, lsn: 0, timeline }, fileSystem)
}

async function restore(
  followed: FollowedHome,
  { label }: StandbyFolder,
  { dataDirectory, signal }: BaseOptions,
): Promise<number> {
  const { home, fileSystem } = followed
  const { logDirectory, tablesDirectory } = homeLayout(home)
  // Placed first: the checkpoint that is chosen then stays until it is copied.
  const hold = await placeHold(logDirectory, { purpose: 'base of a standby', fileSystem })
  try {
    const checkpoint = await newestOf(followed)
    await writeDataFromCheckpoint(checkpoint, tablesDirectory, dataDirectory, {
      mode: 'copy',
      fileSystem,
      signal,
    })
    const { lsn, timeline } = checkpoint
    const segmentNumber = Math.max(1, checkpoint.segmentNumber)
    const place = { segmentNumber: segmentNumber - 1, lsn, timeline }
    // v8 ignore next -- a standby that followed an archive has no name here
    if (label.of !== undefined) await writeConfirmation(logDirectory, label.of.name, place, fileSystem)
    return segmentNumber
  } finally {
    await hold.release()
  }
}

/** A young home has none yet: then its process, if there is one, is asked for it. @throws RECOVERY_NO_BASE */
async function newestOf(followed: FollowedHome): Promise<CheckpointManifest> {
  const { home, fileSystem } = followed
  const found = await newestCheckpoint(home, fileSystem)
  if (found !== undefined) return found
  await askForCheckpoint(followed)
  const taken = await newestCheckpoint(home, fileSystem)
  if (taken !== undefined) return taken
  throw recoveryError('RECOVERY_NO_BASE', 'the home has no checkpoint to begin with', {
    details: { of: home },
  })
}

/** Where nobody has the home open, the one that is there is the newest that can be had. */
async function askForCheckpoint({ home }: FollowedHome): Promise<void> {
  await controlCall(home, { type: 'checkpoint' }).catch(() => undefined)
}
