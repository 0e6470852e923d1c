/**
 * Data put in beside the log, all of it or nothing.
 *
 * Model. While a load runs no write is under way, and readers are shown the state before. What is loaded goes into
 * LevelDB in batches, or into tables made beside it where there was no entry before; both set the applied position beyond every log ({@link LOADING}), so that a state with half a load in it is
 * known by itself and rebuilt. When all is in tables, they are staged: linked and named durably by
 * `checkpoint/load.json`, which by itself means nothing. Then one record decides: the mark of the load, durable in the log. Without
 * it the staged tables are swept, with it they are the state at its LSN. Only then do readers see what was loaded.
 */
import type { RecordPlace } from '@timberline/wal'
import { BULK_LOAD_MARK } from '../records/bulk-load-mark.ts'
import { takeAll } from './bulk-load-source.ts'
import type { BulkSource } from './bulk-load-source.ts'
import { loadTarget } from './bulk-load-target.ts'
import type { LoadPlace, LoadTarget } from './bulk-load-target.ts'
import type { Engine } from '../commit/engine.ts'
import { engineError } from '../errors.ts'
import type { ShownState } from '../level/shown-state.ts'

/** What is to be loaded, and how. */
export interface BulkLoadJob {
  readonly source: BulkSource
  readonly signal: AbortSignal | undefined
  /** What readers of the database see. */
  readonly shown: ShownState
}

/** What a load works on. */
export interface BulkLoadHost extends Omit<LoadPlace, 'shown'> {
  readonly engine: Engine
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
  const { engine } = host
  return engine.exclusively(async (closing) => {
    const signal = job.signal === undefined ? closing : AbortSignal.any([closing, job.signal])
    const lsn = engine.nextLsn
    const target = await loadTarget({ ...host, shown: job.shown })
    const { reads } = target
    let loaded: { readonly entries: number; readonly bytes: number }
    try {
      const sink = await target.begin()
      await takeAll(job.source, sink, signal)
      signal.throwIfAborted()
      await target.stage(lsn)
      if (sink.entries > 0) await host.announce()
      signal.throwIfAborted()
      // The tables are staged for this place in the log, and for no other.
      if (engine.nextLsn !== lsn) throw displaced(lsn, engine.nextLsn)
      loaded = sink
    } catch (error) {
      await undo(engine, target)
      throw error
    }
    const { entries, bytes } = loaded
    // When this fails, only the next open tells whether the mark is in the log; readers stay with the state before.
    const place = entries === 0 ? target.before : await engine.loaded(Buffer.from(BULK_LOAD_MARK))
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

async function undo(engine: Engine, target: LoadTarget): Promise<void> {
  try {
    await target.undo()
    target.reads.release()
  } catch (cause) {
    // The state holds half a load: readers stay with the state before, and the next open rebuilds.
    engine.stateFailed(cause)
  }
}
