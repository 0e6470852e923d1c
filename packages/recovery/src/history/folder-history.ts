// What plain folders hold: a backup set as `hotbackup` leaves it, and log segments as a home has them.
import { join } from 'node:path'
import {
  type BackupManifest,
  decodeBackupManifest,
  type LogEnd,
  logEndOf,
  logGoesOn,
} from '@timberline/archive'
import { BACKUP_LABEL, homeLayout, readHomeIdentity } from '@timberline/engine'
import { type FileSystem, listSegments, readFileWhole, segmentName } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import type { Base, History, Mark, Span } from './history.ts'
import { transferAll, verifyFile } from '../transfer.ts'

/** The history in one place, and whose it is. */
export interface FolderHistory {
  readonly environmentId: string
  readonly history: History
}

/** A manifest of a million files is 200 MB. */
const manifestBytesMax = 512 * 1024 * 1024
const tablesPrefix = 'checkpoint/tables/'
const logPrefix = 'log/'

/**
 * The manifest of a backup folder.
 *
 * @throws RECOVERY_SOURCE_MISSING, ARCHIVE_MANIFEST_DAMAGED
 */
export async function readBackupManifest(directory: string, fileSystem: FileSystem): Promise<BackupManifest> {
  const path = join(directory, BACKUP_LABEL)
  const isFolder = (await fileSystem.status(directory))?.isDirectory === true
  if (!isFolder || (await fileSystem.status(path)) === undefined) {
    throw recoveryError('RECOVERY_SOURCE_MISSING', 'no backup is there', { details: { path } })
  }
  return decodeBackupManifest(await readFileWhole(path, fileSystem, manifestBytesMax))
}

/**
 * What a backup folder holds. Its tables are verified when they are restored, everything else here, before a single record
 * is believed.
 *
 * @throws RECOVERY_SOURCE_MISSING, RECOVERY_SOURCE_DAMAGED, RECOVERY_ENVIRONMENT_MISMATCH
 */
export async function readBackupFolder(directory: string, fileSystem: FileSystem): Promise<FolderHistory> {
  return readBackupSet(directory, await readBackupManifest(directory, fileSystem), fileSystem)
}

/**
 * What a backup set holds whose manifest is known.
 *
 * @throws RECOVERY_SOURCE_DAMAGED, RECOVERY_ENVIRONMENT_MISMATCH
 */
export async function readBackupSet(
  directory: string,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<FolderHistory> {
  const { environmentId, timeline, checkpoint } = manifest
  const identity = await readHomeIdentity(directory, fileSystem)
  if (identity.environmentId !== environmentId || identity.timeline !== timeline) {
    throw recoveryError('RECOVERY_ENVIRONMENT_MISMATCH', 'manifest and identity of the backup differ', {
      details: { directory, environmentId, found: identity.environmentId },
    })
  }
  const early = manifest.files.filter(({ name }) => !name.startsWith(tablesPrefix))
  const through = logEndOf(manifest)
  const goesOn = await logGoesOn(directory, manifest, fileSystem)
  const lastLog =
    !goesOn || through === undefined ? undefined : `${logPrefix}${segmentName(through.segmentNumber)}`
  await transferAll(early, async ({ name, bytes, sha256 }) => {
    const path = join(directory, name)
    await requireFile(path, fileSystem)
    const expected = { name, bytes, sha256, code: 'RECOVERY_SOURCE_DAMAGED' as const }
    // An update that was cut off leaves the last log longer than it was.
    await verifyFile(path, { ...expected, mayGoOn: name === lastLog }, { fileSystem })
  })
  const log = await readLogFolder(homeLayout(directory).logDirectory, { environmentId, through, fileSystem })
  const base: Base = {
    label: manifest.label,
    timeline,
    lsn: checkpoint.lsn,
    committedAtUs: checkpoint.committedAtUs,
    bytes: manifest.files
      .filter(({ name }) => !name.startsWith(logPrefix))
      .reduce((sum, { bytes }) => sum + bytes, 0),
    origin: { type: 'directory', directory, manifest },
  }
  const parent = identity.parent
  const history: History = {
    branches: [
      { timeline, ...(parent === undefined ? {} : { parent: parent.timeline, forkLsn: parent.forkLsn }) },
    ],
    spans: log.spans,
    bases: [base],
    marks: log.marks,
    known: [...log.known, { timeline, lsn: manifest.endLsn }],
  }
  return { environmentId, history }
}

/**
 * What a folder of log segments holds; the newest may end in a torn tail.
 *
 * @throws RECOVERY_SOURCE_MISSING, RECOVERY_ENVIRONMENT_MISMATCH
 */
export async function readLogFolder(
  directory: string,
  options: {
    readonly environmentId: string
    /** Where the log ends, if not where the folder does. */
    readonly through?: LogEnd | undefined
    readonly fileSystem: FileSystem
  },
): Promise<Pick<History, 'spans' | 'marks' | 'known'>> {
  const { environmentId, fileSystem, through } = options
  if ((await fileSystem.status(directory)) === undefined) {
    throw recoveryError('RECOVERY_SOURCE_MISSING', 'no log is there', { details: { directory } })
  }
  const spans: Span[] = []
  const marks: (Mark & { timeline: number })[] = []
  const summaries = await listSegments(directory, fileSystem, { through })
  for (const [index, summary] of summaries.entries()) {
    const { timeline, segmentNumber } = summary.header
    if (summary.header.environmentId !== environmentId) {
      throw recoveryError('RECOVERY_ENVIRONMENT_MISMATCH', 'the log belongs to another environment', {
        details: { directory, environmentId, found: summary.header.environmentId },
      })
    }
    const { firstCommittedAtUs, lastCommittedAtUs } = summary
    if (firstCommittedAtUs === undefined || lastCommittedAtUs === undefined) continue
    marks.push(...summary.marks.map((mark) => ({ ...mark, timeline })))
    spans.push({
      timeline,
      segmentNumber,
      firstLsn: summary.firstLsn,
      lastLsn: summary.lastLsn,
      firstCommittedAtUs,
      lastCommittedAtUs,
      bytes: summary.bytes,
      origin: {
        type: 'files',
        directory,
        path: join(directory, segmentName(segmentNumber)),
        last: index === summaries.length - 1,
      },
    })
  }
  return { spans, marks, known: spans.map(({ timeline, lastLsn }) => ({ timeline, lsn: lastLsn })) }
}

/**
 * Throws when a file of a backup is gone.
 *
 * @throws RECOVERY_SOURCE_DAMAGED
 */
export async function requireFile(path: string, fileSystem: FileSystem): Promise<void> {
  if ((await fileSystem.status(path)) !== undefined) return
  throw recoveryError('RECOVERY_SOURCE_DAMAGED', 'a file of the backup is missing', { details: { path } })
}
