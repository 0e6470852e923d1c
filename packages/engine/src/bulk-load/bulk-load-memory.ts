/**
 * A load into a tree in memory: one transaction. There is no checkpoint that could hold what the log does not, so the log, if there is
 * one, gets all of it in one record; the tree takes it in one step.
 */
import type { BulkLoaded } from './bulk-load.ts'
import { takeAll } from './bulk-load-source.ts'
import type { BulkSink, BulkSource } from './bulk-load-source.ts'
import type { EncodedOperation, Engine } from '../commit/engine.ts'
import type { Change, Encoded } from '../level/native-level.ts'
import type { NativeMemory } from '../level/native-memory.ts'

/** What a load works on. */
export interface MemoryLoadHost {
  readonly engine: Engine
  readonly native: NativeMemory
}

/**
 * Takes all of a source, then commits it. Other writes go on until then; what the source throws leaves no trace.
 *
 * @throws WAL_RECORD_TOO_LARGE when there is a log, and one of its records cannot hold the load
 */
export async function loadAsOne(
  { engine, native }: MemoryLoadHost,
  source: BulkSource,
  given: AbortSignal | undefined,
): Promise<BulkLoaded> {
  const signal = given === undefined ? engine.closing : AbortSignal.any([engine.closing, given])
  const gathered = new GatheredLoad()
  await takeAll(source, gathered, signal)
  signal.throwIfAborted()
  const { operations, bytes } = gathered
  const place = operations.length === 0 ? await native.applied() : await engine.batch(operations, {})
  return { entries: operations.length, bytes, place }
}

class GatheredLoad implements BulkSink {
  readonly isFull = false
  readonly operations: EncodedOperation[] = []
  /** Of keys and values. */
  bytes = 0

  /** Takes a change; the caller may use its memory again at once. */
  add({ key, value = '' }: Change): void {
    this.operations.push({ type: 'put', key: owned(key), value: owned(value) })
    this.bytes += key.length + value.length
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  end(): Promise<void> {
    return Promise.resolve()
  }
}

function owned(data: Encoded): Encoded {
  return typeof data === 'string' ? data : Buffer.from(data)
}
