import { AbstractChainedBatch } from 'abstract-level'
import type { AbstractLevel } from 'abstract-level'
import type { Change, Encoded } from '../level/native-level.ts'
import { TransactionEncoder } from '../records/transaction-codec.ts'
import type { WriteOptions } from './write-options.ts'

/** A chained batch that is ready to be committed. */
export interface GatheredBatch {
  readonly encoder: TransactionEncoder
  readonly changes: readonly Change[]
}

/** What a chained batch needs of its database. */
export interface ChainedBatchOwner {
  refuseReserved(key: Encoded): void
  commitGathered(batch: GatheredBatch, options: WriteOptions): Promise<unknown>
}

/** Most chained batches are small; the memory doubles when one is not. */
const SLAB_BYTES = 2048

/** A chained batch; it copies what it is given on the call, as classic-level's does. */
export class EngineChainedBatch extends AbstractChainedBatch<AbstractLevel<unknown>, unknown, unknown> {
  readonly #owner: ChainedBatchOwner
  readonly #encoder = new TransactionEncoder(SLAB_BYTES)
  #changes: Change[] = []

  constructor(level: AbstractLevel<unknown>, owner: ChainedBatchOwner) {
    super(level)
    this.#owner = owner
    this.#encoder.begin()
  }

  _put(key: Encoded, value: Encoded): void {
    this.#owner.refuseReserved(key)
    this.#changes.push(this.#encoder.put(key, value))
  }

  _del(key: Encoded): void {
    this.#owner.refuseReserved(key)
    this.#changes.push(this.#encoder.del(key))
  }

  _clear(): void {
    this.#encoder.begin()
    this.#changes = []
  }

  async _write(options: WriteOptions): Promise<void> {
    await this.#owner.commitGathered({ encoder: this.#encoder, changes: this.#changes }, options)
  }
}
