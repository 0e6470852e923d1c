import { dirname, join } from 'node:path'
import type { Archive, BackupManifest, SeriesPlace } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import {
  fetchBackupLog,
  fetchDelta,
  fetchPieces,
  fetchSegment,
  restoreArchivedTables,
} from './archive-transfer.ts'
import { historyOf } from '../plan/catalogue-history.ts'
import { recoveryError } from '../errors.ts'
import { readBackupFolder, readLogFolder, requireFile } from '../history/folder-history.ts'
import type { Base, Branch, History, Span } from '../history/history.ts'
import type { LocalSegment, RecoverySource } from './source.ts'
import { copyVerified, transferAll, type TransferOptions, verifyFile } from '../transfer.ts'
import { unite } from '../history/unite-histories.ts'
import { openVolumeSource } from './volume-source.ts'

/**
 * Where a recovery takes base and log from: an archive, a backup folder, or both, whose log then continues each other; or volumes.
 * `logs` adds a folder of log segments, such as the one that survived when the disk with the data did not.
 */
export interface RecoveryFrom {
  readonly archive?: Archive
  /** The folder of a backup set. */
  readonly backup?: string
  /** A folder of log segments; the newest may end in a torn tail. */
  readonly logs?: string
  /** A series of volumes; it stands alone. */
  readonly volumes?: SeriesPlace
}

/**
 * Opens what a recovery reads from.
 *
 * @throws RECOVERY_SOURCE_MISSING, RECOVERY_SOURCE_DAMAGED, RECOVERY_ENVIRONMENT_MISMATCH, RECOVERY_OPTION_INVALID
 */
export async function openSource(
  from: RecoveryFrom,
  fileSystem: FileSystem,
  signal?: AbortSignal,
): Promise<RecoverySource> {
  const { archive, backup, logs, volumes } = from
  if (volumes !== undefined) {
    if ([archive, backup, logs].some((other) => other !== undefined))
      throw recoveryError('RECOVERY_OPTION_INVALID', 'volumes cannot be mixed with another source')
    return openVolumeSource(volumes, { fileSystem, signal })
  }
  const folder = backup === undefined ? undefined : await readBackupFolder(backup, fileSystem)
  const environmentId = archive?.identity.environmentId ?? folder?.environmentId
  if (environmentId === undefined) {
    throw recoveryError('RECOVERY_SOURCE_MISSING', 'neither an archive nor a backup was named')
  }
  if (folder !== undefined && folder.environmentId !== environmentId) {
    throw recoveryError(
      'RECOVERY_ENVIRONMENT_MISMATCH',
      'the backup belongs to another environment than the archive',
      {
        details: { backup, environmentId: folder.environmentId, archive: archive?.store.url },
      },
    )
  }
  const extra = logs === undefined ? undefined : await readExtraLog(logs, environmentId, fileSystem)
  const readHistory = async (): Promise<History> => {
    const parts = [
      ...(archive === undefined ? [] : [historyOf(await archive.catalogue())]),
      folder?.history,
      extra,
    ]
    return unite(parts.filter((part) => part !== undefined))
  }
  return {
    name: [archive?.store.url, backup, logs].filter((name) => name !== undefined).join(' + '),
    environmentId,
    history: readHistory,
    manifest: (base) => manifestOf(base, archive),
    restoreTables: (base, directory, options) => restoreTables(base, directory, { archive, options }),
    fetchSpan: (span, directory, options) => fetchSpan(span, directory, { archive, options }),
    fetchDelta: (delta, path, options) => fetchDelta(requireArchive(archive), delta, { path, options }),
    beginTimeline: async (fork, { claim }) => {
      const { branches } = await readHistory()
      const next = 1 + branches.reduce((most, { timeline }) => Math.max(most, timeline), fork.timeline)
      return archive === undefined || !claim ? next : claimTimeline(archive, fork, branches)
    },
  }
}

async function claimTimeline(
  archive: Archive,
  fork: { timeline: number; forkLsn: number },
  branches: readonly Branch[],
): Promise<number> {
  const { timelines } = await archive.catalogue()
  const parent = branches.find(({ timeline }) => timeline === fork.timeline)
  // A backup can be in an archive to which no log was ever shipped; the fork is told with the line that it leaves.
  if (!timelines.some(({ timeline }) => timeline === fork.timeline)) {
    // v8 ignore next -- the fork leaves a timeline of this history
    await archive.beginTimeline(parent ?? { timeline: fork.timeline })
  }
  const { timeline } = await archive.beginTimeline({ parent: fork.timeline, forkLsn: fork.forkLsn })
  return timeline
}

function manifestOf({ origin }: Base, archive: Archive | undefined): Promise<BackupManifest> {
  if (origin.type === 'directory') return Promise.resolve(origin.manifest)
  return requireArchive(archive).backupManifest(origin.backup.label)
}

async function restoreTables(
  base: Base,
  directory: string,
  { archive, options }: { archive: Archive | undefined; options: TransferOptions },
): Promise<void> {
  const { origin } = base
  if (origin.type === 'archive') {
    const source = requireArchive(archive)
    return restoreArchivedTables(source, await source.backupManifest(origin.backup.label), {
      directory,
      options,
    })
  }
  const { fileSystem } = options
  const tables = origin.manifest.files.filter(({ name }) => name.startsWith(tablesPrefix))
  await transferAll(tables, async ({ name, bytes, sha256 }) => {
    const path = join(origin.directory, name)
    await requireFile(path, fileSystem)
    const expected = { name, bytes, sha256, code: 'RECOVERY_SOURCE_DAMAGED' as const }
    if (options.link === true) {
      // In place the tables change hands: linked, they cost no second copy of the database.
      await verifyFile(path, expected, options)
      return fileSystem.link(path, join(directory, name.slice(tablesPrefix.length)))
    }
    await copyVerified(path, join(directory, name.slice(tablesPrefix.length)), { expected, options })
  })
}

const tablesPrefix = 'checkpoint/tables/'

async function fetchSpan(
  { origin }: Span,
  directory: string,
  { archive, options }: { archive: Archive | undefined; options: TransferOptions },
): Promise<readonly LocalSegment[]> {
  switch (origin.type) {
    case 'segment':
      return [await fetchSegment(requireArchive(archive), origin.segment, { directory, options })]
    case 'pieces':
      return [await fetchPieces(requireArchive(archive), origin.pieces, { directory, options })]
    case 'backup':
      return fetchBackupLog(requireArchive(archive), origin.backup, { directory, options })
    case 'files':
      return [{ path: origin.path, last: origin.last, isCopy: false }]
  }
}

/** A log folder of a home tells where its timeline left its parent, which its segments do not. */
async function readExtraLog(
  directory: string,
  environmentId: string,
  fileSystem: FileSystem,
): Promise<History> {
  const log = await readLogFolder(directory, { environmentId, fileSystem })
  const home = dirname(directory)
  const hasIdentity = (await fileSystem.status(homeLayout(home).identityPath)) !== undefined
  const identity = hasIdentity ? await readHomeIdentity(home, fileSystem) : undefined
  const branches: Branch[] = [...new Set(log.spans.map(({ timeline }) => timeline))].map((timeline) => {
    const parent = identity?.timeline === timeline ? identity.parent : undefined
    return parent === undefined
      ? { timeline }
      : { timeline, parent: parent.timeline, forkLsn: parent.forkLsn }
  })
  return { ...log, branches, bases: [] }
}

function requireArchive(archive: Archive | undefined): Archive {
  if (archive !== undefined) return archive
  throw recoveryError('RECOVERY_SOURCE_MISSING', 'the plan reads from an archive that was not named')
}
