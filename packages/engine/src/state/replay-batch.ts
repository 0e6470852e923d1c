import type { OperationBatch } from './leveldb-raw.ts'
import type { NativeBatch } from '../level/native-level.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import type { TransactionCursor } from '../records/transaction-cursor.ts'

/** A native batch as replay fills it. */
export class ReplayBatch implements OperationBatch {
  readonly #batch: NativeBatch

  constructor(batch: NativeBatch) {
    this.#batch = batch
  }

  put(key: Buffer, value: Buffer): void {
    this.#batch.add({ key, value })
  }

  del(key: Buffer): void {
    this.#batch.add({ key, value: undefined })
  }

  addAll(transaction: TransactionCursor): void {
    while (transaction.next()) {
      const { key, value } = transaction
      this.#batch.add({ key, value })
    }
  }

  write(position: AppliedPosition): Promise<void> {
    return this.#batch.write(position)
  }
}
