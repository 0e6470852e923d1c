// Replay up to an exact record, stopping on the way wherever a digest was recorded that can be compared.
import type { StateAtRest, StateDigest } from '@timberline/engine'
import { type Lsn, TimberlineError } from '@timberline/wal'
import type { Build } from './build-home.ts'
import { recoveryError } from '../errors.ts'
import { RangeReplay, requireLsn } from '../delta/range-replay.ts'
import type { DigestProof, UsedDeltas } from './report.ts'
import { briefOf, type TransactionBrief } from '../history/transaction-brief.ts'

/** What a replay has come to. */
export interface ReplayOutcome {
  readonly throughLsn: Lsn
  readonly records: number
  readonly deltas?: UsedDeltas
  readonly lastApplied?: TransactionBrief
  readonly firstDropped?: TransactionBrief
  readonly digest?: StateDigest
  readonly proofs: readonly DigestProof[]
  readonly warnings: readonly string[]
  readonly replayMs: number
  readonly digestMs: number
}

/**
 * Replays exactly through `throughLsn`.
 *
 * @throws RECOVERY_SOURCE_DAMAGED, RECOVERY_LOG_DAMAGED, RECOVERY_DIGEST_MISMATCH, RECOVERY_BULK_LOAD
 */
export async function replayThrough(
  build: Build,
  state: StateAtRest,
  throughLsn: Lsn,
): Promise<ReplayOutcome> {
  const { plan, manifest, options } = build
  requireLsn(await state.applied(), plan.base.lsn)
  const recorded = manifest.digest
  const meets = recorded !== undefined && recorded.lsn <= throughLsn && isOnPath(plan, recorded.lsn)
  const stops = options.digest === false ? [] : [...(meets ? [recorded.lsn] : []), throughLsn]
  const replay = replayOf(build, state)
  let replayMs = 0
  let reached = plan.base.lsn
  for (const stop of new Set([...stops, throughLsn])) {
    const beganAt = performance.now()
    if (reached < stop) build.meter.begin('replay')
    await replay.run({ fromLsn: reached + 1, throughLsn: stop, deltasThroughLsn: throughLsn - 1 })
    // Both digests are read out of the tables at once, at the end: most of the work is the same.
    if (stop < throughLsn) await state.remember()
    // The last table belongs to the replay: it would be made without digests as well.
    else await state.flush()
    replayMs += performance.now() - beganAt
    reached = stop
  }
  const digestBeganAt = performance.now()
  const digests = options.digest === false ? [] : await digestsOf(build, state)
  const digestMs = performance.now() - digestBeganAt
  const digest = digests.at(-1)
  const proofs = digests.flatMap((each) =>
    meets && recorded.lsn === each.lsn ? [proofOf({ recorded, digest: each })] : [],
  )
  const { expectedDigest } = options
  if (digest !== undefined && expectedDigest !== undefined) {
    proofs.push(proofOf({ recorded: { lsn: throughLsn, hex: expectedDigest }, digest, recordedBy: 'caller' }))
  }
  const { lastApplied, records, warnings } = replay
  const dropped = await firstDropped(build, throughLsn)
  return {
    throughLsn,
    records,
    ...deltasOf(replay),
    ...(lastApplied === undefined ? {} : { lastApplied: briefOf(lastApplied) }),
    ...dropped,
    warnings: [...warnings, ...dropped.warnings],
    ...(digest === undefined ? {} : { digest }),
    proofs,
    replayMs,
    digestMs,
  }
}

function digestsOf(build: Build, state: StateAtRest): Promise<readonly StateDigest[]> {
  build.meter.begin('digest')
  return state.digests()
}

/** Whether the path has the state that the base's backup recorded: it may have left the backup's timeline before its end. */
function isOnPath({ path, base }: Build['plan'], lsn: Lsn): boolean {
  return (
    lsn >= base.lsn &&
    path.some(({ timeline, throughLsn }) => timeline === base.timeline && lsn <= throughLsn)
  )
}

function replayOf(build: Build, state: StateAtRest): RangeReplay {
  const { source, reader, plan, meter, options, workplace } = build
  return new RangeReplay({
    target: state,
    source,
    reader,
    choice: plan,
    directory: workplace.spoolDirectory,
    fileSystem: options.fileSystem,
    signal: options.signal,
    keep: plan.next?.span,
    onLsn: (lsn) => meter.setRecords(lsn - plan.base.lsn),
  })
}

function deltasOf({ applied }: RangeReplay): { deltas?: UsedDeltas } {
  if (applied.length === 0) return {}
  return {
    deltas: {
      count: applied.length,
      entries: applied.reduce((sum, { delta }) => sum + delta.entries, 0),
      records: applied.reduce((sum, { fromLsn, throughLsn }) => sum + throughLsn - fromLsn + 1, 0),
    },
  }
}

function proofOf(compared: {
  recorded: { readonly lsn: Lsn; readonly hex: string }
  digest: StateDigest
  recordedBy?: DigestProof['recordedBy']
}): DigestProof {
  const { recorded, digest, recordedBy = 'backup' } = compared
  if (recorded.hex === digest.hex) return { lsn: digest.lsn, hex: digest.hex, recordedBy }
  throw recoveryError(
    'RECOVERY_DIGEST_MISMATCH',
    'the restored content is not what was recorded at this lsn',
    {
      details: { lsn: digest.lsn, recorded: recorded.hex, restored: digest.hex, recordedBy },
    },
  )
}

/** The record after the target is told for people; that it cannot be read does not touch the recovered state. */
async function firstDropped(
  { plan, reader }: Build,
  throughLsn: Lsn,
): Promise<{ firstDropped?: TransactionBrief; warnings: readonly string[] }> {
  const wanted = throughLsn + 1
  const inside = plan.spans.find(
    ({ span, fromLsn, throughLsn: last }) => fromLsn <= wanted && wanted <= Math.min(last, span.lastLsn),
  )
  const part = inside ?? (plan.next !== undefined && plan.next.fromLsn <= wanted ? plan.next : undefined)
  if (part === undefined) return { warnings: [] }
  try {
    const record = await reader.first({ ...part, fromLsn: wanted })
    return { firstDropped: briefOf(record), warnings: [] }
  } catch (error) {
    if (!(error instanceof TimberlineError) || error.kind === 'aborted') throw error
    return {
      warnings: [`the first dropped record, lsn ${wanted}, cannot be read: ${error.code} ${error.message}`],
    }
  }
}
