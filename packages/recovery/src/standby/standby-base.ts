// The state that a standby begins with: the newest base on the line that it is to follow.
import { openStandbyState, type StandbyState } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import type { StandbyFolder } from './standby-place.ts'
import type { StandbySource } from './standby-source.ts'

/** What is restored from, and which line is asked for. */
export interface StandbyBaseOptions {
  readonly source: StandbySource
  readonly pinned: number | undefined
  /** Restore the newest base though there is a state. */
  readonly anew: boolean
  readonly signal: AbortSignal
}

/**
 * Opens the state of a standby's folder; restores a base first where there is none, or where the one that is there is damaged: the
 * source has everything that was in it.
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

async function restore(
  folder: StandbyFolder,
  { source, signal, ...options }: StandbyBaseOptions,
): Promise<void> {
  const { layout, fileSystem, label } = folder
  const { dataDirectory } = layout
  // A promotion that has begun ends on the line that it began on, whatever the source has come to.
  const pinned = label.phase === 'promote' ? label.timeline : options.pinned
  const base = await source.newestBase({ pinned, leadsOn: false })
  if (label.phase !== 'promote') await folder.relabel({ phase: 'base' })
  await folder.clear()
  const segmentNumber = await base.restore(folder, { dataDirectory, signal })
  await fileSystem.removeTree(folder.spoolDirectory)
  await fileSystem.syncDirectory(layout.home)
  const phase = label.phase === 'promote' ? 'promote' : 'follow'
  await folder.relabel({ phase, timeline: base.timeline, segmentNumber })
}

/** What is there can be read, and followed from, until the new base is whole. */
async function restoreBeside(
  folder: StandbyFolder,
  { source, pinned, signal }: StandbyBaseOptions,
): Promise<void> {
  const { fileSystem, freshDirectory, spoolDirectory } = folder
  // Nothing is given up for a base that leads no further.
  const base = await source.newestBase({ pinned, leadsOn: true })
  await fileSystem.removeTree(spoolDirectory)
  await fileSystem.makeDirectory(spoolDirectory)
  const segmentNumber = await base.restore(folder, { dataDirectory: freshDirectory, signal })
  await fileSystem.syncDirectory(spoolDirectory)
  await folder.relabel({ phase: 'anew', timeline: base.timeline, segmentNumber })
  await folder.takeFresh()
}
