/**
 * Data put in beside the log, all of it or nothing.
 *
 * Model. While a load runs no write is under way, and readers are shown a snapshot of the state before. What is loaded goes into
 * LevelDB in batches that set the applied position beyond every log ({@link LOADING}), so that a state with half a load in it is
 * known by itself and rebuilt. When all is in, LevelDB is flushed, and the tables are staged: linked and named durably by
 * `checkpoint/load.json`, which by itself means nothing. Then one record decides: the mark of the load, durable in the log. Without
 * it the staged tables are swept, with it they are the state at its LSN. Only then do readers see what was loaded.
 */
import type { RecordPlace } from '@timberline/wal'
import type { AbstractSnapshot } from 'abstract-level'
import { BULK_LOAD_MARK } from './bulk-load-mark.ts'
import { takeAll } from './bulk-load-source.ts'
import type { BulkSource } from './bulk-load-source.ts'
import { undoLoad } from './bulk-load-undo.ts'
import { LoadWriter } from './bulk-load-writer.ts'
import type { StageLoad } from './checkpoint-load.ts'
import type { Engine } from './engine.ts'
import { engineError } from './errors.ts'
import type { NativeClassic } from './native-level.ts'

/** Shows readers the state of one moment, until it is released. */
export interface ReadFreeze {
  readonly snapshot: AbstractSnapshot
  release(): void
}

/** What is to be loaded, and how. */
export interface BulkLoadJob {
  readonly source: BulkSource
  readonly signal: AbortSignal | undefined
  /** Shows readers the present state until released. */
  freeze(): ReadFreeze
}

/** What a load works on. */
export interface BulkLoadHost {
  readonly engine: Engine
  readonly native: NativeClassic
  readonly stage: StageLoad
  /** Called when all is staged, right before the decision. */
  announce(): Promise<void>
}

/** What was loaded. */
export interface BulkLoaded {
  readonly entries: number
  /** Of keys and values. */
  readonly bytes: number
  /** The record that says so; when there was nothing to load, the last one before. */
  readonly place: RecordPlace
}

/** Loads while nothing else writes. A failure before the decision leaves no trace. */
export function loadBeside(host: BulkLoadHost, job: BulkLoadJob): Promise<BulkLoaded> {
  const { engine, native } = host
  return engine.exclusively(async (closing) => {
    const signal = job.signal === undefined ? closing : AbortSignal.any([closing, job.signal])
    const writer = new LoadWriter(native)
    const lsn = engine.nextLsn
    const reads = job.freeze()
    try {
      await takeAll(job.source, writer, signal)
      signal.throwIfAborted()
      if (writer.entries > 0) {
        await host.stage.write(lsn)
        await host.announce()
      }
      signal.throwIfAborted()
      // The tables are staged for this place in the log, and for no other.
      if (engine.nextLsn !== lsn) throw displaced(lsn, engine.nextLsn)
    } catch (error) {
      await undo(host, writer, reads)
      throw error
    }
    const { entries, bytes } = writer
    // When this fails, only the next open tells whether the mark is in the log; readers stay with the state before.
    const place =
      entries === 0 ? native.appliedAt(reads.snapshot) : await engine.loaded(Buffer.from(BULK_LOAD_MARK))
    // In one step for all readers: whoever begins from here on sees all of it.
    reads.release()
    return { entries, bytes, place }
  })
}

function displaced(lsn: number, nextLsn: number): Error {
  return engineError('ENGINE_STATE_DAMAGED', 'a record came between a load and its mark', {
    details: { lsn, nextLsn },
  })
}

async function undo(host: BulkLoadHost, writer: LoadWriter, reads: ReadFreeze): Promise<void> {
  const { engine, native } = host
  try {
    await writer.settled()
    await host.stage.clear()
    if (writer.range !== undefined) await undoLoad(native, reads.snapshot, writer.range)
    reads.release()
  } catch (cause) {
    // The state holds half a load: readers stay with the state before, and the next open rebuilds.
    engine.stateFailed(cause)
  }
}
