/**
 * Verification of a backup folder from its manifest alone: every file is there with its length and checksum, nothing else
 * is, and the log leads from the checkpoint to the end that the manifest names. Nothing is opened as a database.
 */
import { join } from 'node:path'
import { decodeBackupManifest, logEndOf, logGoesOn } from '@timberline/archive'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { BACKUP_LABEL, decodeCheckpoint } from '@timberline/engine'
import {
  inParallel,
  listSegments,
  nodeFileSystem,
  parseSegmentName,
  readFileWhole,
  segmentName,
  TimberlineError,
} from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { planCopy } from './copy-plan.ts'
import { systemCodeOf } from './errors.ts'
import { hashFile } from './sink/file-source.ts'
import { plannedSegment } from './log-copy.ts'
import { chunkBuffers } from './chunk-buffers.ts'
import { rateLimit } from './pace/rate-limit.ts'

/** What is wrong with a backup. */
export interface BackupFinding {
  readonly code:
    | 'BACKUP_MISSING'
    | 'BACKUP_MANIFEST_DAMAGED'
    | 'BACKUP_FILE_MISSING'
    | 'BACKUP_FILE_LENGTH'
    | 'BACKUP_FILE_CHECKSUM'
    | 'BACKUP_FILE_UNREADABLE'
    | 'BACKUP_FILE_UNLISTED'
    | 'BACKUP_CHECKPOINT_DAMAGED'
    | 'BACKUP_LOG_DAMAGED'
    | 'BACKUP_LOG_GAP'
    | 'BACKUP_LOG_END'
  /** Name in the set, or the folder. */
  readonly name: string
  readonly message: string
}

export interface VerifyBackupOptions {
  readonly fileSystem?: FileSystem
  readonly signal?: AbortSignal
  /** Called after each chunk that was read. */
  readonly onProgress?: (progress: { readonly bytesRead: number; readonly bytesTotal: number }) => void
}

const FILES_AT_A_TIME = 2
const MANIFEST_BYTES_MAX = 256 * 1024 * 1024

/** All that is wrong with a backup folder; none = whole. */
export async function verifyBackup(
  directory: string,
  options: VerifyBackupOptions = {},
): Promise<readonly BackupFinding[]> {
  const { fileSystem = nodeFileSystem } = options
  let manifest: BackupManifest
  try {
    manifest = decodeBackupManifest(
      await readFileWhole(join(directory, BACKUP_LABEL), fileSystem, MANIFEST_BYTES_MAX),
    )
  } catch (error) {
    const missing = systemCodeOf(error) === 'ENOENT'
    return [finding(missing ? 'BACKUP_MISSING' : 'BACKUP_MANIFEST_DAMAGED', BACKUP_LABEL, error)]
  }
  const goesOn = await logGoesOn(directory, manifest, fileSystem)
  const files = await verifyFiles({ directory, manifest, goesOn }, { ...options, fileSystem })
  const unlisted = await findUnlisted({ directory, manifest, goesOn }, fileSystem)
  // A damaged file is named once; whether the log still leads to the end is asked of files that are what was written.
  if (files.length > 0) return [...files, ...unlisted]
  const log = await verifyLog(directory, manifest, fileSystem)
  const checkpoint = await verifyCheckpoint(directory, manifest, fileSystem)
  return [...unlisted, ...checkpoint, ...log]
}

interface CheckedSet {
  readonly directory: string
  readonly manifest: BackupManifest
  /** Whether the folder has more log than the set, and that log is sound. */
  readonly goesOn: boolean
}

