import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { decodeBackupManifest, encodeBackupManifest } from '@timberline/archive'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { BACKUP_LABEL } from '@timberline/engine'
import type { HomeIdentity } from '@timberline/engine'
import { inParallel, makeDirectoryDurable, readFileWhole, syncQueue } from '@timberline/wal'
import type { FileSystem, SyncQueue } from '@timberline/wal'
import type { FolderBase } from './backup-base.ts'
import { hotbackupError, systemCodeOf } from '../errors.ts'
import type { HotbackupListener } from '../events.ts'
import { copyRange } from './file-source.ts'
import { appear, beginPartial, foreignNames, namesIn, removeSet, settleLeftovers } from './partial-folder.ts'
import type { PartialFolder } from './partial-folder.ts'
import { copySegment } from './segment-copy.ts'
import type { BackupSink } from './sink.ts'

/** Folders inside a set, innermost first. */
const SET_FOLDERS = ['checkpoint/tables', 'checkpoint', 'log'] as const

/** Another file system, one without links, one that gives no more of them, or a file that was removed meanwhile. */
const NO_LINK = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'ENOENT'])

/** Files that wait for the disk while others are copied: more gain nothing, fewer leave the disk idle. */
export const SYNCS_PENDING_MAX = 4

export interface FolderSinkOptions {
  readonly target: string
  readonly label: string
  /** An earlier backup whose tables may be linked. */
  readonly base?: FolderBase | undefined
  readonly fileSystem: FileSystem
}

/** A backup folder in the making; `folder` is where it is written. */
export interface FolderSink extends BackupSink {
  readonly folder: string
  /** For files that are written there by other means than `copy` and `write`. */
  readonly syncs: SyncQueue
}

/**
 * Looks at a target folder before anything is written: cleans leftovers beside it, and reads the older backup in it.
 *
 * @throws HOTBACKUP_TARGET_NOT_BACKUP, HOTBACKUP_TARGET_FOREIGN, HOTBACKUP_TARGET_BUSY
 */
export async function inspectTarget(
  target: string,
  identity: HomeIdentity,
  context: { fileSystem: FileSystem; onEvent: HotbackupListener },
): Promise<BackupManifest | undefined> {
  await settleLeftovers(target, context.fileSystem, context.onEvent)
  return readTarget(target, identity, context.fileSystem)
}

/**
 * The older backup in a target folder, `undefined` when it is to be made; changes nothing.
 *
 * @throws HOTBACKUP_TARGET_NOT_BACKUP, HOTBACKUP_TARGET_FOREIGN
 */
export async function readTarget(
  target: string,
  identity: HomeIdentity,
  fileSystem: FileSystem,
): Promise<BackupManifest | undefined> {
  const status = await fileSystem.status(target)
  if (status === undefined) return undefined
  if (!status.isDirectory) throw notBackup(target, 'it is a file')
  const names = await namesIn(target, fileSystem)
  if (names.length === 0) return undefined
  const foreign = foreignNames(names)
  if (foreign.length > 0) throw notBackup(target, `it holds ${foreign.slice(0, 5).join(', ')}`)
  if (!names.includes(BACKUP_LABEL)) throw notBackup(target, `it has no ${BACKUP_LABEL}`)
  const manifest = await readManifest(target, fileSystem)
  if (manifest.environmentId !== identity.environmentId) {
    throw hotbackupError('HOTBACKUP_TARGET_FOREIGN', 'the target is a backup of another database', {
      details: { target, environmentId: manifest.environmentId, home: identity.environmentId },
    })
  }
  return manifest
}

/** Begins a backup folder: `<target>.partial-<pid>` with the folders of a set. */
export async function beginFolderSink(options: FolderSinkOptions): Promise<FolderSink> {
  const { base, target, label, fileSystem } = options
  // The backup's name is durable when it has appeared; so must be that of the folder it appears in.
  await makeDirectoryDurable(dirname(target), fileSystem)
  const partial = await beginPartial(target, fileSystem)
  const syncs = syncQueue(SYNCS_PENDING_MAX)
  const abandon = (): Promise<readonly string[]> => removePartial({ partial, syncs }, fileSystem)
  try {
    for (const folder of SET_FOLDERS) await fileSystem.makeDirectory(join(partial.path, folder))
  } catch (error) {
    await abandon()
    throw error
  }
  return {
    target,
    label,
    folder: partial.path,
    syncs,
    base,
    reuse: async (file) =>
      base === undefined ? undefined : linkFile(file, { from: base.folder, to: partial.path, fileSystem }),
    copy: async (range, name, context) => {
      const { bytes, sha256 } = await copyRange(range, { path: join(partial.path, name), syncs }, context)
      return { name, bytes, sha256 }
    },
    copySegment: async (what, name, context) => {
      const copied = await copySegment(what, { path: join(partial.path, name), syncs }, context)
      const { bytes, sha256, summary } = copied
      return { file: { name, bytes, sha256 }, summary }
    },
    write: async (name, content) => {
      await writeFile(join(partial.path, name), content, { syncs, fileSystem })
      return { name, bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }
    },
    complete: (manifest) => completeFolder({ partial, syncs }, manifest, fileSystem),
    abandon,
  }
}

