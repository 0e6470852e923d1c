/**
 * An earlier backup whose unchanged tables need not be copied again. A table is never written after it was made, so number, length and
 * sha256 tell that two are one; the number alone does not: a database that was rebuilt or recovered gives it to another table.
 */
import { join } from 'node:path'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import type { CheckpointManifest, CheckpointTable, HomeIdentity } from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'
import { hashFile } from './file-source.ts'
import type { CopyContext } from './file-source.ts'
import { readTarget } from './folder-sink.ts'
import { settledPath } from './target-check.ts'

/** The earlier backup, as far as its files are concerned. */
export interface BackupBase {
  readonly label: string
  /** By their names in the set. */
  readonly files: ReadonlyMap<string, BackupFile>
}

/** An earlier backup in a folder. */
export interface FolderBase extends BackupBase {
  readonly folder: string
}

/** Whether a base has a table, as far as that is known without reading it. */
export function holdsTable({ files }: BackupBase, table: CheckpointTable): boolean {
  const file = files.get(`checkpoint/tables/${table.name}`)
  return file !== undefined && file.bytes === table.bytes && file.sha256 === table.sha256
}

/** The base that a manifest describes. */
export function baseOf({ label, files }: BackupManifest): BackupBase {
  return { label, files: new Map(files.map((file) => [file.name, file])) }
}

/**
 * Reads the backup in a folder as a base; `undefined` when nothing is there yet.
 *
 * @throws HOTBACKUP_BASE for a folder that holds no backup of this database
 */
export async function readFolderBase(
  folder: string,
  identity: HomeIdentity,
  fileSystem: FileSystem,
): Promise<FolderBase | undefined> {
  const settled = await settledPath(folder)
  let manifest: BackupManifest | undefined
  try {
    manifest = await readTarget(settled, identity, fileSystem)
  } catch (cause) {
    throw hotbackupError('HOTBACKUP_BASE', 'the base is no backup of this database', {
      details: { base: folder },
      cause,
    })
  }
  return manifest === undefined ? undefined : { ...baseOf(manifest), folder: settled }
}

/**
 * Refuses a base that has been replaced while files were taken over from it: what its manifest said is not of those files.
 *
 * @throws HOTBACKUP_BASE
 */
export async function refuseOtherBase(
  base: FolderBase,
  identity: HomeIdentity,
  fileSystem: FileSystem,
): Promise<void> {
  const now = await readFolderBase(base.folder, identity, fileSystem)
  const isSame =
    now?.label === base.label &&
    [...base.files.values()].every(({ name, sha256 }) => now.files.get(name)?.sha256 === sha256)
  if (isSame) return
  throw hotbackupError('HOTBACKUP_BASE', 'the base was replaced while its tables were taken over', {
    details: { base: base.folder },
  })
}

/** The files of a base that are tables of this checkpoint; one whose checksum is not recorded yet is read. */
export async function unchangedTables(
  pinned: { readonly checkpoint: CheckpointManifest; readonly tablesDirectory: string },
  base: BackupBase | undefined,
  context: CopyContext,
): Promise<ReadonlyMap<CheckpointTable, BackupFile>> {
  const unchanged = new Map<CheckpointTable, BackupFile>()
  for (const table of pinned.checkpoint.tables) {
    const file = base?.files.get(`checkpoint/tables/${table.name}`)
    if (file === undefined || file.bytes !== table.bytes) continue
    const path = join(pinned.tablesDirectory, table.name)
    const sha256 =
      table.sha256 ?? (await hashFile(path, { ...context, onBytes: () => undefined }, table.bytes)).sha256
    if (sha256 === file.sha256) unchanged.set(table, file)
  }
  return unchanged
}
