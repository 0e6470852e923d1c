import { classicPrototype } from '../level/native-level.ts'
import type { NativeClassic } from '../level/native-level.ts'
import type { OperationBatch } from './leveldb-raw.ts'
import { ReplayBatch } from './replay-batch.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import type { StateHandle } from './state-handle.ts'

/** LevelDB below the database class, as recovery opens, fills and closes it. */
export class ClassicHandle implements StateHandle {
  readonly #level: object
  readonly #native: NativeClassic
  readonly #options: object
  readonly #beforeClose: () => Promise<void>

  /**
   * @param parts.options - classic-level's, as they were given to open
   * @param parts.beforeClose - lets go of what must not be open when LevelDB is closed
   */
  constructor(parts: {
    readonly level: object
    readonly native: NativeClassic
    readonly options: object
    readonly beforeClose: () => Promise<void>
  }) {
    this.#level = parts.level
    this.#native = parts.native
    this.#options = parts.options
    this.#beforeClose = parts.beforeClose
  }

  async open({ createIfMissing }: { readonly createIfMissing: boolean }): Promise<void> {
    // Whether the home may exist was asked of the home; its LevelDB follows from that.
    const options = { ...this.#options, createIfMissing, errorIfExists: false }
    await classicPrototype._open.call(this.#level, options)
    this.#native.isClosed = false
  }

  async close(): Promise<void> {
    await this.#beforeClose()
    this.#native.isClosed = true
    await classicPrototype._close.call(this.#level)
  }

  applied(): Promise<AppliedPosition> {
    return this.#native.applied()
  }

  operationBatch(): OperationBatch {
    return new ReplayBatch(this.#native.batch())
  }
}
