// Replay of a part of the history into whatever takes operations: a state, or the map of last writes that a delta is made of. Deltas
// are used where they shorten the way; one that cannot be used costs time, never the recovery.
import { join } from 'node:path'
import { isBulkLoad, type Operation, replayInto, type ReplayTarget } from '@timberline/engine'
import type { DeltaRef } from '@timberline/archive'
import {
  type FileSystem,
  invariant,
  type LogRecord,
  type Lsn,
  removeIfPresent,
  TimberlineError,
} from '@timberline/wal'
import { decodeDelta } from './delta-codec.ts'
import { type LogChoice, type Step, stepsThrough, type Way } from '../plan/delta-steps.ts'
import { recoveryError } from '../errors.ts'
import type { Span } from '../history/history.ts'
import type { LogReader } from '../source/log-reader.ts'
import type { RecoverySource } from '../source/source.ts'
import { readChunks, throwIfAborted } from '../transfer.ts'

/** What a replay reads, and where to. */
export interface RangeReplayParts {
  readonly target: ReplayTarget
  readonly source: RecoverySource
  readonly reader: LogReader
  readonly choice: LogChoice
  /** Where a delta lies while it is applied; must exist. */
  readonly directory: string
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
  /** A span whose copy is needed again. */
  readonly keep?: Span | undefined
  /** Called with the LSN that the target has come to; must not throw. */
  readonly onLsn?: ((lsn: Lsn) => void) | undefined
}

/** Operations in one batch: as many as replay itself takes at once. */
const BATCH_OPERATIONS = 1000
const BATCH_BYTES = 1024 * 1024

/** Replays parts of one history, one after another, and remembers what went by: nothing is read twice for the report. */
export class RangeReplay {
  /** The last record that was replayed from log. */
  lastApplied: LogRecord | undefined
  /** Records replayed from log. */
  records = 0
  /** Deltas applied. */
  readonly applied: Extract<Step, { type: 'delta' }>[] = []
  /** One line for each delta that could not be used. */
  readonly warnings: string[] = []
  readonly #parts: RangeReplayParts
  readonly #unusable = new Set<DeltaRef>()

  constructor(parts: RangeReplayParts) {
    this.#parts = parts
  }

