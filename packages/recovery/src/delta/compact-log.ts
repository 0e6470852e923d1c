// Makes the deltas of an archive. Whoever dies on the way leaves an object at most that nothing names; a delta is one from its
// event on. Two at once make the same objects, and one of them finds the event there.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import {
  addDelta,
  type Archive,
  type Catalogue,
  declineDelta,
  type DeltaRef,
  deltaName,
  type ObjectSource,
  type PutObjectResult,
} from '@timberline/archive'
import type { Operation } from '@timberline/engine'
import { nodeFileSystem, TimberlineError } from '@timberline/wal'
import { type DeltaHeader, encodeDelta } from './delta-codec.ts'
import { type DeltaPlanOptions, type PlannedDelta, planDeltas } from './delta-plan.ts'
import { costOf, costOfSteps, type LogChoice, stepsThrough } from '../plan/delta-steps.ts'
import { atBoundary } from '../errors.ts'
import { LastWrites } from './last-writes.ts'
import { LogReader } from '../source/log-reader.ts'
import { openSource } from '../source/open-source.ts'
import { RangeReplay } from './range-replay.ts'
import { makeScratch } from '../scratch.ts'
import { throwIfAborted } from '../transfer.ts'

/** What to compact, and how. */
export interface CompactOptions extends DeltaPlanOptions {
  readonly archive: Archive
  /** Where to work: a folder of its own is made there, and removed. Default: the system's temporary folder. */
  readonly scratch?: string
  readonly signal?: AbortSignal
  /** Read the deltas that are there first, and make those anew that are damaged or gone. Default: false. */
  readonly check?: boolean
  /** Called before each delta; must not throw. */
  readonly onProgress?: (progress: CompactProgress) => void
}

/** Which delta is made now. */
export interface CompactProgress {
  readonly delta: PlannedDelta
  /** Deltas done, of those to do. */
  readonly done: number
  readonly total: number
}

/** What became of one planned delta. */
export type CompactOutcome =
  | { readonly type: 'added'; readonly planned: PlannedDelta; readonly delta: DeltaRef }
  /** It would save too little, or no replay leads across its run: entered in the catalogue, and not tried again. */
  | { readonly type: 'declined'; readonly planned: PlannedDelta; readonly reason: 'size' | 'bulk-load' }
  /** Its log cannot be read, or was let go meanwhile. */
  | {
      readonly type: 'failed'
      readonly planned: PlannedDelta
      readonly code: string
      readonly message: string
    }

/** What a compaction did. */
export interface CompactReport {
  readonly outcomes: readonly CompactOutcome[]
  /** Names of deltas that were damaged or gone, and were dropped. */
  readonly dropped: readonly string[]
  /** Older deltas that could not be used to make larger ones of, one line each. */
  readonly warnings: readonly string[]
}

/** A delta costs space for good: it must make the way at least this much cheaper. */
const WORTH = 0.5

/**
 * Makes every delta that `planDeltas` names. Needs no home and no ownership of the archive, and takes nothing away: segments
 * stay, for targets inside the deltas.
 *
 * @throws RECOVERY_OPTION_INVALID, RECOVERY_ABORTED, RECOVERY_IO_FAILED, those of the store
 */
export function compactLog(options: CompactOptions): Promise<CompactReport> {
  return atBoundary(options.signal, () => compact(options))
}

async function compact(options: CompactOptions): Promise<CompactReport> {
  const { archive, signal, onProgress } = options
  const outcomes: CompactOutcome[] = []
  const warnings: string[] = []
  const dropped = options.check === true ? await dropDamaged(archive, signal) : []
  const planned = planDeltas(await archive.catalogue(), options)
  for (const delta of planned) {
    throwIfAborted(signal)
    onProgress?.({ delta, done: outcomes.length, total: planned.length })
    outcomes.push(await outcomeOf(delta, options, warnings))
  }
  return { outcomes, dropped, warnings }
}

async function outcomeOf(
  planned: PlannedDelta,
  options: CompactOptions,
  warnings: string[],
): Promise<CompactOutcome> {
  const { archive } = options
  const { timeline, firstLsn, lastLsn } = planned
  const decline = async (reason: 'size' | 'bulk-load'): Promise<CompactOutcome> => {
    await declineDelta(archive, { timeline, firstLsn, lastLsn, reason })
    return { type: 'declined', planned, reason }
  }
  try {
    const delta = await makeDelta(planned, options, warnings)
    return delta === undefined ? await decline('size') : { type: 'added', planned, delta }
  } catch (error) {
    if (!(error instanceof TimberlineError)) throw error
    if (error.code === 'RECOVERY_BULK_LOAD') return decline('bulk-load')
    if (!['corruption', 'gap', 'conflict'].includes(error.kind)) throw error
    return { type: 'failed', planned, code: error.code, message: error.message }
  }
}

