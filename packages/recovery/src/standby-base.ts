// The state that a standby begins with: the newest backup on the line that it is to follow.
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { openStandbyState, type StandbyState } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { recoveryError } from './errors.ts'
import type { Base } from './history.ts'
import { openSource } from './open-source.ts'
import { restoreBase } from './restore-base.ts'
import { blockedError, lookAhead } from './standby-outlook.ts'
import type { StandbyFolder } from './standby-place.ts'

/** What is restored from, and which line is asked for. */
export interface StandbyBaseOptions {
  readonly archive: Archive
  readonly pinned: number | undefined
  /** Restore the newest base though there is a state. */
  readonly anew: boolean
  readonly signal: AbortSignal
}

/**
 * Opens the state of a standby's folder; restores a base first where there is none, or where the one that is there is damaged: the
 * archive has everything that was in it.
 *
 * @throws RECOVERY_NO_BASE, RECOVERY_SOURCE_DAMAGED; RECOVERY_BULK_LOAD, RECOVERY_STANDBY_BEHIND where a new base would lead no further
 */
export async function openStandbyData(
  folder: StandbyFolder,
  options: StandbyBaseOptions,
): Promise<{ readonly state: StandbyState; readonly isNew: boolean }> {
  const { layout, fileSystem } = folder
  const opening = { fileSystem }
  if (folder.label.phase === 'anew') await folder.takeFresh()
  const { phase } = folder.label
  const isAnew = options.anew && phase === 'follow'
  if (phase !== 'base' && !isAnew) {
    try {
      return { state: await openStandbyState(layout.dataDirectory, opening), isNew: false }
    } catch (error) {
      if (!isDamage(error)) throw error
    }
  }
  await (isAnew ? restoreBeside(folder, options) : restore(folder, options))
  return { state: await openStandbyState(layout.dataDirectory, opening), isNew: true }
}

function isDamage(error: unknown): boolean {
  return error instanceof TimberlineError && error.kind === 'corruption'
}

async function restore(folder: StandbyFolder, options: StandbyBaseOptions): Promise<void> {
  const { layout, fileSystem, label } = folder
  const { archive } = options
  // A promotion that has begun ends on the line that it began on, whatever the archive has come to.
  const pinned = label.phase === 'promote' ? label.timeline : options.pinned
  const { base, timeline } = await newestBase(archive, pinned)
  if (label.phase !== 'promote') await folder.relabel({ phase: 'base' })
  await folder.clear()
  const segmentNumber = await restoreInto(folder, layout.dataDirectory, { ...options, base })
  await fileSystem.removeTree(folder.spoolDirectory)
  await fileSystem.syncDirectory(layout.home)
  const phase = label.phase === 'promote' ? 'promote' : 'follow'
  await folder.relabel({ phase, timeline, segmentNumber })
}

/** What is there can be read, and followed from, until the new base is whole. */
async function restoreBeside(folder: StandbyFolder, options: StandbyBaseOptions): Promise<void> {
  const { fileSystem, freshDirectory, spoolDirectory } = folder
  const { archive, pinned } = options
  const { base, timeline } = await newestBase(archive, pinned)
  const { blocked } = await lookAhead(archive, { appliedLsn: base.lsn, timeline, pinned })
  // Nothing is given up for a base that leads no further.
  if (blocked !== undefined) throw blockedError(blocked, 'RECOVERY_STANDBY_BEHIND')
  await fileSystem.removeTree(spoolDirectory)
  await fileSystem.makeDirectory(spoolDirectory)
  const segmentNumber = await restoreInto(folder, freshDirectory, { ...options, base })
  await fileSystem.syncDirectory(spoolDirectory)
  await folder.relabel({ phase: 'anew', timeline, segmentNumber })
  await folder.takeFresh()
}

/** @throws RECOVERY_NO_BASE */
async function newestBase(
  archive: Archive,
  pinned: number | undefined,
): Promise<{ readonly base: Base; readonly timeline: number }> {
  const { coverage, timeline } = await lookAhead(archive, { appliedLsn: 0, pinned })
  const base = coverage.bases.at(-1)
  if (base !== undefined) return { base, timeline }
  throw recoveryError('RECOVERY_NO_BASE', 'there is no backup on the line to follow', {
    details: { url: archive.store.url, timeline },
  })
}

/** Resolves with the number of the base's segment. */
async function restoreInto(
  { spoolDirectory, fileSystem }: StandbyFolder,
  dataDirectory: string,
  { archive, base, signal }: StandbyBaseOptions & { readonly base: Base },
): Promise<number> {
  const tablesDirectory = join(spoolDirectory, 'tables')
  await fileSystem.makeDirectory(tablesDirectory)
  const source = await openSource({ archive }, fileSystem)
  const manifest = await source.manifest(base)
  const options = { fileSystem, signal }
  await restoreBase({ source, base, manifest, tablesDirectory, dataDirectory, options })
  return Math.max(1, manifest.checkpoint.segmentNumber)
}
