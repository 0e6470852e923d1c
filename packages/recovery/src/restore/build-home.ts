// The recovery itself: base, log, digests, timeline, checkpoint, in the place that the workplace gives. Nothing here is
// installed; everything is durable when it returns.
import { join } from 'node:path'
import type { BackupManifest } from '@timberline/archive'
import { type HomeIdentity, openStateAtRest, type StateAtRest, writeHomeIdentity } from '@timberline/engine'
import type { FileSystem, Lsn } from '@timberline/wal'
import { stepsThrough } from '../plan/delta-steps.ts'
import { writeFirstRecord } from './first-record.ts'
import { LogReader } from '../source/log-reader.ts'
import type { RecoveryPlan } from '../plan/plan.ts'
import { ProgressMeter } from './progress.ts'
import type { RecoverOptions } from './recover.ts'
import { replayThrough, type ReplayOutcome } from './replay-through.ts'
import type { RecoveryReport } from './report.ts'
import { checkpointTables, restoreBase, tableBytes } from './restore-base.ts'
import type { RecoverySource } from '../source/source.ts'
import { syncLater } from './sync-later.ts'
import { resolveEnd } from './target-end.ts'
import { formatTarget } from '../plan/target.ts'
import { transfersMax } from '../transfer.ts'
import type { Workplace } from './workplace.ts'

/** Everything one recovery needs; complete, so that the steps below take nothing else. */
export interface Build {
  readonly workplace: Workplace
  readonly source: RecoverySource
  readonly plan: RecoveryPlan
  readonly manifest: BackupManifest
  readonly reader: LogReader
  readonly meter: ProgressMeter
  readonly options: RecoverOptions & { readonly fileSystem: FileSystem }
}

/** How much log is fetched beside the base. What follows comes while it is replayed. */
const AHEAD_BYTES_MAX = 32 * 1024 * 1024

/** Builds the new home in the workplace and reports what it is. */
export async function buildHome(
  workplace: Workplace,
  work: Pick<Build, 'source' | 'plan' | 'options'>,
): Promise<Omit<RecoveryReport, 'home' | 'inPlace'>> {
  const { source, plan } = work
  const { signal } = work.options
  const beganAt = performance.now()
  // Whoever dies before the label says `install` begins anew, so that nothing need be durable before.
  const fileSystem = syncLater(work.options.fileSystem)
  const options = { ...work.options, fileSystem }
  await fileSystem.makeDirectory(tablesOf(workplace))
  const reader = new LogReader(source, { directory: workplace.spoolDirectory, fileSystem, signal })
  const manifest = await source.manifest(plan.base)
  const totals = { baseBytes: tableBytes(manifest), records: plan.throughLsnMax - plan.base.lsn }
  const meter = new ProgressMeter(totals, options.onProgress)
  const build: Build = { ...work, options, workplace, manifest, reader, meter }
  try {
    fetchAhead(plan, reader)
    meter.begin('restore')
    await restoreBase({
      source,
      base: plan.base,
      manifest,
      tablesDirectory: tablesOf(workplace),
      dataDirectory: workplace.building.dataDirectory,
      options: {
        fileSystem,
        signal,
        onBytes: (bytes) => meter.addBaseBytes(bytes),
        link: workplace.inPlace,
      },
    })
    const restoredAt = performance.now()
    meter.begin('resolve')
    const throughLsn = await resolveEnd(plan, reader)
    meter.setRecordsTotal(throughLsn - plan.base.lsn)
    const state = await openStateAtRest(workplace.building.dataDirectory, { fileSystem })
    let outcome: ReplayOutcome
    let begun: Begun
    try {
      outcome = await replayThrough(build, state, throughLsn)
      begun = await beginTimeline(build, state, outcome)
    } finally {
      await state.close()
    }
    const { environmentId } = source
    await writeFirstRecord(workplace.building, { environmentId, ...begun }, fileSystem)
    await reader.close()
    await fileSystem.removeTree(workplace.spoolDirectory)
    await fileSystem.settle()
    return reportOf(build, {
      outcome,
      begun,
      restoreMs: restoredAt - beganAt,
      totalMs: performance.now() - beganAt,
    })
  } finally {
    // A fetch may still run ahead of a reader that failed; the spool is cleared only after it ended.
    await reader.close()
    // Likewise a flush.
    await fileSystem.settle().catch(() => undefined)
  }
}

