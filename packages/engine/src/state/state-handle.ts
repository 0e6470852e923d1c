import type { OpenOptions } from 'classic-level'
import { engineError } from '../errors.ts'
import { RawLevel } from './leveldb-raw.ts'
import type { OperationBatch, ReplayTarget } from './leveldb-raw.ts'
import type { AppliedPosition } from '../reserved-keys.ts'

/** LevelDB as the recovery at open handles it; over `super._open` and `super._close` in the database class. */
export interface StateHandle extends ReplayTarget {
  /** Called again after `close` when the folder was rebuilt. */
  open(options: { readonly createIfMissing: boolean }): Promise<void>
  close(): Promise<void>
}

/**
 * A handle over a bare LevelDB. The database object is made only by `open`: an abstract-level database opens by itself a
 * moment after it was constructed, and that would replay LevelDB's own log before it could be removed.
 */
export class RawStateHandle implements StateHandle {
  readonly #dataDirectory: string
  readonly #options: OpenOptions
  #level: RawLevel | undefined

  constructor(dataDirectory: string, options: OpenOptions = {}) {
    this.#dataDirectory = dataDirectory
    this.#options = options
  }

  /** The open database. */
  get level(): RawLevel {
    if (this.#level !== undefined) return this.#level
    throw engineError('ENGINE_STATE_CLOSED', 'the state is not open', {
      details: { dataDirectory: this.#dataDirectory },
    })
  }

  async open(options: { readonly createIfMissing: boolean }): Promise<void> {
    const level = new RawLevel(this.#dataDirectory)
    await level.open({ ...this.#options, ...options })
    this.#level = level
  }

  async close(): Promise<void> {
    await this.#level?.close()
    this.#level = undefined
  }

  applied(): Promise<AppliedPosition> {
    return this.level.applied()
  }

  operationBatch(): OperationBatch {
    return this.level.operationBatch()
  }
}
