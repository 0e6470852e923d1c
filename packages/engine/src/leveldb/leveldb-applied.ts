import { join } from 'node:path'
import { readFully } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import type { ManifestTable } from './leveldb-edit.ts'
import { tableName } from './leveldb-files.ts'
import { findInTable } from './leveldb-table.ts'
import type { TableEntry, TableSource } from './leveldb-table.ts'
import { APPLIED_KEY, NOTHING_APPLIED, decodeApplied } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { inTurns } from '../turns.ts'

/**
 * The applied position that a set of tables holds, read out of the tables themselves. Between a flush and the reading of
 * the MANIFEST, LevelDB may flush again, so only the set can tell exactly which transactions it contains; and it tells it
 * without a pause of writers and without opening it. The key is the greatest there is: a table has it exactly if the
 * table ends with it, which one in each level does at most, and those still waiting to be sorted in.
 *
 * @throws ENGINE_TABLE_DAMAGED, ENGINE_STATE_DAMAGED
 */
export async function appliedInTables(
  tables: Iterable<ManifestTable>,
  directory: string,
  fileSystem: FileSystem,
): Promise<AppliedPosition> {
  const last: number[] = []
  await inTurns(tables, ({ largestKey, number }) => {
    if (Buffer.compare(largestKey, APPLIED_KEY) >= 0) last.push(number)
  })
  let newest: TableEntry | undefined
  for (const number of last) {
    const path = await tablePath(number, directory, fileSystem)
    const entry = await withTable(path, fileSystem, (source) => findInTable(source, APPLIED_KEY))
    if (entry !== undefined && entry.sequence > (newest?.sequence ?? -1)) newest = entry
  }
  return newest?.value === undefined ? NOTHING_APPLIED : decodeApplied(newest.value)
}

/** Opens a table for reading, and closes it again. */
export async function withTable<Result>(
  path: string,
  fileSystem: FileSystem,
  use: (table: TableSource) => Promise<Result>,
): Promise<Result> {
  const handle = await fileSystem.open(path, 'read')
  try {
    const { bytes } = await handle.status()
    return await use({ path, bytes, read: (target, position) => readFully(handle, target, position) })
  } finally {
    await handle.close()
  }
}

/** Old versions of LevelDB called their tables `.sst`. */
export async function tablePath(number: number, directory: string, fileSystem: FileSystem): Promise<string> {
  const path = join(directory, tableName(number))
  if ((await fileSystem.status(path)) !== undefined) return path
  return join(directory, tableName(number, 'sst'))
}
