/**
 * Tables added to a LevelDB folder that nobody has open. The table is durable before a record of the MANIFEST names it, and the record
 * before anything rests on it: a crash leaves a file that LevelDB removes as its own leftovers, or a cut record, which it leaves out.
 */
import { join } from 'node:path'
import type { StateDigest } from './digest.ts'
import { appliedInTables } from '../leveldb/leveldb-applied.ts'
import { encodeNewTables } from '../leveldb/leveldb-edit.ts'
import { readVersion } from '../leveldb/leveldb-flush.ts'
import { encodeRecord } from '../leveldb/leveldb-record.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { LeveldbVersion } from '../leveldb/leveldb-version.ts'
import type { OperationWindow } from './operation-window.ts'
import { APPLIED_KEY, encodeApplied } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { digestsOfTables } from './table-digest.ts'
import { makeTable } from './table-making.ts'
import type { RestingFolder } from './table-making.ts'

/** The tables of a folder, as its MANIFEST names them, and those that are added. */
export class AddedTables {
  readonly #folder: RestingFolder
  readonly #reader: VersionReader
  #found: LeveldbVersion

  private constructor(folder: RestingFolder, reader: VersionReader, found: LeveldbVersion) {
    this.#folder = folder
    this.#reader = reader
    this.#found = found
  }

  /** @throws ENGINE_CURRENT_DAMAGED, ENGINE_MANIFEST_DAMAGED */
  static async of(folder: RestingFolder): Promise<AddedTables> {
    const reader = new VersionReader(folder.dataDirectory, folder.fileSystem)
    return new AddedTables(folder, reader, await readVersion(reader, folder.dataDirectory))
  }

  /** Tables that any other may overlap: LevelDB looks into all of them for a key. */
  get overlappingCount(): number {
    return [...this.#found.version.tables.values()].filter(({ level }) => level === 0).length
  }

  applied(): Promise<AppliedPosition> {
    const { dataDirectory, fileSystem } = this.#folder
    return appliedInTables(this.#found.version.tables.values(), dataDirectory, fileSystem)
  }

  /** Tells the present state from later ones, as long as LevelDB has not merged any. */
  get sequence(): number {
    return this.#found.version.lastSequence
  }

  /** Of the states at these sequences. Nobody removes a table here, so they are read where they lie. */
  digests(sequences: readonly number[]): Promise<StateDigest[]> {
    const { dataDirectory, fileSystem } = this.#folder
    const place = { directory: dataDirectory, fileSystem }
    return digestsOfTables(this.#found.version.tables.values(), place, sequences)
  }

  /** Makes a table of the newest operation of each key, and of the position that they lead to. */
  async add(window: OperationWindow, position: AppliedPosition): Promise<void> {
    const { dataDirectory, fileSystem } = this.#folder
    const { nextFile, lastSequence } = this.#found.version
    window.put(APPLIED_KEY, encodeApplied(position))
    const sequence = lastSequence + 1
    const table = await makeTable({ ...this.#folder, number: nextFile }, { window, sequence })
    // The table has its name for good.
    await fileSystem.syncDirectory(dataDirectory)
    const counters = { nextFile: nextFile + 1, lastSequence: sequence }
    await appendEdit(this.#folder, this.#found, encodeNewTables([{ ...table, number: nextFile }], counters))
    this.#found = await readVersion(this.#reader, dataDirectory)
  }
}

/** Appends a record to the MANIFEST of a version, durably. The tables that it names are durable with their names. */
export async function appendEdit(
  { dataDirectory, fileSystem }: RestingFolder,
  { manifestName, version }: LeveldbVersion,
  edit: Buffer,
): Promise<void> {
  const handle = await fileSystem.open(join(dataDirectory, manifestName), 'write')
  try {
    // A record that was cut would lie behind the new one, and end the reading of the next.
    if ((await handle.status()).bytes > version.endBytes) await handle.truncate(version.endBytes)
    await handle.write(encodeRecord(edit, version.endBytes), version.endBytes)
    // From here on the table is part of the database.
    await handle.sync()
  } finally {
    await handle.close()
  }
}
