import type { AbstractSnapshot } from 'abstract-level'
import { ClassicLevel } from 'classic-level'
import { NativeClassic } from '../level/native-level.ts'
import { ReplayBatch } from './replay-batch.ts'
import { APPLIED_KEY, decodeApplied } from '../reserved-keys.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import type { TransactionCursor } from '../records/transaction-cursor.ts'

/** Operations gathered to go into LevelDB as one atomic batch. */
export interface OperationBatch {
  put(key: Buffer, value: Buffer): void
  del(key: Buffer): void
  /** Adds the operations of a transaction that the cursor has begun and not passed; keys and values are copied, or stay as they are. */
  addAll(transaction: TransactionCursor): void
  /** Writes them together with the position they lead to. One batch in flight at a time: the pool may reorder two. */
  write(position: AppliedPosition): Promise<void>
}

/** What replay writes into. */
export interface ReplayTarget {
  /** How far the log has been applied. */
  applied(): Promise<AppliedPosition>
  operationBatch(): OperationBatch
}

/** LevelDB bare: buffers in and out, the engine's own zone visible. Never for users, and never beside an open engine. */
export class RawLevel extends ClassicLevel<Buffer, Buffer> implements ReplayTarget {
  constructor(directory: string) {
    super(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  }

  async applied(): Promise<AppliedPosition> {
    return decodeApplied(await this.get(APPLIED_KEY))
  }

  /** How far the log had been applied when the snapshot was taken. */
  async appliedAt(snapshot: AbstractSnapshot): Promise<AppliedPosition> {
    return decodeApplied(await this.get(APPLIED_KEY, { snapshot }))
  }

  operationBatch(): OperationBatch {
    // Past the public batch, whose checks and hooks would be made for each of thousands of records.
    const native = new NativeClassic(this as unknown as ClassicLevel<unknown, unknown>)
    return new ReplayBatch(native.batch())
  }
}