/** The log that the replay begins with comes beside the base: otherwise LevelDB has nothing to do until it is here. */
function fetchAhead({ base, spans, deltas, throughLsnMax }: RecoveryPlan, reader: LogReader): void {
  const way = { fromLsn: base.lsn + 1, throughLsn: throughLsnMax, deltasThroughLsn: throughLsnMax - 1 }
  const [first] = stepsThrough({ spans, deltas }, way)
  if (first?.type !== 'log') return
  let bytes = 0
  for (const { span } of first.spans.slice(0, transfersMax)) {
    /* v8 ignore if -- tests have less log than this */
    if (bytes > 0 && bytes + span.bytes > AHEAD_BYTES_MAX) return
    reader.fetchAhead(span)
    bytes += span.bytes
  }
}

interface Begun {
  readonly timeline: number
  readonly parent: { readonly timeline: number; readonly forkLsn: Lsn }
  readonly committedAtUs: number
  readonly segmentNumber: number
}

/**
 * Takes the new timeline's number only now that the state is there and proved: a recovery that fails leaves no trace in the
 * archive.
 */
async function beginTimeline(
  build: Build,
  state: StateAtRest,
  { throughLsn, digest }: ReplayOutcome,
): Promise<Begun> {
  const { plan, source, options, meter, workplace, manifest } = build
  const { fileSystem } = options
  const owner = plan.path.find((stretch) => stretch.fromLsn <= throughLsn && throughLsn <= stretch.throughLsn)
  const parent = { timeline: owner?.timeline ?? plan.timeline, forkLsn: throughLsn }
  const timeline = await source.beginTimeline(parent, { claim: options.scratch !== true })
  const { committedAtUs } = await state.applied()
  const { environmentId } = source
  // Numbers go on, so that the newest segment has the highest number in whatever folder they meet.
  const segmentNumber = lastSegmentNumber(plan, manifest) + 1
  const identity: HomeIdentity = {
    format: 1,
    environmentId,
    timeline,
    createdAtUs: Date.now() * 1000,
    archiving: false,
    parent,
    // Such a home's first record is not the beginning of its content.
    ...(throughLsn === 0 ? { adoptedAtUs: Date.now() * 1000 } : {}),
  }
  await writeHomeIdentity(workplace.building.home, identity, fileSystem)
  meter.begin('checkpoint')
  await state.checkpoint({
    layout: workplace.building,
    identity,
    segmentAfter: () => Promise.resolve(segmentNumber),
    previous: undefined,
    // Each was held against its hash when it was restored.
    proved: checkpointTables(manifest),
    ...(digest === undefined ? {} : { digest }),
    fileSystem,
  })
  return { timeline, parent, committedAtUs, segmentNumber }
}

function lastSegmentNumber({ spans, next }: RecoveryPlan, manifest: BackupManifest): number {
  const used = [...spans, ...(next === undefined ? [] : [next])].map(({ span }) => span.segmentNumber ?? 0)
  return used.reduce((a, b) => Math.max(a, b), manifest.checkpoint.segmentNumber)
}

function tablesOf({ spoolDirectory }: Workplace): string {
  return join(spoolDirectory, 'tables')
}

function reportOf(
  { source, plan, manifest }: Build,
  done: {
    readonly outcome: ReplayOutcome
    readonly begun: Begun
    readonly restoreMs: number
    readonly totalMs: number
  },
): Omit<RecoveryReport, 'home' | 'inPlace'> {
  const { outcome, begun } = done
  const { lastApplied, firstDropped, digest, proofs, warnings, records, deltas } = outcome
  const { label, timeline, lsn } = plan.base
  return {
    environmentId: source.environmentId,
    target: formatTarget(plan.target),
    source: source.name,
    base: { label, timeline, lsn },
    timeline: begun.timeline,
    parent: begun.parent,
    lsn: outcome.throughLsn,
    committedAtUs: begun.committedAtUs,
    ...(lastApplied === undefined ? {} : { lastApplied }),
    ...(firstDropped === undefined ? {} : { firstDropped }),
    records,
    ...(deltas === undefined ? {} : { deltas }),
    baseBytes: tableBytes(manifest),
    logBytes: plan.predicted.logBytes,
    ...(digest === undefined ? {} : { digest }),
    proofs,
    warnings: [...(source.warnings ?? []), ...warnings],
    durationsMs: {
      restore: done.restoreMs,
      replay: outcome.replayMs,
      digest: outcome.digestMs,
      total: done.totalMs,
    },
    resumed: false,
  }
}
