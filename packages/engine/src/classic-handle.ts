import { classicPrototype } from './native-level.ts'
import type { NativeClassic } from './native-level.ts'
import type { OperationBatch } from './leveldb-raw.ts'
import { ReplayBatch } from './replay-batch.ts'
import type { AppliedPosition } from './reserved-keys.ts'
import type { StateHandle } from './state-handle.ts'

/** LevelDB below the database class, as recovery opens, fills and closes it. */
export class ClassicHandle implements StateHandle {
  readonly #level: object
  readonly #native: NativeClassic
  readonly #options: object

  /** @param options - classic-level's, as they were given to open */
  constructor(level: object, native: NativeClassic, options: object) {
    this.#level = level
    this.#native = native
    this.#options = options
  }

  open({ createIfMissing }: { readonly createIfMissing: boolean }): Promise<void> {
    // Whether the home may exist was asked of the home; its LevelDB follows from that.
    const options = { ...this.#options, createIfMissing, errorIfExists: false }
    return classicPrototype._open.call(this.#level, options)
  }

  close(): Promise<void> {
    return classicPrototype._close.call(this.#level)
  }

  applied(): Promise<AppliedPosition> {
    return this.#native.applied()
  }

  operationBatch(): OperationBatch {
    return new ReplayBatch(this.#native.batch())
  }
}
