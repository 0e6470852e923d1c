// Where exactly a recovery ends: the one question that only the log itself can answer.
import type { LogRecord, Lsn } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import type { LogReader } from '../source/log-reader.ts'
import type { RecoveryPlan } from '../plan/plan.ts'
import { formatTarget, isDroppedAt, type Target } from '../plan/target.ts'

/**
 * The last LSN to apply. For a time inside a segment, the segment is read; a record at or after the time must be found, or
 * nothing proves that all commits before it are there.
 *
 * @throws RECOVERY_TARGET_AFTER_END
 */
export async function resolveEnd(plan: RecoveryPlan, reader: LogReader): Promise<Lsn> {
  if (plan.throughLsn !== undefined) return plan.throughLsn
  const { target } = plan
  const part = plan.spans.at(-1)
  if (target.type !== 'time' || part === undefined) return plan.throughLsnMax
  let last: LogRecord | undefined
  for await (const group of reader.read([part], { keep: part.span })) {
    const dropped = group.find(({ committedAtUs }) => isDroppedAt(committedAtUs, target))
    if (dropped !== undefined) return dropped.lsn - 1
    last = group.at(-1)
  }
  await requireProof(plan, { target, reader, lastCommittedAtUs: last?.committedAtUs })
  return plan.throughLsnMax
}

async function requireProof(
  plan: RecoveryPlan,
  end: { target: Target & { type: 'time' }; reader: LogReader; lastCommittedAtUs: number | undefined },
): Promise<void> {
  const { target, reader, lastCommittedAtUs } = end
  if (lastCommittedAtUs === target.atUs) return
  if (plan.next === undefined) {
    throw recoveryError('RECOVERY_TARGET_AFTER_END', `the history ends before ${formatTarget(target)}`, {
      details: { lsn: plan.throughLsnMax, committedAtUs: lastCommittedAtUs },
    })
  }
  const next = await reader.first(plan.next)
  if (isDroppedAt(next.committedAtUs, target)) return
  throw recoveryError('RECOVERY_LOG_DAMAGED', 'the log has other commit times than the catalogue says', {
    details: { lsn: next.lsn, committedAtUs: next.committedAtUs },
  })
}
