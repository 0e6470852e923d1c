// The end of a log that grows, looked at when the caller wants to: what a follower does between two rings of its bell.
import type { FileSystem } from '../files/file-system.ts'
import { within } from './log-reader.ts'
import { LogWalker } from './log-walker.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { LogRecord, Lsn } from '../records/record.ts'

/** Where to read from. */
export interface LogTailOptions {
  readonly directory: string
  /** The first record wanted; it may lie in the future. */
  readonly fromLsn: Lsn
  readonly fileSystem?: FileSystem | undefined
}

/** What one look found. */
export interface TailLook {
  /** Durable: no power cut can take them back. */
  readonly groups: LogRecord[][]
  /** False where more was there already when the look stopped at its bound. */
  readonly ended: boolean
}

/** How much payload is gathered before it is synced and handed on, in bytes. */
const BATCH_BYTES_MAX = 1024 * 1024

/** Reads a log from an LSN on, look by look, also while another process writes it. */
export class LogTail {
  readonly #fromLsn: Lsn
  readonly #walker: LogWalker
  #located = false

  constructor({ directory, fromLsn, fileSystem = nodeFileSystem }: LogTailOptions) {
    this.#fromLsn = fromLsn
    this.#walker = new LogWalker({ directory, fileSystem, durable: true })
  }

  /** The LSN of the record that the next look begins with; `undefined` before the first segment was found. */
  get nextLsn(): Lsn | undefined {
    return this.#walker.nextLsn
  }

  /** The segment that is being read: all before it were read to their ends. `undefined` between two. */
  get segmentNumber(): number | undefined {
    return this.#walker.reader?.header.segmentNumber
  }

  /** Goes to where the first record is or will be, once; false while the log has no segment at all. @throws WAL_GAP */
  async locate(): Promise<boolean> {
    this.#located ||= await this.#walker.locate(this.#fromLsn)
    return this.#located
  }

  /**
   * Reads until the end or the bound, and makes what was read durable through a handle of its own.
   *
   * @throws WAL_GAP, WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
   */
  async look(): Promise<TailLook> {
    const walker = this.#walker
    if (!(await this.locate())) return { groups: [], ended: true }
    const groups: LogRecord[][] = []
    let bytes = 0
    let lastLsn = 0
    let ended = false
    while (!ended && bytes < BATCH_BYTES_MAX) {
      const step = await walker.step()
      if (step.type === 'end') ended = true
      if (step.type !== 'group') continue
      const records = within(step.records, this.#fromLsn, Number.MAX_SAFE_INTEGER)
      if (records.length === 0) continue
      bytes += step.header.payloadBytes
      // v8 ignore next -- it is not empty, as was asked above
      lastLsn = records.at(-1)?.lsn ?? lastLsn
      groups.push(records)
      // What was written since the file was read waits for the next look: a busy writer is always one frame ahead.
      ended ||= walker.reader?.seesMore !== true
    }
    const durableLsn = walker.reader?.tally.durableLsn ?? lastLsn
    // Later frames state what was durable before them; only beyond that must the file be synced before the records go out.
    if (lastLsn > durableLsn) await walker.sync()
    return { groups, ended }
  }

  /**
   * Judges what stands behind the last record, once a look has found nothing: a frame that is being written, or damage.
   *
   * @throws WAL_CORRUPT
   */
  async judge(): Promise<void> {
    if (this.#located) await this.#walker.judge()
  }

  close(): Promise<void> {
    return this.#walker.close()
  }
}
