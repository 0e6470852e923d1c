/**
 * The folder of table links shared by checkpoints. Two rules keep it sound: a name that a published manifest holds is
 * never given to other content, and LevelDB is never opened on it: it would write a table number from after the
 * checkpoint through the shared content, and destroy the live table.
 */
import { dirname, join } from 'node:path'
import { inParallel, makeDirectoryDurable, removeIfPresent } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import type { CheckpointTable } from './checkpoint-manifest.ts'
import { codeOf, engineError } from '../errors.ts'
import type { ManifestTable } from '../leveldb/leveldb-edit.ts'
import { parseLeveldbName, tableName } from '../leveldb/leveldb-files.ts'
import { readVersion } from '../leveldb/leveldb-flush.ts'
import type { LeveldbVersion, VersionReader } from '../leveldb/leveldb-version.ts'
import { inTurns } from '../turns.ts'

/** Where links go from and to. */
export interface LinkPlace {
  readonly dataDirectory: string
  readonly tablesDirectory: string
  readonly fileSystem: FileSystem
}

/** One version of LevelDB whose every table is linked. */
export interface LinkedVersion {
  readonly found: LeveldbVersion
  /** In the order of their numbers. */
  readonly tables: readonly CheckpointTable[]
  readonly linkedCount: number
  readonly tries: number
}

const TRIES_MAX = 1000
const LINKS_AT_A_TIME = 8

/**
 * Links the tables of one version: exactly the set that one whole MANIFEST prefix names. A table is complete and durable
 * before the MANIFEST names it and is removed only after a later record dropped it, so if all could be linked, they are
 * that version. While they vanish under us, it goes on with a newer version and keeps what is still part of it.
 *
 * @param published - the tables of the published checkpoint, which are linked already
 * @throws ENGINE_CHECKPOINT_RESTLESS
 */
export async function linkVersion(
  first: LeveldbVersion,
  reader: VersionReader,
  place: LinkPlace & { readonly published: ReadonlyMap<number, CheckpointTable> },
): Promise<LinkedVersion> {
  // A checkpoint whose folder's own name were lost would be lost with it, after the log below it has gone.
  await makeDirectoryDurable(dirname(place.tablesDirectory), place.fileSystem)
  await makeDirectoryDurable(place.tablesDirectory, place.fileSystem)
  const linked = new Map<number, CheckpointTable>()
  let found = first
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const numbers = await sortedNumbers(found)
    const wanted = await tablesToLink(found, numbers, { linked, published: place.published })
    if (await linkAll(wanted, linked, place)) {
      await dropOthers(linked, found, place)
      // The names of the links are durable.
      await place.fileSystem.syncDirectory(place.tablesDirectory)
      const tables: CheckpointTable[] = []
      await inTurns(numbers, (number) => tables.push(tableOf(number, linked, place.published)))
      return { found, tables, linkedCount: linked.size, tries }
    }
    found = await readVersion(reader, place.dataDirectory)
    await dropOthers(linked, found, place)
  }
  throw engineError('ENGINE_CHECKPOINT_RESTLESS', 'the tables of one version kept vanishing', {
    details: { dataDirectory: place.dataDirectory, tries: TRIES_MAX },
  })
}

/** Removes from the folder every table that no manifest in `keep` names; returns how many. */
export async function sweepTables(
  tablesDirectory: string,
  keep: ReadonlySet<string>,
  fileSystem: FileSystem,
): Promise<number> {
  if ((await fileSystem.status(tablesDirectory)) === undefined) return 0
  let removed = 0
  for (const name of await fileSystem.list(tablesDirectory)) {
    if (keep.has(name) || parseLeveldbName(name)?.type !== 'table') continue
    if (await removeIfPresent(join(tablesDirectory, name), fileSystem)) removed += 1
  }
  return removed
}

/** Bytes of those tables that have no other name any more. */
export async function heldAlone(
  tables: readonly CheckpointTable[],
  tablesDirectory: string,
  fileSystem: FileSystem,
): Promise<number> {
  let bytes = 0
  for (const { name } of tables) {
    const status = await fileSystem.status(join(tablesDirectory, name))
    if (status?.linkCount === 1) bytes += status.bytes
  }
  return bytes
}

