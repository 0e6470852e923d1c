// Replay up to an exact record, stopping on the way wherever a digest was recorded that can be compared.
import { decodeNote, replayInto, type State, type StateDigest } from '@timberline/engine'
import { type LogRecord, type Lsn, TimberlineError } from '@timberline/wal'
import type { Build } from './build-home.ts'
import type { PathSpan } from './coverage.ts'
import { recoveryError } from './errors.ts'
import type { DigestProof } from './report.ts'
import { briefOf, type TransactionBrief } from './transaction-brief.ts'

/** What a replay has come to. */
export interface ReplayOutcome {
  readonly throughLsn: Lsn
  readonly records: number
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
export async function replayThrough(build: Build, state: State, throughLsn: Lsn): Promise<ReplayOutcome> {
  const { plan, manifest, options } = build
  await requireApplied(state, plan.base.lsn)
  const recorded = manifest.digest
  const meets = recorded !== undefined && recorded.lsn >= plan.base.lsn && recorded.lsn <= throughLsn
  const stops = options.digest === false ? [] : [...(meets ? [recorded.lsn] : []), throughLsn]
  const seen = new Seen()
  const proofs: DigestProof[] = []
  let digest: StateDigest | undefined
  let replayMs = 0
  let digestMs = 0
  let reached = plan.base.lsn
  for (const stop of new Set([...stops, throughLsn])) {
    const beganAt = performance.now()
    await replayPart(build, state, { fromLsn: reached + 1, throughLsn: stop, seen })
    replayMs += performance.now() - beganAt
    reached = stop
    if (options.digest === false) continue
    const digestBeganAt = performance.now()
    build.meter.begin('digest')
    digest = await state.digest()
    digestMs += performance.now() - digestBeganAt
    if (meets && recorded.lsn === stop) proofs.push(proofOf({ recorded, digest }))
  }
  const { expectedDigest } = options
  if (digest !== undefined && expectedDigest !== undefined) {
    proofs.push(proofOf({ recorded: { lsn: throughLsn, hex: expectedDigest }, digest, recordedBy: 'caller' }))
  }
  const { lastApplied, records } = seen
  return {
    throughLsn,
    records,
    ...(lastApplied === undefined ? {} : { lastApplied: briefOf(lastApplied) }),
    ...(await firstDropped(build, throughLsn)),
    ...(digest === undefined ? {} : { digest }),
    proofs,
    replayMs,
    digestMs,
  }
}

/** What went by: kept beside the replay, so that nothing is read twice for the report. */
class Seen {
  lastApplied: LogRecord | undefined
  records = 0
}

interface Part {
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
  readonly seen: Seen
}

async function replayPart(build: Build, state: State, { fromLsn, throughLsn, seen }: Part): Promise<void> {
  if (fromLsn > throughLsn) return
  const { reader, plan, meter, options } = build
  const spans = plan.spans.flatMap((part) => cut(part, { fromLsn, throughLsn }))
  meter.begin('replay')
  const groups = watch(reader.read(spans, { keep: plan.next?.span }), seen)
  const before = seen.records
  await replayInto(state.level, groups, {
    throughLsn,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: ({ records }) => meter.setRecords(before + records),
  })
  await requireApplied(state, throughLsn)
}

async function* watch(groups: AsyncIterable<LogRecord[]>, seen: Seen): AsyncGenerator<LogRecord[]> {
  for await (const group of groups) {
    for (const record of group) if (record.kind === 'note') refuseBulkLoad(record)
    // v8 ignore next -- no group is empty
    seen.lastApplied = group.at(-1) ?? seen.lastApplied
    seen.records += group.length
    yield group
  }
}

function refuseBulkLoad({ lsn, payload }: LogRecord): void {
  if (decodeNote(payload).type !== 'bulkload') return
  throw recoveryError('RECOVERY_BULK_LOAD', 'data was loaded beside the log here', { details: { lsn } })
}

function cut(part: PathSpan, { fromLsn, throughLsn }: { fromLsn: Lsn; throughLsn: Lsn }): PathSpan[] {
  const from = Math.max(part.fromLsn, fromLsn)
  const through = Math.min(part.throughLsn, throughLsn)
  return from > through ? [] : [{ span: part.span, fromLsn: from, throughLsn: through }]
}

/** The state knows how far it is; believing the count of what was read instead would hide a hole. */
async function requireApplied(state: State, lsn: Lsn): Promise<void> {
  const applied = await state.applied()
  if (applied.lsn === lsn) return
  throw recoveryError('RECOVERY_SOURCE_DAMAGED', 'the restored state is not at the LSN it should have', {
    details: { lsn: applied.lsn, expectedLsn: lsn },
  })
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
