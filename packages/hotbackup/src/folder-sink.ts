import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { decodeBackupManifest, encodeBackupManifest } from '@timberline/archive'
import type { BackupManifest } from '@timberline/archive'
import { BACKUP_LABEL } from '@timberline/engine'
import type { HomeIdentity } from '@timberline/engine'
import { readFileWhole } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError, systemCodeOf } from './errors.ts'
import type { HotbackupListener } from './events.ts'
import { copyRange } from './file-source.ts'
import { appear, beginPartial, foreignNames, namesIn, settleLeftovers } from './partial-folder.ts'
import type { PartialFolder } from './partial-folder.ts'
import type { BackupSink } from './sink.ts'

/** Folders inside a set; synced before it appears, innermost first. */
const SET_FOLDERS = ['checkpoint/tables', 'checkpoint', 'log'] as const

export interface FolderSinkOptions {
  readonly target: string
  readonly label: string
  readonly fileSystem: FileSystem
}

/** A backup folder in the making; `folder` is where it is written. */
export interface FolderSink extends BackupSink {
  readonly folder: string
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
  const { fileSystem } = context
  await settleLeftovers(target, fileSystem, context.onEvent)
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
  const { target, label, fileSystem } = options
  await fileSystem.makeDirectory(dirname(target))
  const partial = await beginPartial(target, fileSystem)
  const abandon = (): Promise<readonly string[]> => removePartial(partial, fileSystem)
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
    copy: async (range, name, context) => {
      const { bytes, sha256 } = await copyRange(range, join(partial.path, name), context)
      return { name, bytes, sha256 }
    },
    write: (name, content) => writeFile(join(partial.path, name), content, { name, fileSystem }),
    complete: (manifest) => completeFolder(partial, manifest, fileSystem),
    abandon,
  }
}

async function completeFolder(
  partial: PartialFolder,
  manifest: BackupManifest,
  fileSystem: FileSystem,
): Promise<readonly string[]> {
  const content = encodeBackupManifest(manifest)
  await writeFile(join(partial.path, BACKUP_LABEL), content, { name: BACKUP_LABEL, fileSystem })
  // The names of all files are durable; their content was when each was closed.
  for (const folder of SET_FOLDERS) await fileSystem.syncDirectory(join(partial.path, folder))
  const old = await appear(partial, fileSystem)
  partial.forget()
  if (old === undefined) return []
  try {
    await fileSystem.removeTree(old)
    return []
  } catch {
    // The new backup stands; the older one is in nobody's way and goes with the next backup to this target.
    return [old]
  }
}

async function removePartial(partial: PartialFolder, fileSystem: FileSystem): Promise<readonly string[]> {
  try {
    await fileSystem.removeTree(partial.path)
    return []
  } catch {
    // It looks like no backup by its name, and the next backup to this target removes it.
    return [partial.path]
  } finally {
    partial.forget()
  }
}

async function writeFile(
  path: string,
  content: Buffer,
  more: { name: string; fileSystem: FileSystem },
): Promise<{ name: string; bytes: number; sha256: string }> {
  const handle = await more.fileSystem.open(path, 'create')
  try {
    await handle.write(content, 0)
    // The content is durable from here on.
    await handle.sync()
  } finally {
    await handle.close()
  }
  return {
    name: more.name,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  }
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
