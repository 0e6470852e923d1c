/**
 * Tables that become part of a LevelDB folder at rest by one record of its MANIFEST. Until then they are files that LevelDB removes
 * as its own leftovers.
 */
import { appendEdit } from '../tables/added-tables.ts'
import { LEVEL_COUNT, encodeNewTables } from '../leveldb/leveldb-edit.ts'
import type { NewTable } from '../leveldb/leveldb-edit.ts'
import { readVersion } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { LeveldbVersion } from '../leveldb/leveldb-version.ts'
import type { OperationWindow } from '../tables/operation-window.ts'
import { APPLIED_KEY, encodeApplied } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { writeTable } from '../tables/table-making.ts'
import type { RestingFolder } from '../tables/table-making.ts'

/** The deepest first: LevelDB looks there last, so what is newer must lie above. */
const LEVELS = Array.from({ length: LEVEL_COUNT - 1 }, (_, index) => LEVEL_COUNT - 1 - index)

/** From so many tables of level 0 on LevelDB merges them. */
const MERGED_FROM = 4

/** Tables for a folder that holds no user's key yet, each newer than the one before. */
export class TableSet {
  readonly #folder: RestingFolder
  readonly #found: LeveldbVersion
  readonly #tables: NewTable[] = []
  /** Those that no table has yet. */
  readonly #freeLevels = [...LEVELS]
  /** The device takes the last table while the next one is made. */
  #flushing: Promise<void> = Promise.resolve()
  /** Tables of level 0. */
  overlappingCount: number

  private constructor(folder: RestingFolder, found: LeveldbVersion) {
    this.#folder = folder
    this.#found = found
    this.overlappingCount = [...found.version.tables.values()].filter(({ level }) => level === 0).length
  }

  /** @throws ENGINE_CURRENT_DAMAGED, ENGINE_MANIFEST_DAMAGED */
  static async of(folder: RestingFolder): Promise<TableSet> {
    const { dataDirectory, fileSystem } = folder
    return new TableSet(
      folder,
      await readVersion(new VersionReader(dataDirectory, fileSystem), dataDirectory),
    )
  }

  /** Whether another table and the last one give LevelDB nothing to merge. */
  get hasRoom(): boolean {
    return this.#freeLevels.length > 0 || this.overlappingCount < MERGED_FROM - 2
  }

  /**
   * Writes the newest operation of each key as a table; the one before is durable then, and the window is free.
   *
   * @param position - given with the last table: the one that all lead to, which must be newer than any that is there
   */
  async write(window: OperationWindow, position: AppliedPosition | undefined): Promise<void> {
    const { nextFile, lastSequence } = this.#found.version
    const number = nextFile + this.#tables.length
    const level = (position === undefined ? this.#freeLevels.shift() : undefined) ?? 0
    if (position !== undefined) window.put(APPLIED_KEY, encodeApplied(position))
    const job = { window, sequence: lastSequence + 1 + this.#tables.length }
    const before = this.#flushing
    const { table, durable } = await writeTable({ ...this.#folder, number }, job)
    this.#flushing = durable
    this.#tables.push({ ...table, number, level })
    if (level === 0) this.overlappingCount += 1
    // So no more than two are on their way.
    await before
  }

  /** Resolves once the device has all or has failed. */
  async settled(): Promise<void> {
    await this.#flushing.catch(() => undefined)
  }

  /** Makes the tables part of the database, all at once. */
  async add(): Promise<void> {
    const { dataDirectory, fileSystem } = this.#folder
    const { nextFile, lastSequence } = this.#found.version
    const count = this.#tables.length
    await this.#flushing
    // The tables have their names for good.
    await fileSystem.syncDirectory(dataDirectory)
    const counters = { nextFile: nextFile + count, lastSequence: lastSequence + count }
    await appendEdit(this.#folder, this.#found, encodeNewTables(this.#tables, counters))
  }
}