/** `undefined` when it is not worth its space. */
async function makeDelta(
  planned: PlannedDelta,
  options: CompactOptions,
  warnings: string[],
): Promise<DeltaRef | undefined> {
  const { archive, signal } = options
  const scratch = await makeScratch(options.scratch)
  try {
    const spool = join(scratch.home, 'spool')
    await nodeFileSystem.makeDirectory(spool)
    const writes = await LastWrites.open(join(scratch.home, 'writes'), planned.firstLsn)
    const source = await openSource({ archive }, nodeFileSystem)
    const reader = new LogReader(source, { directory: spool, fileSystem: nodeFileSystem, signal })
    try {
      const choice = choiceOf(planned, await archive.catalogue())
      const way = {
        fromLsn: planned.firstLsn,
        throughLsn: planned.lastLsn,
        deltasThroughLsn: planned.lastLsn,
      }
      const replay = new RangeReplay({
        target: writes,
        source,
        reader,
        choice,
        directory: spool,
        fileSystem: nodeFileSystem,
        signal,
      })
      await replay.run(way)
      warnings.push(...replay.warnings)
      return await store(planned, { archive, writes, costWithout: costOfSteps(stepsThrough(choice, way)) })
    } finally {
      await reader.close()
      await writes.close()
    }
  } finally {
    await scratch.remove()
  }
}

async function store(
  planned: PlannedDelta,
  made: { readonly archive: Archive; readonly writes: LastWrites; readonly costWithout: number },
): Promise<DeltaRef | undefined> {
  const { archive, writes, costWithout } = made
  const { level: _, segments: __, ...run } = planned
  const header = { ...run, environmentId: archive.identity.environmentId }
  const read = (): AsyncIterable<Buffer> => encodeDelta(header, writes.operations())
  const measured = await measure(header, writes)
  if (costOf(measured.bytes) > costWithout * WORTH) return undefined
  const name = deltaName({ ...run, sha256: measured.sha256 })
  const { bytes, sha256, entries } = measured
  const { storedBytes } = await put(archive, name, { bytes, sha256, read })
  const delta: DeltaRef = { ...run, entries, bytes, sha256, storedBytes, name }
  try {
    await addDelta(archive, delta)
  } catch (error) {
    // Retention took a segment meanwhile: nobody can enter this delta any more.
    if (isConflict(error)) await archive.store.delete(name)
    throw error
  }
  return delta
}

/** Smaller deltas inside the run are shorter ways too. */
function choiceOf({ timeline, firstLsn, lastLsn, segments }: PlannedDelta, catalogue: Catalogue): LogChoice {
  return {
    spans: segments.map((segment) => ({
      span: { ...segment, origin: { type: 'segment', segment } },
      fromLsn: segment.firstLsn,
      throughLsn: segment.lastLsn,
    })),
    // One that begins earlier holds writes from before the run.
    deltas: catalogue.deltas.filter(
      (delta) => delta.timeline === timeline && delta.firstLsn >= firstLsn && delta.lastLsn <= lastLsn,
    ),
  }
}

/** Its length and checksum, which its name and its header need before the first byte is sent. */
async function measure(
  header: DeltaHeader,
  writes: LastWrites,
): Promise<{ bytes: number; sha256: string; entries: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  let entries = 0
  const counted = async function* (): AsyncGenerator<readonly Operation[]> {
    for await (const batch of writes.operations()) {
      entries += batch.length
      yield batch
    }
  }
  for await (const chunk of encodeDelta(header, counted())) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex'), entries }
}

/** The name holds the checksum of the content: what stands there and is something else is damaged, and in no catalogue. */
async function put(archive: Archive, name: string, source: ObjectSource): Promise<PutObjectResult> {
  try {
    return await archive.putObject(name, source)
  } catch (error) {
    if (!isConflict(error)) throw error
    await archive.store.delete(name)
    return archive.putObject(name, source)
  }
}

/** The event first: dying before the deletion leaves what the next put finds in its way and replaces. */
async function dropDamaged(archive: Archive, signal: AbortSignal | undefined): Promise<readonly string[]> {
  const dropped: string[] = []
  for (const delta of (await archive.catalogue()).deltas) {
    throwIfAborted(signal)
    if (await isWhole(archive, delta)) continue
    await archive.appendEvent({ type: 'delta.removed', name: delta.name })
    await archive.store.delete(delta.name)
    dropped.push(delta.name)
  }
  return dropped
}

async function isWhole(archive: Archive, delta: DeltaRef): Promise<boolean> {
  try {
    for await (const chunk of archive.fetchDelta(delta)) void chunk
    return true
  } catch (error) {
    /* v8 ignore else -- a store that does not answer ends the compaction as any reading does */
    if (error instanceof TimberlineError && ['corruption', 'gap'].includes(error.kind)) return false
    throw error
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'ARCHIVE_CONFLICT'
}
