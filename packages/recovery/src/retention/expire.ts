import {
  absentObjects,
  type Archive,
  archiveError,
  type Catalogue,
  decideRetention,
  finishRetention,
  type RetentionOutcome,
  type RetentionPromise,
} from '@timberline/archive'
import { planRetention, promisedLoss, type PromisedLoss, type RetentionPlan } from './retention-plan.ts'

/** What to keep, and whether to let the rest go. */
export interface ExpireOptions {
  readonly archive: Archive
  /** Default: the promise that the archive records. */
  readonly promise?: RetentionPromise
  /** Delete; otherwise only the plan is made. Default: false. */
  readonly apply?: boolean
  /** Let also go what the recorded promise covers. Default: false. */
  readonly force?: boolean
  /** Clock in microseconds since the epoch. */
  readonly now?: () => number
}

/** What was planned, and what was done about it. */
export interface ExpireReport {
  readonly plan: RetentionPlan
  /** What the plan takes from the recorded promise; empty unless it was forced. */
  readonly lost: readonly PromisedLoss[]
  /** Absent when nothing was to be applied. */
  readonly outcome?: RetentionOutcome
}

/**
 * Lets go what the promise does not need. The plan is made anew on the state that the decision is entered on, so that nothing
 * that came meanwhile is overlooked; a run that died is finished first by the next one.
 *
 * @throws ARCHIVE_PROMISE_MISSING, ARCHIVE_PROMISE_BROKEN, ARCHIVE_OBJECT_MISSING when something that is to stay is not there:
 * then nothing goes, because what seems superfluous may be all that is left
 */
export async function expire(options: ExpireOptions): Promise<ExpireReport> {
  const { archive, now = () => Date.now() * 1000 } = options
  const nowUs = now()
  const catalogue = await archive.catalogue()
  let judged = judge(catalogue, options, nowUs)
  const missing = await absentObjects(archive, judged.plan.after)
  if (missing.length > 0) {
    throw archiveError('ARCHIVE_OBJECT_MISSING', 'what is to stay is not all there, so nothing is let go', {
      details: { name: missing[0], count: missing.length },
    })
  }
  if (options.apply !== true) return judged
  await decideRetention(archive, (newest) => {
    judged = judge(newest, options, nowUs)
    return judged.plan.decision
  })
  return { ...judged, outcome: await finishRetention(archive) }
}

function judge(
  catalogue: Catalogue,
  options: ExpireOptions,
  nowUs: number,
): { readonly plan: RetentionPlan; readonly lost: readonly PromisedLoss[] } {
  const promise = options.promise ?? catalogue.promise
  if (promise === undefined) {
    throw archiveError('ARCHIVE_PROMISE_MISSING', 'the archive makes no promise of what it keeps')
  }
  const plan = planRetention(catalogue, promise, nowUs)
  const recorded = catalogue.promise ?? promise
  const lost = promisedLoss({ before: catalogue, after: plan.after }, recorded, nowUs)
  const [first] = lost
  if (first === undefined || options.force === true) return { plan, lost }
  throw archiveError(
    'ARCHIVE_PROMISE_BROKEN',
    `the promise covers what would go, first ${describeLoss(first)}`,
    {
      details: { lost: lost.map(describeLoss) },
    },
  )
}

/** A loss in words. */
export function describeLoss(loss: PromisedLoss): string {
  if (loss.type === 'backup') return `backup ${loss.label}`
  return `lsn ${loss.fromLsn} to ${loss.throughLsn} of timeline ${loss.timeline}`
}
