/**
 * One step with the power failing in it: before each operation that changes the disk and once after the step. Each outcome that a disk
 * may have then is held against what was promised.
 */
import { isMutation, seededRandom } from '@timberline/wal/testing'
import type { PowerLoss } from '@timberline/wal/testing'
import type { ScratchDisk } from '../power-loss/scratch-disk.ts'
import {
  checkArchive,
  checkBackups,
  checkConfirmations,
  checkHome,
  checkRestoring,
  checkStandby,
  recoverAll,
} from './history-checks.ts'
import type { Outcome } from './history-disk.ts'
import { Look, type FindingCounts, type Findings } from './history-findings.ts'
import type { Life } from './history-life.ts'
import type { Promised } from './history-promises.ts'

export interface RunOptions {
  readonly scratch: ScratchDisk
  readonly seed: number
  /** Outcomes looked at for each step on the real ground, where each costs an open of LevelDB; drawn evenly. */
  readonly realOutcomesMax: number
  /** Recover to every LSN, not only to the ends and to one drawn by seed. */
  readonly everyLsn: boolean
}

/** What was done, for the count at the end. */
export class HistoryCounts implements FindingCounts {
  histories = 0
  realHistories = 0
  /** Histories with a step that did nothing: each is a shorter one, and was not lived again. */
  sameHistories = 0
  /** Moments at which the power could have failed. */
  points = 0
  /** Outcomes of a power loss that were compared with the promises. */
  outcomes = 0
  states = 0
  copies = 0
  recoveries = 0
  /** Backups, segments and pieces that retention let go. */
  letGo = 0

  toString(): string {
    const same =
      this.sameHistories === 0 ? '' : `, ${String(this.sameHistories)} more that equal a shorter one`
    return (
      `${String(this.histories)} histories (${String(this.realHistories)} with a real LevelDB${same}), ` +
      `${String(this.points)} persistence points, ${String(this.outcomes)} crash outcomes, ` +
      `${String(this.states)} different homes opened, ${String(this.copies)} different archives and backups read, ` +
      `${String(this.recoveries)} recoveries, ${String(this.letGo)} objects let go`
    )
  }
}

export interface Strike {
  readonly options: RunOptions
  readonly counts: HistoryCounts
  readonly findings: Findings
  readonly seed: number
  /** What the loss at a moment draws from; moments count from 1. */
  readonly lossSeed: (point: number) => number
}

/** A state that the power could have left, with what had been promised. */
export interface Struck {
  readonly outcome: Outcome
  readonly promised: Promised
  readonly where: string
}

/** Takes the step and strikes it, then compares. */
export async function struck(life: Life, strike: Strike, step: () => Promise<void>): Promise<void> {
  await checkAll(await captured(life, strike, step), strike)
}

/** Takes the step; returns what the power could have left: something for each moment, the end of the step last. */
export async function captured(
  life: Life,
  { counts, lossSeed }: Strike,
  step: () => Promise<void>,
): Promise<readonly Struck[]> {
  const { isReal } = life.disk
  const all: Struck[] = []
  let points = 0
  const capture = (where: string): void => {
    points += 1
    for (const loss of lossesAt(points, { seed: lossSeed(points), isReal })) {
      all.push({ outcome: life.disk.capture(loss), promised: life.promised, where })
    }
  }
  life.disk.fileSystem.inject((operation) => {
    if (isMutation(operation)) capture(`before ${operation.kind} ${operation.path}`)
    return undefined
  })
  await step()
  life.disk.fileSystem.inject(undefined)
  capture('after it')
  counts.points += points
  return all
}

/** Holds outcomes of one step against the promises, and recovers from all that there is after the step. */
export async function checkAll(every: readonly Struck[], strike: Strike): Promise<void> {
  const { options, counts, findings, seed } = strike
  const all = every[0]?.outcome.isReal === true ? thinned(every, options.realOutcomesMax, seed) : every
  for (const [index, { outcome, promised, where }] of all.entries()) {
    counts.outcomes += 1
    const look = new Look(outcome)
    const scene = { look, findings, promised }
    try {
      await checkConfirmations(scene, await checkArchive(scene))
      if (outcome.isReal) {
        await checkBackups(scene)
        await checkRestoring(scene)
        await checkStandby(scene)
        if (index === all.length - 1) await recoverAll(scene, (lsns) => chooseLsns(lsns, options, seed))
      }
      await checkHome(scene)
    } catch (error) {
      throw new Error(`${where}, loss ${outcome.loss}`, { cause: error })
    }
  }
}

/** The two ends of what a disk may do, and one between by seed; on the real ground one of them, in turn. */
function lossesAt(
  point: number,
  { seed, isReal }: { readonly seed: number; readonly isReal: boolean },
): readonly PowerLoss[] {
  const losses: readonly PowerLoss[] = [
    { writes: 'lost', names: 'lost', seed },
    { seed },
    { writes: 'kept', names: 'kept', seed },
  ]
  return isReal ? losses.filter((_, index) => index === point % losses.length) : losses
}

/** At most so many, evenly from all, the last one always. */
function thinned(all: readonly Struck[], max: number, seed: number): readonly Struck[] {
  if (all.length <= max) return all
  const offset = seededRandom(seed).next()
  const chosen = new Set([all.length - 1])
  for (let index = 0; index < max - 1; index += 1) {
    chosen.add(Math.floor(((index + offset) * all.length) / (max - 1)))
  }
  return all.filter((_, index) => chosen.has(index))
}

function chooseLsns(lsns: readonly number[], { everyLsn }: RunOptions, seed: number): readonly number[] {
  if (everyLsn || lsns.length <= 2) return lsns
  const one = lsns[seededRandom(seed).integer(lsns.length)]
  return [...new Set([one, lsns.at(-1)])].filter((lsn) => lsn !== undefined)
}