/** Numbers alone, which takes a tenth of what sorting the tables would. */
async function sortedNumbers({ version: { tables } }: LeveldbVersion): Promise<Float64Array> {
  const numbers = new Float64Array(tables.size)
  let at = 0
  await inTurns(tables.keys(), (number) => {
    numbers[at] = number
    at += 1
  })
  return numbers.sort()
}

/** Those that neither an earlier try nor the published checkpoint has linked. */
async function tablesToLink(
  found: LeveldbVersion,
  numbers: Iterable<number>,
  held: {
    readonly linked: ReadonlyMap<number, CheckpointTable>
    readonly published: ReadonlyMap<number, CheckpointTable>
  },
): Promise<readonly ManifestTable[]> {
  const wanted: ManifestTable[] = []
  await inTurns(numbers, (number) => {
    const table = found.version.tables.get(number)
    if (table === undefined) return
    refuseForked(table, held.published.get(number))
    if (!isHeld(table, held.linked) && !isHeld(table, held.published)) wanted.push(table)
  })
  return wanted
}

/** A rebuild begins a new numbering and removes the checkpoints of the old one; if that failed, linking would spoil both. */
function refuseForked(table: ManifestTable, held: CheckpointTable | undefined): void {
  if (held === undefined || held.bytes === table.bytes) return
  throw engineError('ENGINE_CHECKPOINT_DAMAGED', 'a checkpoint holds another table of the same number', {
    details: { table: held.name, bytes: held.bytes, liveBytes: table.bytes },
  })
}

function isHeld(table: ManifestTable, held: ReadonlyMap<number, CheckpointTable>): boolean {
  return held.get(table.number)?.bytes === table.bytes
}

function tableOf(
  number: number,
  linked: ReadonlyMap<number, CheckpointTable>,
  published: ReadonlyMap<number, CheckpointTable>,
): CheckpointTable {
  const held = linked.get(number) ?? published.get(number)
  if (held !== undefined) return held
  throw new Error(`table ${number} is neither linked nor published`)
}

/** False as soon as one has vanished; what was linked until then stays. */
async function linkAll(
  tables: readonly ManifestTable[],
  linked: Map<number, CheckpointTable>,
  place: LinkPlace,
): Promise<boolean> {
  let vanished = false
  await inParallel(tables, LINKS_AT_A_TIME, async (table) => {
    if (vanished) return
    const name = await linkTable(table, place)
    if (name === undefined) vanished = true
    else linked.set(table.number, { name, bytes: table.bytes })
  })
  return !vanished
}

/** The name under which a table is linked now; `undefined` when LevelDB has removed it. */
async function linkTable(table: ManifestTable, place: LinkPlace): Promise<string | undefined> {
  for (const extension of ['ldb', 'sst'] as const) {
    const name = tableName(table.number, extension)
    const link = join(place.tablesDirectory, name)
    // A leftover of an interrupted checkpoint: this number may since have been given to other content.
    await removeIfPresent(link, place.fileSystem)
    try {
      await place.fileSystem.link(join(place.dataDirectory, name), link)
    } catch (error) {
      if (codeOf(error) === 'ENOENT') continue
      throw error
    }
    await refuseWrongLength(link, table, place.fileSystem)
    return name
  }
  return undefined
}

async function refuseWrongLength(link: string, table: ManifestTable, fileSystem: FileSystem): Promise<void> {
  const bytes = (await fileSystem.status(link))?.bytes
  if (bytes === table.bytes) return
  throw engineError('ENGINE_TABLE_DAMAGED', 'a table has not the length that the MANIFEST records', {
    details: { path: link, bytes, expectedBytes: table.bytes },
  })
}

async function dropOthers(
  linked: Map<number, CheckpointTable>,
  found: LeveldbVersion,
  place: LinkPlace,
): Promise<void> {
  for (const [number, table] of linked) {
    if (found.version.tables.has(number)) continue
    await removeIfPresent(join(place.tablesDirectory, table.name), place.fileSystem)
    linked.delete(number)
  }
}