async function verifyFiles(
  { directory, manifest, goesOn }: CheckedSet,
  options: VerifyBackupOptions & { readonly fileSystem: FileSystem },
): Promise<readonly BackupFinding[]> {
  const { fileSystem, signal } = options
  const end = logEndOf(manifest)
  const growing = goesOn && end !== undefined ? `log/${segmentName(end.segmentNumber)}` : undefined
  const bytesTotal = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  let bytesRead = 0
  const context = {
    fileSystem,
    limit: rateLimit({ bytesPerS: undefined, signal }),
    buffers: chunkBuffers(),
    onBytes: (bytes: number) => {
      bytesRead += bytes
      options.onProgress?.({ bytesRead, bytesTotal })
    },
  }
  const found = await inParallel(
    manifest.files,
    FILES_AT_A_TIME,
    async (file): Promise<readonly BackupFinding[]> => {
      try {
        const bytes = (await fileSystem.status(join(directory, file.name)))?.bytes
        if (bytes === undefined) return [finding('BACKUP_FILE_MISSING', file.name, 'the file is missing')]
        const isOther = file.name === growing ? bytes < file.bytes : bytes !== file.bytes
        if (isOther) {
          return [finding('BACKUP_FILE_LENGTH', file.name, `${bytes} bytes instead of ${file.bytes}`)]
        }
        const { sha256 } = await hashFile(join(directory, file.name), context, file.bytes)
        if (sha256 === file.sha256) return []
        return [finding('BACKUP_FILE_CHECKSUM', file.name, `sha256 ${sha256} instead of ${file.sha256}`)]
      } catch (error) {
        if (systemCodeOf(error) === undefined && !(error instanceof TimberlineError)) throw error
        return [finding('BACKUP_FILE_UNREADABLE', file.name, error)]
      }
    },
  )
  return found.flat()
}

/** A foreign file is as dangerous as a damaged one: a stray log or table would be taken for part of the set. */
async function findUnlisted(
  { directory, manifest, goesOn }: CheckedSet,
  fileSystem: FileSystem,
): Promise<readonly BackupFinding[]> {
  const lastNumber = logEndOf(manifest)?.segmentNumber ?? 0
  const isBehind = (name: string): boolean =>
    goesOn && name.startsWith('log/') && (parseSegmentName(name.slice('log/'.length)) ?? 0) > lastNumber
  const listed = new Set([BACKUP_LABEL, ...manifest.files.map((file: BackupFile) => file.name)])
  const unlisted: BackupFinding[] = []
  const folders = ['']
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await fileSystem.list(join(directory, folder))) {
      const name = folder === '' ? entry : `${folder}/${entry}`
      const status = await fileSystem.status(join(directory, name))
      if (status?.isDirectory === true) folders.push(name)
      else if (!listed.has(name) && !isBehind(name)) {
        unlisted.push(finding('BACKUP_FILE_UNLISTED', name, 'the manifest does not name this file'))
      }
    }
  }
  return unlisted
}

async function verifyCheckpoint(
  directory: string,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<readonly BackupFinding[]> {
  const names = manifest.files.map((file: BackupFile) => file.name)
  const name = names.find((each) => /^checkpoint\/\d+\.json$/.test(each))
  if (name === undefined)
    return [finding('BACKUP_CHECKPOINT_DAMAGED', 'checkpoint', 'the set has no checkpoint')]
  try {
    const path = join(directory, name)
    const checkpoint = decodeCheckpoint(await readFileWhole(path, fileSystem, MANIFEST_BYTES_MAX), path)
    const lost = checkpoint.tables.filter((table) => !names.includes(`checkpoint/tables/${table.name}`))
    if (
      checkpoint.lsn !== manifest.checkpoint.lsn ||
      checkpoint.manifestBase64 !== manifest.checkpoint.manifestBase64
    ) {
      return [finding('BACKUP_CHECKPOINT_DAMAGED', name, 'it is another checkpoint than the manifest names')]
    }
    return lost.map((table) =>
      finding('BACKUP_FILE_MISSING', `checkpoint/tables/${table.name}`, 'not in the manifest'),
    )
  } catch (error) {
    return [finding('BACKUP_CHECKPOINT_DAMAGED', name, error)]
  }
}

async function verifyLog(
  directory: string,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<readonly BackupFinding[]> {
  try {
    const segments = await listSegments(join(directory, 'log'), fileSystem, {
      scan: true,
      through: logEndOf(manifest),
    })
    const { environmentId, timeline, checkpoint } = manifest
    const plan = planCopy({ environmentId, timeline, ...checkpoint }, segments.map(plannedSegment))
    if (plan.type === 'gap') {
      return [
        finding('BACKUP_LOG_GAP', 'log', `${plan.reason}, segment=${plan.segmentNumber} lsn=${plan.lsn}`),
      ]
    }
    if (plan.endLsn === manifest.endLsn) return []
    return [
      finding('BACKUP_LOG_END', 'log', `the log ends at LSN ${plan.endLsn} instead of ${manifest.endLsn}`),
    ]
  } catch (error) {
    return [finding('BACKUP_LOG_DAMAGED', 'log', error)]
  }
}

function finding(code: BackupFinding['code'], name: string, why: unknown): BackupFinding {
  return { code, name, message: why instanceof Error ? why.message : String(why) }
}
