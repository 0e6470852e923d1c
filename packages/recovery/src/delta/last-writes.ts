// The last write of each key, however many there are: a LevelDB of its own, in a folder that goes afterwards. Memory is that of
// LevelDB; the folder grows with the keys, not with the writes.
import {
  type AppliedPosition,
  type Operation,
  type OperationBatch,
  RawLevel,
  type ReplayTarget,
} from '@timberline/engine'
import type { Lsn } from '@timberline/wal'

/** First byte of a value: a key that was removed is an entry too, since a delta must remove it again. */
const REMOVED = Buffer.from([0])
const WRITTEN = Buffer.from([1])
const ENTRIES_AT_A_TIME = 1000
const READ_AHEAD_BYTES = 1024 * 1024

/** What replay writes into when a delta is made; it begins empty, right before the first record of the delta. */
export class LastWrites implements ReplayTarget {
  readonly #level: RawLevel
  #position: AppliedPosition

  private constructor(level: RawLevel, firstLsn: Lsn) {
    this.#level = level
    this.#position = { lsn: firstLsn - 1, committedAtUs: 0 }
  }

  /** Opens an empty one in a folder that is not there yet. */
  static async open(directory: string, firstLsn: Lsn): Promise<LastWrites> {
    const level = new RawLevel(directory)
    await level.open({ createIfMissing: true, errorIfExists: true })
    return new LastWrites(level, firstLsn)
  }

  applied(): Promise<AppliedPosition> {
    return Promise.resolve(this.#position)
  }

  operationBatch(): OperationBatch {
    const batch = this.#level.batch()
    return {
      put: (key, value) => void batch.put(key, Buffer.concat([WRITTEN, value])),
      del: (key) => void batch.put(key, REMOVED),
      addAll: (transaction) => {
        while (transaction.next()) {
          const { key, value } = transaction
          batch.put(key, value === undefined ? REMOVED : Buffer.concat([WRITTEN, value]))
        }
      },
      write: async (position) => {
        await batch.write()
        this.#position = position
      },
    }
  }

  /** All of them by key, in batches; each call begins anew. */
  async *operations(): AsyncGenerator<readonly Operation[]> {
    const iterator = this.#level.iterator({ highWaterMarkBytes: READ_AHEAD_BYTES, fillCache: false })
    try {
      for (;;) {
        const entries = await iterator.nextv(ENTRIES_AT_A_TIME)
        if (entries.length === 0) return
        yield entries.map(([key, value]): Operation => {
          return value[0] === REMOVED[0]
            ? { type: 'del', key }
            : { type: 'put', key, value: value.subarray(WRITTEN.length) }
        })
      }
    } finally {
      await iterator.close()
    }
  }

  async close(): Promise<void> {
    await this.#level.close()
  }
}
