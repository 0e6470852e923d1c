// The first part of every recovery: the tables of a base as a LevelDB folder. Nothing unverified is ever opened.
import type { BackupManifest } from '@timberline/archive'
import { type CheckpointManifest, type CheckpointTable, writeDataFromCheckpoint } from '@timberline/engine'
import type { Base } from '../history/history.ts'
import { hasNoLinks } from './link-tree.ts'
import type { RecoverySource } from '../source/source.ts'
import type { TransferOptions } from '../transfer.ts'

const tablePrefix = 'checkpoint/tables/'

/** What is restored, and where to. */
export interface BaseRestore {
  readonly source: Pick<RecoverySource, 'restoreTables'>
  readonly base: Base
  readonly manifest: BackupManifest
  /** Where the tables are written first; must exist. */
  readonly tablesDirectory: string
  readonly dataDirectory: string
  readonly options: TransferOptions
}

/** Tables of the base, verified while written, and from there as links into `data/`, CURRENT last. */
export async function restoreBase(restore: BaseRestore): Promise<void> {
  const { source, base, manifest, tablesDirectory, dataDirectory, options } = restore
  const { fileSystem } = options
  await source.restoreTables(base, tablesDirectory, options)
  await fileSystem.syncDirectory(tablesDirectory)
  const checkpoint = checkpointOf(manifest)
  try {
    await writeDataFromCheckpoint(checkpoint, tablesDirectory, dataDirectory, {
      mode: 'link',
      verify: false,
      fileSystem,
    })
  } catch (error) {
    if (!hasNoLinks(error)) throw error
    await fileSystem.removeTree(dataDirectory)
    await writeDataFromCheckpoint(checkpoint, tablesDirectory, dataDirectory, {
      mode: 'copy',
      verify: false,
      fileSystem,
    })
  }
}

/** Bytes of the tables of a backup. */
export function tableBytes({ files }: BackupManifest): number {
  return files.filter(({ name }) => name.startsWith(tablePrefix)).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** The tables of a backup, under the names that they have in a folder. */
export function checkpointTables({ files }: BackupManifest): readonly CheckpointTable[] {
  return files
    .filter(({ name }) => name.startsWith(tablePrefix))
    .map(({ name, bytes, sha256 }) => ({ name: name.slice(tablePrefix.length), bytes, sha256 }))
}

function checkpointOf(manifest: BackupManifest): CheckpointManifest {
  const { environmentId, timeline, checkpoint, endedAtUs: createdAtUs } = manifest
  return {
    format: 1,
    environmentId,
    timeline,
    ...checkpoint,
    tables: checkpointTables(manifest),
    createdAtUs,
  }
}
