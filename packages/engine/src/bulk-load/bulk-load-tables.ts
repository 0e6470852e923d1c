/**
 * A load that goes into tables made here, in a LevelDB folder that nobody has open and that holds no entry yet. LevelDB's own way is a
 * log, an insertion of each entry into a list in memory, and merges of the overlapping tables that it makes of that list.
 *
 * Model. Entries are gathered up to some MiB, sorted, and written as a table that no MANIFEST names. One record of the MANIFEST adds
 * all of them, together with the position that says that the state is not to be used ({@link LOADING}). The oldest tables go to the
 * deepest levels, one to each, where LevelDB looks last and has nothing to merge; those that come when no level is free any more go
 * where tables may overlap. When these are too many, LevelDB is opened on them, and takes the rest as it takes any batch.
 */
import type { BulkSink } from './bulk-load-source.ts'
import { TableSet } from './bulk-load-table-set.ts'
import type { Change } from '../level/native-level.ts'
import { OperationWindow } from '../tables/operation-window.ts'
import { LOADING } from '../reserved-keys.ts'
import { openState } from '../state/state.ts'
import type { State } from '../state/state.ts'
import type { RestingFolder } from '../tables/table-making.ts'
import { nextTurn } from '../turns.ts'

/** How much is gathered for a table, in bytes of keys and values, and how many tables may overlap. */
export interface TableLoadLimits {
  /** For a table that nothing is to be merged with: few enough that a processor's cache holds them while they are sorted and written. */
  readonly windowBytes: number
  /** For one that is: fewer are better. */
  readonly laterWindowBytes: number
  /** Short entries count too: some numbers are kept of each, and sorting more holds up the loop. */
  readonly windowEntries: number
  /** LevelDB makes no more tables that may overlap: it lets writers wait until it has sorted some. */
  readonly overlappingMax: number
}

const MIB = 1024 * 1024
const LIMITS: TableLoadLimits = {
  windowBytes: 7.75 * MIB,
  laterWindowBytes: 32 * MIB,
  windowEntries: 250_000,
  overlappingMax: 11,
}
/** After so many bytes others have a turn of the loop; LevelDB gets them in batches of as many. */
const TURN_BYTES = MIB
const NO_BYTES = Buffer.alloc(0)

/** Makes tables of a load: one is written while the next one is gathered, so memory stays within two of them: 16 MiB, 64 for a long load. */
export class TableLoad implements BulkSink {
  entries = 0
  /** Of keys and values. */
  bytes = 0
  readonly #folder: RestingFolder
  readonly #limits: TableLoadLimits
  readonly #tables: TableSet
  #window: OperationWindow
  #spare: OperationWindow
  /** With so many bytes gathered somebody else has a turn. */
  #turnAt = 0
  #writing: Promise<void> = Promise.resolve()
  /** LevelDB, once there are as many tables as it would make itself. */
  #opened: State | undefined

  private constructor(folder: RestingFolder, tables: TableSet, limits: TableLoadLimits) {
    this.#folder = folder
    this.#tables = tables
    this.#limits = limits
    const bytesMax = limits.laterWindowBytes + TURN_BYTES
    this.#window = new OperationWindow(bytesMax)
    this.#spare = new OperationWindow(bytesMax)
  }

  /** @throws ENGINE_CURRENT_DAMAGED, ENGINE_MANIFEST_DAMAGED */
  static async of(folder: RestingFolder, limits: Partial<TableLoadLimits> = {}): Promise<TableLoad> {
    return new TableLoad(folder, await TableSet.of(folder), { ...LIMITS, ...limits })
  }

  get isFull(): boolean {
    return this.#window.bytes >= this.#turnAt || this.#window.count >= this.#limits.windowEntries
  }

  /** Takes a change; the caller may use its memory again at once. */
  add({ key, value = '' }: Change): void {
    const keyBytes = typeof key === 'string' ? Buffer.from(key) : key
    const valueBytes = typeof value === 'string' ? Buffer.from(value) : value
    this.#window.put(keyBytes, valueBytes)
    this.entries += 1
    this.bytes += keyBytes.length + valueBytes.length
  }

  /** Lets others have a turn; begins to write what was gathered if that is enough, once the table before is written. */
  async flush(): Promise<void> {
    const { windowBytes, laterWindowBytes, windowEntries } = this.#limits
    const { bytes, count } = this.#window
    const bytesMax = this.#tables.hasRoom ? windowBytes : laterWindowBytes
    if (bytes >= bytesMax || count >= windowEntries) {
      await this.#writing
      this.#begin()
    } else await nextTurn()
    this.#turnAt = Math.min(this.#window.bytes + TURN_BYTES, bytesMax)
  }

  /** Writes what is left, and adds all tables to the database. Nobody has it open then. */
  async end(): Promise<void> {
    await this.#writing
    if (this.entries === 0) return
    if (this.#opened === undefined) await this.#addTables(this.#window)
    else await this.#pass(this.#opened, this.#window)
    await this.#opened?.flush()
    await this.#closeOpened()
  }

  /** Resolves once nothing is being written and the database is closed, whatever came of it. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined)
    await this.#tables.settled()
    await this.#closeOpened()
  }

  async #closeOpened(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    await opened?.close()
  }

  #begin(): void {
    const window = this.#window
    this.#window = this.#spare
    this.#spare = window
    this.#writing = this.#write(window)
    // Awaited by the next flush or the end; without this, a failure in between would count as unhandled.
    this.#writing.catch(() => undefined)
  }

  async #write(window: OperationWindow): Promise<void> {
    if (this.#opened !== undefined) await this.#pass(this.#opened, window)
    else if (this.#tables.overlappingCount < this.#limits.overlappingMax - 1) {
      await this.#tables.write(window, undefined)
    } else {
      await this.#addTables(window)
      const { dataDirectory, fileSystem } = this.#folder
      this.#opened = await openState(dataDirectory, { createIfMissing: false, fileSystem })
    }
    window.clear()
  }

  async #addTables(last: OperationWindow): Promise<void> {
    await this.#tables.write(last, LOADING)
    await this.#tables.add()
  }

  /** In the order in which they came, so that of one key the last one stays. */
  async #pass({ level }: State, window: OperationWindow): Promise<void> {
    const batch = level.operationBatch()
    let writtenBytes = 0
    for (let index = 0; index < window.count; index += 1) {
      batch.put(window.key(index), window.value(index) ?? NO_BYTES)
      const bytes = window.keyAt(index) - writtenBytes
      if (bytes < TURN_BYTES) continue
      writtenBytes += bytes
      await batch.write(LOADING)
    }
    await batch.write(LOADING)
  }
}
