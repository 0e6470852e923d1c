// An archive as what a standby follows. It holds nothing on account of a standby, and needs not know of one.
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { recoveryError } from '../errors.ts'
import type { Base } from '../history/history.ts'
import { openSource } from '../source/open-source.ts'
import { restoreBase } from '../restore/restore-base.ts'
import { StandbyFeed } from './standby-feed.ts'
import { blockedError, lookAhead } from './standby-outlook.ts'
import type { StandbyFolder } from './standby-place.ts'
import type { BaseOptions, StandbyBase, StandbySource } from './standby-source.ts'

/** Lets a standby follow an archive. */
export function archiveSource(archive: Archive): StandbySource {
  return {
    environmentId: archive.identity.environmentId,
    begin: () => Promise.resolve(),
    endOf: async (timeline) => (await archive.journal.refresh()).timeline(timeline)?.ended,
    newestBase: (options) => newestBase(archive, options),
    follow: (parts) => new StandbyFeed({ ...parts, archive }),
  }
}

async function newestBase(
  archive: Archive,
  { pinned, leadsOn }: { readonly pinned: number | undefined; readonly leadsOn: boolean },
): Promise<StandbyBase> {
  const { coverage, timeline } = await lookAhead(archive, { appliedLsn: 0, pinned })
  const base = coverage.bases.at(-1)
  if (base === undefined) {
    throw recoveryError('RECOVERY_NO_BASE', 'there is no backup on the line to follow', {
      details: { url: archive.store.url, timeline },
    })
  }
  if (leadsOn) {
    const { blocked } = await lookAhead(archive, { appliedLsn: base.lsn, timeline, pinned })
    if (blocked !== undefined) throw blockedError(blocked, 'RECOVERY_STANDBY_BEHIND')
  }
  return { timeline, restore: (folder, options) => restore(folder, { ...options, archive, base }) }
}

async function restore(
  { spoolDirectory, fileSystem }: StandbyFolder,
  { archive, base, dataDirectory, signal }: BaseOptions & { readonly archive: Archive; readonly base: Base },
): Promise<number> {
  const tablesDirectory = join(spoolDirectory, 'tables')
  await fileSystem.makeDirectory(tablesDirectory)
  const source = await openSource({ archive }, fileSystem)
  const manifest = await source.manifest(base)
  const options = { fileSystem, signal }
  await restoreBase({ source, base, manifest, tablesDirectory, dataDirectory, options })
  return Math.max(1, manifest.checkpoint.segmentNumber)
}