/** A partial folder with the files in it that are not durable yet. */
interface Writing {
  readonly partial: PartialFolder
  readonly syncs: SyncQueue
  /** Closes what else is open in the folder. */
  readonly letGo?: () => Promise<void>
}

async function completeFolder(
  { partial, syncs }: Writing,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<readonly string[]> {
  const content = encodeBackupManifest(manifest)
  await writeFile(join(partial.path, BACKUP_LABEL), content, { syncs, fileSystem })
  await partial.unmark()
  const syncNames = [...SET_FOLDERS, ''].map(
    (folder) => () => fileSystem.syncDirectory(join(partial.path, folder)),
  )
  // Contents and names become durable side by side: neither counts before the folder appears.
  await inParallel([() => syncs.settled(), ...syncNames], Infinity, (sync) => sync())
  const old = await appear(partial, fileSystem)
  partial.forget()
  if (old === undefined) return []
  try {
    await removeSet(old, fileSystem)
    return []
  } catch {
    // The new backup stands; the older one is in nobody's way and goes with the next backup to this target.
    return [old]
  }
}

/**
 * A second name for a file of an earlier backup, which was durable when that backup appeared; `undefined` when it is not what its
 * manifest says by its length, or lies where no link leads.
 */
async function linkFile(
  file: BackupFile,
  where: { from: string; to: string; fileSystem: FileSystem },
): Promise<BackupFile | undefined> {
  const { from, to, fileSystem } = where
  if ((await fileSystem.status(join(from, file.name)))?.bytes !== file.bytes) return undefined
  try {
    await fileSystem.link(join(from, file.name), join(to, file.name))
    return file
  } catch (error) {
    if (NO_LINK.has(systemCodeOf(error) ?? '')) return undefined
    throw error
  }
}

/** Removes a partial folder; resolves with what could not be removed. */
export async function removePartial(
  { partial, syncs, letGo }: Writing,
  fileSystem: FileSystem,
): Promise<readonly string[]> {
  // No handle may be open in a folder that is being removed; why a sync failed has been told by whoever waited for it.
  await syncs.settled().catch(() => undefined)
  try {
    await letGo?.()
    await fileSystem.removeTree(partial.path)
    return []
  } catch {
    // It looks like no backup by its name, and the next backup to this target removes it.
    return [partial.path]
  } finally {
    partial.forget()
  }
}

/** Writes a new file, and leaves its durability to the queue. */
export async function writeFile(
  path: string,
  content: Buffer,
  more: { syncs: SyncQueue; fileSystem: FileSystem },
): Promise<void> {
  const handle = await more.fileSystem.open(path, 'create')
  try {
    await handle.write(content, 0)
  } catch (error) {
    await handle.close()
    throw error
  }
  await more.syncs.add(handle)
}

async function readManifest(target: string, fileSystem: FileSystem): Promise<BackupManifest> {
  let content: Buffer
  try {
    content = await readFileWhole(join(target, BACKUP_LABEL), fileSystem)
  } catch (error) {
    if (systemCodeOf(error) !== undefined) throw error
    throw notBackup(target, `its ${BACKUP_LABEL} cannot be read`, error)
  }
  try {
    return decodeBackupManifest(content)
  } catch (error) {
    // A damaged backup is not replaced without being asked: it may be all that is left.
    throw notBackup(target, `its ${BACKUP_LABEL} is damaged`, error)
  }
}

function notBackup(target: string, reason: string, cause?: unknown): Error {
  return hotbackupError(
    'HOTBACKUP_TARGET_NOT_BACKUP',
    `the target is not empty and not a backup: ${reason}`,
    {
      details: { target },
      ...(cause === undefined ? {} : { cause }),
    },
  )
}
