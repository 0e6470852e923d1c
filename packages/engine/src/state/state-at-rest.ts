/**
 * A state that nobody has open, brought forward by tables that are made here. LevelDB's own way for a long log is the insertion of each
 * record into a list in memory, which takes longer than all else in a recovery.
 *
 * Model. Operations are gathered in memory. When enough are there, or a digest or a checkpoint asks, the newest of each key become a
 * table together with the position that they lead to. So the tables are at all times the state at just the position that they tell.
 */
import { invariant, nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { AddedTables } from '../tables/added-tables.ts'
import { takeCheckpoint } from '../checkpoint/checkpoint-take.ts'
import type { TakeCheckpointOptions, TakenCheckpoint } from '../checkpoint/checkpoint-take.ts'
import type { StateDigest } from '../tables/digest.ts'
import type { OperationBatch, ReplayTarget } from './leveldb-raw.ts'
import { OperationWindow } from '../tables/operation-window.ts'
import { canMakeTables } from '../tables/table-blocks.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { dataCondition, openState, prepareData } from './state.ts'
import type { State } from './state.ts'
import type { RestingFolder } from '../tables/table-making.ts'

/** A state on its way forward that LevelDB knows nothing of yet. Its owner holds the home's lock, or a scratch copy. */
export interface StateAtRest extends ReplayTarget {
  /** Takes a checkpoint of this state into a home. */
  checkpoint(options: Omit<TakeCheckpointOptions, 'level'>): Promise<TakenCheckpoint>
  /** Brings all that was applied into tables, durably. */
  flush(): Promise<void>
  /** Remembers the present state: `digests` will tell of it as well. */
  remember(): Promise<void>
  /** Of the states that were remembered and the present one, in their order, in one reading of the tables if they are still told apart. */
  digests(): Promise<readonly StateDigest[]>
  /** What was not flushed for a checkpoint, a digest or by itself is forgotten: it comes out of the log again. */
  close(): Promise<void>
}

/** Options of {@link openStateAtRest}. */
export interface StateAtRestOptions {
  /** Make an empty state where there is none; default false. */
  readonly createIfMissing?: boolean
  readonly fileSystem?: FileSystem
  /** Keys and values gathered for one table, in bytes; default 64 MiB. The last batch may go beyond. */
  readonly tableBytesMax?: number
}

const TABLE_BYTES_MAX = 64 * 1024 * 1024
/** What the last batch mostly takes beyond that. */
const BATCH_BYTES = 1024 * 1024
/** Short operations count too: some numbers are kept of each. */
const TABLE_OPERATIONS_MAX = 1_000_000
/** LevelDB makes no more tables that may overlap: it lets writers wait until it has sorted some. */
const OVERLAPPING_MAX = 12

/**
 * Takes a LevelDB folder that nobody has open, at its last flush.
 *
 * @throws ENGINE_CURRENT_DAMAGED, ENGINE_MANIFEST_DAMAGED, ENGINE_TABLE_DAMAGED
 */
export async function openStateAtRest(
  dataDirectory: string,
  options: StateAtRestOptions = {},
): Promise<StateAtRest> {
  const { createIfMissing = false, fileSystem = nodeFileSystem, tableBytesMax = TABLE_BYTES_MAX } = options
  const folder = { dataDirectory, fileSystem }
  // An empty one is LevelDB's to make.
  const isNew = createIfMissing && (await dataCondition(dataDirectory, fileSystem)) === 'empty'
  if (isNew) await (await openState(dataDirectory, { createIfMissing, fileSystem })).close()
  await prepareData(dataDirectory, { createIfMissing: false, fileSystem })
  const tables = await AddedTables.of(folder)
  const state = new RestingState({ folder, tables, tableBytesMax, position: await tables.applied() })
  await state.openWhenFull()
  return state
}

interface RestingParts {
  readonly folder: RestingFolder
  readonly tables: AddedTables
  readonly tableBytesMax: number
  readonly position: AppliedPosition
}

class RestingState implements StateAtRest {
  readonly #parts: RestingParts
  #position: AppliedPosition
  /** How far the tables are. */
  #tablesLsn: number
  #window: OperationWindow
  /** Takes what comes while a table is made of the other. */
  #spare: OperationWindow
  /** Operations of batches that were written. */
  #writtenCount = 0
  /** Where states end that a digest was asked of. */
  readonly #remembered: number[] = []
  /** Of those before them. */
  readonly #digests: StateDigest[] = []
  /** LevelDB, once it must sort before more can be added. */
  #opened: State | undefined

  constructor(parts: RestingParts) {
    this.#parts = parts
    this.#position = parts.position
    this.#tablesLsn = parts.position.lsn
    const bytesMax = parts.tableBytesMax + BATCH_BYTES
    this.#window = new OperationWindow(bytesMax)
    this.#spare = new OperationWindow(bytesMax)
  }

  applied(): Promise<AppliedPosition> {
    return Promise.resolve(this.#position)
  }

  operationBatch(): OperationBatch {
    return {
      put: (key, value) => {
        this.#window.put(key, value)
      },
      del: (key) => {
        this.#window.del(key)
      },
      addAll: (transaction) => {
        this.#window.addAll(transaction)
      },
      write: (position) => this.#write(position),
    }
  }

  async checkpoint(options: Omit<TakeCheckpointOptions, 'level'>): Promise<TakenCheckpoint> {
    await this.#endTable()
    return this.#opened === undefined ? takeCheckpoint(options) : this.#opened.checkpoint(options)
  }

  async flush(): Promise<void> {
    await this.#endTable()
    await this.#opened?.flush()
  }

  async remember(): Promise<void> {
    await this.#endTable()
    if (this.#opened === undefined) this.#remembered.push(this.#parts.tables.sequence)
    else this.#digests.push(await this.#opened.digest())
  }

  async digests(): Promise<readonly StateDigest[]> {
    await this.remember()
    await this.#digestRemembered()
    return this.#digests.splice(0)
  }

  async close(): Promise<void> {
    await this.#opened?.close()
  }

  /** Lets LevelDB go on where it would have to sort first, and where no tables can be made. */
  async openWhenFull(): Promise<void> {
    const { tables, folder } = this.#parts
    if (tables.overlappingCount < OVERLAPPING_MAX && canMakeTables()) return
    const { dataDirectory, fileSystem } = folder
    // LevelDB merges what was remembered with what follows.
    await this.#digestRemembered()
    this.#opened = await openState(dataDirectory, { createIfMissing: false, fileSystem })
  }

  async #write(position: AppliedPosition): Promise<void> {
    const window = this.#window
    this.#position = position
    this.#writtenCount = window.count
    if (this.#opened !== undefined) await this.#pass(this.#opened)
    else if (window.bytes >= this.#parts.tableBytesMax || window.count >= TABLE_OPERATIONS_MAX) {
      await this.#endTable()
    }
  }

  /** Makes a table of what was gathered; the next batch is gathered beside that. LevelDB makes its own. */
  async #endTable(): Promise<void> {
    const position = this.#position
    if (this.#opened !== undefined || position.lsn === this.#tablesLsn) return
    const window = this.#takeWindow()
    await this.#parts.tables.add(window, position)
    window.clear()
    this.#tablesLsn = position.lsn
    await this.openWhenFull()
  }

  async #digestRemembered(): Promise<void> {
    const sequences = this.#remembered.splice(0)
    if (sequences.length > 0) this.#digests.push(...(await this.#parts.tables.digests(sequences)))
  }

  async #pass(opened: State): Promise<void> {
    const position = this.#position
    const window = this.#takeWindow()
    const batch = opened.level.operationBatch()
    for (let index = 0; index < window.count; index += 1) {
      const key = window.key(index)
      const value = window.value(index)
      if (value === undefined) batch.del(key)
      else batch.put(key, value)
    }
    window.clear()
    await batch.write(position)
  }

  #takeWindow(): OperationWindow {
    const window = this.#window
    invariant(window.count === this.#writtenCount, 'no table is made of half a batch')
    this.#window = this.#spare
    this.#spare = window
    this.#writtenCount = 0
    return window
  }
}