  /**
   * Brings the target from the state before `fromLsn` to the one at `throughLsn`.
   *
   * @throws RECOVERY_LOG_DAMAGED, RECOVERY_BULK_LOAD, RECOVERY_SOURCE_DAMAGED
   */
  async run(way: Way): Promise<void> {
    const { choice } = this.#parts
    let { fromLsn } = way
    while (fromLsn <= way.throughLsn) {
      // Asked anew after each step: the way around a delta that cannot be used may lead over others.
      const deltas = choice.deltas.filter((delta) => !this.#unusable.has(delta))
      const [step] = stepsThrough({ spans: choice.spans, deltas }, { ...way, fromLsn })
      invariant(step !== undefined, 'there is a way to every record of a plan')
      if (step.type === 'log') await this.#replay(step)
      else if (!(await this.#apply(step))) continue
      await this.#requireApplied(step.throughLsn)
      fromLsn = step.throughLsn + 1
    }
  }

  async #replay({ spans, throughLsn }: Extract<Step, { type: 'log' }>): Promise<void> {
    const { target, reader, signal, keep, onLsn } = this.#parts
    await replayInto(target, this.#watch(reader.read(spans, { keep })), {
      throughLsn,
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ appliedLsn }) => onLsn?.(appliedLsn),
    })
  }

  async *#watch(groups: AsyncIterable<LogRecord[]>): AsyncGenerator<LogRecord[]> {
    for await (const group of groups) {
      for (const record of group) refuseBulkLoad(record)
      // v8 ignore next -- no group is empty
      this.lastApplied = group.at(-1) ?? this.lastApplied
      this.records += group.length
      yield group
    }
  }

  /** Whether the delta could be used; the target is as before when it could not. */
  async #apply(step: Extract<Step, { type: 'delta' }>): Promise<boolean> {
    const { source, directory, fileSystem, signal, onLsn } = this.#parts
    const { delta, throughLsn } = step
    const path = join(directory, `delta-${delta.timeline}-${delta.firstLsn}-${delta.lastLsn}`)
    try {
      try {
        await source.fetchDelta(delta, path, { fileSystem, signal, isTemporary: true })
        // All of it is looked at before the first write: what is not whole must not touch the state.
        for await (const batch of this.#entries(delta, path)) void batch
      } catch (error) {
        /* v8 ignore if -- a mistake of ours, or the caller's wish to stop, is no fault of the delta */
        if (!(error instanceof TimberlineError) || error.kind === 'aborted') throw error
        this.#unusable.add(delta)
        this.warnings.push(
          `a compacted delta could not be used, recovery went around it: ${delta.name}: ${error.code} ${error.message}`,
        )
        return false
      }
      await this.#write(delta, path)
    } finally {
      await removeIfPresent(path, fileSystem)
    }
    this.applied.push(step)
    onLsn?.(throughLsn)
    return true
  }

  #entries(delta: DeltaRef, path: string): AsyncGenerator<Operation[]> {
    const { source, fileSystem } = this.#parts
    const { environmentId } = source
    return decodeDelta(readChunks(path, delta.bytes, fileSystem), { ...headerOf(delta), environmentId })
  }

  /** The position moves with the last batch: until then the target is a state before the delta, with some later writes. */
  async #write(delta: DeltaRef, path: string): Promise<void> {
    const { target, signal } = this.#parts
    const before = await target.applied()
    let batch = target.operationBatch()
    let operations = 0
    let bytes = 0
    for await (const entries of this.#entries(delta, path)) {
      throwIfAborted(signal)
      for (const entry of entries) {
        if (entry.type === 'put') batch.put(entry.key, entry.value)
        else batch.del(entry.key)
        operations += 1
        bytes += entry.key.length + (entry.type === 'put' ? entry.value.length : 0)
        if (operations < BATCH_OPERATIONS && bytes < BATCH_BYTES) continue
        await batch.write(before)
        batch = target.operationBatch()
        operations = 0
        bytes = 0
      }
    }
    await batch.write({ lsn: delta.lastLsn, committedAtUs: delta.lastCommittedAtUs })
  }

  /** The target knows how far it is; believing the count of what was read instead would hide a hole. */
  async #requireApplied(lsn: Lsn): Promise<void> {
    requireLsn(await this.#parts.target.applied(), lsn)
  }
}

/** @throws RECOVERY_SOURCE_DAMAGED */
export function requireLsn(applied: { readonly lsn: Lsn }, lsn: Lsn): void {
  if (applied.lsn === lsn) return
  throw recoveryError('RECOVERY_SOURCE_DAMAGED', 'the restored state is not at the LSN it should have', {
    details: { lsn: applied.lsn, expectedLsn: lsn },
  })
}

function headerOf({ timeline, firstLsn, lastLsn, lastCommittedAtUs }: DeltaRef): {
  timeline: number
  firstLsn: Lsn
  lastLsn: Lsn
  lastCommittedAtUs: number
} {
  return { timeline, firstLsn, lastLsn, lastCommittedAtUs }
}

/** Passes records on, up to data that came in beside the log. */
export async function* withoutBulkLoads(groups: AsyncIterable<LogRecord[]>): AsyncGenerator<LogRecord[]> {
  for await (const group of groups) {
    for (const record of group) refuseBulkLoad(record)
    yield group
  }
}

/** @throws RECOVERY_BULK_LOAD when a record tells of data that came in beside the log */
export function refuseBulkLoad(record: LogRecord): void {
  if (!isBulkLoad(record)) return
  const { lsn } = record
  throw recoveryError('RECOVERY_BULK_LOAD', 'data was loaded beside the log here', { details: { lsn } })
}
