import type { LogRecord } from '@timberline/wal'
import { refuseBulkLoad } from '../records/bulk-load-mark.ts'
import { engineError } from '../errors.ts'
import { refusalOf } from '../leveldb/leveldb-refusal.ts'
import type { OperationBatch, ReplayTarget } from './leveldb-raw.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { TransactionCursor } from '../records/transaction-cursor.ts'

/** Options of {@link replayInto}. */
export interface ReplayOptions {
  /** Stop after this one; default: the end of the records. */
  readonly throughLsn?: number
  readonly signal?: AbortSignal
  /** Called after each batch is in LevelDB; must not throw. */
  readonly onProgress?: (progress: ReplayProgress) => void
}

/** How far a replay has come. */
export interface ReplayProgress {
  readonly appliedLsn: number
  readonly lastCommittedAtUs: number
  /** Records replayed by this call. */
  readonly records: number
  /** Bytes of their payloads. */
  readonly bytes: number
}

/** Where a replay ended; `records` is 0 when there was nothing to do. */
export type ReplayResult = ReplayProgress

/** Batches of about this many operations are the fastest into LevelDB. */
const BATCH_OPERATIONS = 1000
/** Above this, memory counts more than the operations. */
const BATCH_BYTES = 1024 * 1024

/**
 * Applies log records to a state, from the one after its applied position on. Records at or before that are skipped, so
 * replaying again is harmless. Memory stays within two batches: one is written while the next is decoded.
 *
 * @throws ENGINE_LOG_GAP when the records begin later than the state ends; ENGINE_BULK_LOADED when they lead across a load
 * beside the log
 */
export async function replayInto(
  target: ReplayTarget,
  groups: AsyncIterable<readonly LogRecord[]>,
  options: ReplayOptions = {},
): Promise<ReplayResult> {
  const replay = new Replay(target, await target.applied(), options)
  const throughLsn = options.throughLsn ?? Number.MAX_SAFE_INTEGER
  try {
    for await (const group of groups) {
      options.signal?.throwIfAborted()
      for (const record of group) {
        if (record.lsn > throughLsn) break
        replay.add(record)
        if (replay.isFull) await replay.flush()
      }
      if (replay.lsn >= throughLsn) break
    }
  } finally {
    // Whatever happened, no write may still be running when the caller closes the state.
    await replay.settled()
  }
  return replay.end()
}

class Replay {
  readonly #target: ReplayTarget
  readonly #onProgress: ((progress: ReplayProgress) => void) | undefined
  #position: AppliedPosition
  readonly #transaction = new TransactionCursor()
  #batch: OperationBatch | undefined
  #operations = 0
  #batchBytes = 0
  #records = 0
  #bytes = 0
  #writing: Promise<void> = Promise.resolve()

  constructor(target: ReplayTarget, position: AppliedPosition, options: ReplayOptions) {
    this.#target = target
    this.#position = position
    this.#onProgress = options.onProgress
  }

  get lsn(): number {
    return this.#position.lsn
  }

  get isFull(): boolean {
    return this.#operations >= BATCH_OPERATIONS || this.#batchBytes >= BATCH_BYTES
  }

  add(record: LogRecord): void {
    const next = this.#position.lsn + 1
    if (record.lsn < next) return
    if (record.lsn > next) {
      throw engineError('ENGINE_LOG_GAP', 'the log does not go on where the state ends', {
        details: { neededLsn: next, foundLsn: record.lsn },
      })
    }
    this.#batch ??= this.#target.operationBatch()
    if (record.kind === 'entry') this.#addOperations(record, this.#batch)
    else refuseBulkLoad(record)
    this.#position = { lsn: record.lsn, committedAtUs: record.committedAtUs }
    this.#records += 1
    this.#bytes += record.payload.length
    // A record without operations counts too, so that a long run of marks is not one endless batch.
    this.#operations += 1
    this.#batchBytes += record.payload.length
  }

  /** Starts writing what was added, once the batch before it is in. */
  async flush(): Promise<void> {
    const batch = this.#batch
    if (batch === undefined) return
    const progress = this.#progress()
    this.#batch = undefined
    this.#operations = 0
    this.#batchBytes = 0
    await this.#writing
    this.#writing = batch.write(this.#position).then(
      () => this.#onProgress?.(progress),
      (error: unknown) => {
        throw refusalOf(error) ?? error
      },
    )
    // Awaited by the next flush or the end; without this, a failure in between would count as unhandled.
    this.#writing.catch(() => undefined)
  }

  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  async end(): Promise<ReplayResult> {
    await this.flush()
    await this.#writing
    return this.#progress()
  }

  #addOperations(record: LogRecord, batch: OperationBatch): void {
    const transaction = this.#transaction
    transaction.begin(record.payload)
    batch.addAll(transaction)
    // Whether the rest is whole is known only now; a batch with half of it in is never written.
    transaction.meta()
    this.#operations += transaction.count
  }

  #progress(): ReplayProgress {
    return {
      appliedLsn: this.#position.lsn,
      lastCommittedAtUs: this.#position.committedAtUs,
      records: this.#records,
      bytes: this.#bytes,
    }
  }
}
