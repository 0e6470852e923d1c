// The state that a standby begins with: the newest backup on the line that it is to follow.
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { openStandbyState, type StandbyState } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { recoveryError } from './errors.ts'
import { openSource } from './open-source.ts'
import { restoreBase } from './restore-base.ts'
import { lookAhead } from './standby-outlook.ts'
import type { StandbyFolder } from './standby-place.ts'

/** What is restored from, and which line is asked for. */
export interface StandbyBaseOptions {
  readonly archive: Archive
  readonly pinned: number | undefined
  readonly signal: AbortSignal
}

/**
 * Opens the state of a standby's folder; restores a base first where there is none, or where the one that is there is damaged: the
 * archive has everything that was in it.
 *
 * @throws RECOVERY_NO_BASE, RECOVERY_SOURCE_DAMAGED
 */
export async function openStandbyData(
  folder: StandbyFolder,
  options: StandbyBaseOptions,
): Promise<{ readonly state: StandbyState; readonly isNew: boolean }> {
  const { layout, fileSystem } = folder
  const opening = { fileSystem }
  if (folder.label.phase !== 'base') {
    try {
      return { state: await openStandbyState(layout.dataDirectory, opening), isNew: false }
    } catch (error) {
      if (!isDamage(error)) throw error
    }
  }
  await restore(folder, options)
  return { state: await openStandbyState(layout.dataDirectory, opening), isNew: true }
}

function isDamage(error: unknown): boolean {
  return error instanceof TimberlineError && error.kind === 'corruption'
}

async function restore(folder: StandbyFolder, options: StandbyBaseOptions): Promise<void> {
  const { layout, fileSystem, label } = folder
  const { archive, signal } = options
  // A promotion that has begun ends on the line that it began on, whatever the archive has come to.
  const pinned = label.phase === 'promote' ? label.timeline : options.pinned
  const { coverage, timeline } = await lookAhead(archive, { appliedLsn: 0, pinned })
  const base = coverage.bases.at(-1)
  if (base === undefined) {
    throw recoveryError('RECOVERY_NO_BASE', 'there is no backup on the line to follow', {
      details: { url: archive.store.url, timeline },
    })
  }
  if (label.phase !== 'promote') await folder.relabel({ phase: 'base' })
  await folder.clear()
  const tablesDirectory = join(folder.spoolDirectory, 'tables')
  await fileSystem.makeDirectory(tablesDirectory)
  const source = await openSource({ archive }, fileSystem)
  const manifest = await source.manifest(base)
  const { dataDirectory } = layout
  await restoreBase({
    source,
    base,
    manifest,
    tablesDirectory,
    dataDirectory,
    options: { fileSystem, signal },
  })
  await fileSystem.removeTree(folder.spoolDirectory)
  await fileSystem.syncDirectory(layout.home)
  const phase = label.phase === 'promote' ? 'promote' : 'follow'
  await folder.relabel({ phase, timeline, segmentNumber: Math.max(1, manifest.checkpoint.segmentNumber) })
}
