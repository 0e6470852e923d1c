/**
 * An update of a backup in its place: new segments are written beside it, renamed into its log folder, and then its manifest is replaced by
 * one rename. Nothing that the old manifest names changes but the last segment, which a longer one replaces that begins as it does; so the old
 * backup stands at every instant until the new one does, and no file that stays is touched, however many there are.
 *
 * A crash leaves the old manifest or the new one, and perhaps `<target>.partial-<pid>`, which the next backup to this target removes. With the
 * old manifest the log may already go on behind its end: readers end where the manifest does, and the next update replaces what lies there.
 */
import { join } from 'node:path'
import { encodeBackupManifest } from '@timberline/archive'
import type { BackupManifest } from '@timberline/archive'
import { BACKUP_LABEL } from '@timberline/engine'
import { removeIfPresent, syncQueue } from '@timberline/wal'
import type { FileSystem, SyncQueue } from '@timberline/wal'
import { SYNCS_PENDING_MAX, removePartial, writeFile } from '../sink/folder-sink.ts'
import { beginPartial } from '../sink/partial-folder.ts'
import type { PartialFolder } from '../sink/partial-folder.ts'
import type { BackupSink } from '../sink/sink.ts'

export interface FolderUpdateOptions {
  readonly target: string
  readonly label: string
  /** The manifest of the backup that is there. */
  readonly older: BackupManifest
  readonly fileSystem: FileSystem
}

/** An update in the making. */
export interface FolderUpdate extends Pick<
  BackupSink,
  'target' | 'label' | 'volumes' | 'complete' | 'abandon'
> {
  /** For what is needed meanwhile; it has a folder `log`. */
  readonly folder: string
  readonly syncs: SyncQueue
  /** Where to write a segment, by its name in the set, that comes into the set with its manifest. */
  readonly pathOfNew: (name: string) => string
}

interface Exchange {
  readonly partial: PartialFolder
  readonly older: BackupManifest
  /** Names in the set of what is new in it. */
  readonly segments: readonly string[]
}

/**
 * Begins an update of the backup in the target.
 *
 * @throws HOTBACKUP_TARGET_BUSY when another backup to the same target is under way
 */
export async function beginFolderUpdate(options: FolderUpdateOptions): Promise<FolderUpdate> {
  const { target, label, older, fileSystem } = options
  const partial = await beginPartial(target, fileSystem)
  const syncs = syncQueue(SYNCS_PENDING_MAX)
  const abandon = (): Promise<readonly string[]> => removePartial({ partial, syncs }, fileSystem)
  try {
    await fileSystem.makeDirectory(join(partial.path, 'log'))
  } catch (error) {
    await abandon()
    throw error
  }
  const segments: string[] = []
  return {
    target,
    label,
    folder: partial.path,
    syncs,
    pathOfNew: (name) => {
      segments.push(name)
      return join(partial.path, name)
    },
    complete: async (manifest) => {
      const content = encodeBackupManifest(manifest)
      await writeFile(join(partial.path, BACKUP_LABEL), content, { syncs, fileSystem })
      // The content of every new file is durable from here on.
      await syncs.settled()
      await exchange({ partial, older, segments }, fileSystem)
      return abandon()
    },
    abandon,
  }
}

/** Puts new segments and then the new manifest in place, durably. On an error the older manifest is in its place again. */
async function exchange(what: Exchange, fileSystem: FileSystem): Promise<void> {
  const { partial, segments } = what
  const { path, target } = partial
  try {
    for (const name of segments) await fileSystem.rename(join(path, name), join(target, name))
    // What the new manifest names is there, also after power loss, before anybody can read it.
    await fileSystem.syncDirectory(join(target, 'log'))
    await fileSystem.rename(join(path, BACKUP_LABEL), join(target, BACKUP_LABEL))
    // The updated backup stands, also after power loss.
    await fileSystem.syncDirectory(target)
  } catch (error) {
    // What cannot be put back now is whole either way; the error to tell is the first one.
    await putBack(what, fileSystem).catch(() => undefined)
    throw error
  }
}

/** Undoes an exchange by what is found: an error does not say whether a rename happened. */
async function putBack({ partial, older, segments }: Exchange, fileSystem: FileSystem): Promise<void> {
  const { path, target } = partial
  const made = join(path, BACKUP_LABEL)
  if ((await fileSystem.status(made)) === undefined) {
    const handle = await fileSystem.open(made, 'create')
    try {
      await handle.write(encodeBackupManifest(older), 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fileSystem.rename(made, join(target, BACKUP_LABEL))
    // The older manifest counts again, also after power loss, before what it does not name goes.
    await fileSystem.syncDirectory(target)
  }
  const known = new Set(older.files.map(({ name }) => name))
  for (const name of segments) if (!known.has(name)) await removeIfPresent(join(target, name), fileSystem)
}
