import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import { checkpointName, encodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest, CheckpointTable } from '@timberline/engine'
import { unchangedTables } from './sink/backup-base.ts'
import { inParallel } from '@timberline/wal'
import { hotbackupError } from './errors.ts'
import type { CopyMeter } from './copy-meter.ts'
import type { BackupSink } from './sink/sink.ts'

/** Two at a time keep a disk busy; more only take the owner's share of it. */
const FILES_AT_A_TIME = 2
const LINKS_AT_A_TIME = 8

/** What is copied from. */
export interface PinnedData {
  readonly checkpoint: CheckpointManifest
  readonly tablesDirectory: string
  /** Tables that the sink took over from its base when the checkpoint was pinned, by name. */
  readonly taken?: ReadonlyMap<string, BackupFile> | undefined
}

/** Copies the pinned tables and describes the checkpoint, at leisure: nothing that happens in the home changes them. */
export async function copyData(
  pinned: PinnedData,
  sink: BackupSink,
  meter: CopyMeter,
): Promise<readonly BackupFile[]> {
  const { checkpoint, tablesDirectory } = pinned
  const reused = await reuseTables(pinned, sink, meter)
  const changed = checkpoint.tables.filter((table) => !reused.has(table))
  meter.expect(changed)
  const copied = await inParallel(changed, FILES_AT_A_TIME, async (table) => {
    const range = { path: join(tablesDirectory, table.name), bytes: table.bytes, sha256: table.sha256 }
    const file = await sink.copy(range, `checkpoint/tables/${table.name}`, meter.context)
    if (table.sha256 !== undefined && table.sha256 !== file.sha256) {
      throw hotbackupError(
        'HOTBACKUP_TABLE_DAMAGED',
        'a table has not the checksum that its checkpoint recorded',
        {
          details: {
            table: table.name,
            sha256: file.sha256,
            expectedSha256: table.sha256,
            lsn: checkpoint.lsn,
          },
        },
      )
    }
    meter.copied(file)
    return file
  })
  const tables = [...reused.values(), ...copied]
  const hashes = new Map(tables.map((file) => [file.name, file.sha256]))
  // In the set every table has its hash, whether the engine had come to hashing it or not.
  const known: CheckpointManifest = {
    ...checkpoint,
    tables: checkpoint.tables.map((table) => ({
      ...table,
      sha256: hashes.get(`checkpoint/tables/${table.name}`) ?? '',
    })),
  }
  const description = await sink.write(
    `checkpoint/${checkpointName(checkpoint.lsn)}`,
    encodeCheckpoint(known),
  )
  return [...tables, description]
}

/** Takes over what the base has and can give; a file that it has lost is copied anew, as if it had changed. */
async function reuseTables(
  pinned: PinnedData,
  sink: BackupSink,
  meter: CopyMeter,
): Promise<ReadonlyMap<CheckpointTable, BackupFile>> {
  const unchanged = await unchangedTables(pinned, sink.base, meter.context)
  const reused = new Map<CheckpointTable, BackupFile>()
  await inParallel([...unchanged], LINKS_AT_A_TIME, async ([table, known]) => {
    const file = pinned.taken?.get(table.name) ?? (await sink.reuse?.(known))
    if (file === undefined) return
    reused.set(table, file)
    meter.reused(file)
  })
  return reused
}
