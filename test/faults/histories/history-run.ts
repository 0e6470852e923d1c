/**
 * Runs histories and strikes them: during the last step, before each operation that changes the disk and once after it, the power
 * could fail, and each outcome that a disk may have then is held against what was promised. Earlier steps are struck in the
 * shorter histories that end with them. A state that was seen before in the same history is not opened again, only compared.
 */
import assert from 'node:assert/strict'
import { CrashFileSystem, isMutation, seededRandom } from '@timberline/wal/testing'
import type { PowerLoss } from '@timberline/wal/testing'
import type { ScratchDisk } from '../power-loss/scratch-disk.ts'
import {
  checkArchive,
  checkBackups,
  checkConfirmations,
  checkHome,
  checkRestoring,
  recoverAll,
} from './history-checks.ts'
import { RealDisk, SimulatedDisk, type Outcome } from './history-disk.ts'
import { Life, type Promised } from './history-life.ts'
import { needsReal, runStep, type History } from './history-steps.ts'

export interface RunOptions {
  readonly scratch: ScratchDisk
  readonly seed: number
  /** Outcomes looked at for each history on the real ground, where each costs an open of LevelDB; drawn evenly. */
  readonly realOutcomesMax: number
  /** Recover to every LSN, not only to the ends and to one drawn by seed. */
  readonly everyLsn: boolean
}

/** What was done, for the count at the end. */
export class HistoryCounts {
  histories = 0
  realHistories = 0
  /** Moments at which the power could have failed. */
  points = 0
  /** Outcomes of a power loss that were compared with the promises. */
  outcomes = 0
  /** Different states among them, each opened. */
  states = 0
  recoveries = 0
  /** Backups, segments and pieces that retention let go. */
  letGo = 0

  toString(): string {
    return (
      `${String(this.histories)} histories (${String(this.realHistories)} with a real LevelDB), ` +
      `${String(this.points)} persistence points, ${String(this.outcomes)} crash outcomes, ` +
      `${String(this.states)} different states opened, ${String(this.recoveries)} recoveries, ` +
      `${String(this.letGo)} objects let go`
    )
  }
}

interface Struck {
  readonly outcome: Outcome
  readonly promised: Promised
  readonly where: string
}

/** Runs one history from an empty disk; throws with the history, the place and the outcome when a promise was broken. */
export async function runHistory(
  history: History,
  options: RunOptions,
  counts: HistoryCounts,
): Promise<void> {
  const seed = seedOf(history, options.seed)
  const random = seededRandom(seed)
  const model = random.chance(0.5) ? 'posix' : 'ext4'
  const isReal = needsReal(history)
  const disk = isReal
    ? await RealDisk.begin(options.scratch, model)
    : new SimulatedDisk(new CrashFileSystem({ seed, model }))
  const life = new Life(disk)
  const title = `${history.join(' → ') || 'opening'} (${model}, SEED=${String(options.seed)})`
  try {
    if (history.length === 0) await struck(life, { options, counts, title, seed }, () => life.open())
    else {
      await life.open()
      for (const name of history.slice(0, -1)) {
        await runStep(life, name)
        if (name === 'crash') await life.restart(random.integer(0x7fffffff))
      }
      const last = history.at(-1)
      assert.ok(last)
      await struck(life, { options, counts, title, seed }, () => runStep(life, last))
    }
    counts.histories += 1
    counts.realHistories += isReal ? 1 : 0
    counts.letGo += life.letGoCount
  } catch (error) {
    throw new Error(`history ${title}`, { cause: error })
  } finally {
    await life.abandon()
    life.disk.end()
  }
}

interface Strike {
  readonly options: RunOptions
  readonly counts: HistoryCounts
  readonly title: string
  readonly seed: number
}

async function struck(life: Life, strike: Strike, step: () => Promise<void>): Promise<void> {
  const { options, counts, seed } = strike
  const all: Struck[] = []
  let points = 0
  const capture = (where: string): void => {
    points += 1
    for (const loss of lossesAt(points, { seed, isReal: life.disk.isReal })) {
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
  const chosen = life.disk.isReal ? thinned(all, options.realOutcomesMax, seed) : all
  await checkAll(chosen, life, strike)
}

async function checkAll(
  all: readonly Struck[],
  life: Life,
  { options, counts, seed }: Strike,
): Promise<void> {
  const reachOfHome = new Map<string, number>()
  const soundCopies = new Set<string>()
  for (const [index, { outcome, promised, where }] of all.entries()) {
    counts.outcomes += 1
    const key = `${promised.home} ${outcome.fingerprint}`
    const known = reachOfHome.get(key)
    const copiesKey = `${outcome.copiesFingerprint} ${JSON.stringify(promised.shipped.map(({ lsn }) => lsn))} ${String(promised.backups.length)}`
    if (known !== undefined && known >= promised.acknowledgedLsn && soundCopies.has(copiesKey)) continue
    counts.states += known === undefined ? 1 : 0
    const found = outcome.look()
    try {
      const reach = await checkArchive(found, promised)
      await checkConfirmations(found, promised, reach)
      if (life.disk.isReal) await checkBackups(found, promised)
      if (promised.restoring !== undefined) await checkRestoring(found, promised.restoring, life.line)
      if (index === all.length - 1 && life.disk.isReal) {
        counts.recoveries += await recoverAll(found, promised, (lsns) => chooseLsns(lsns, options, seed))
      }
      // Last, because looking at it changes it.
      reachOfHome.set(key, await checkHome(found, promised))
      soundCopies.add(copiesKey)
    } catch (error) {
      throw new Error(`${where}, loss ${outcome.loss}`, { cause: error })
    } finally {
      found.end()
    }
  }
}

/** The two ends of what a disk may do, and one between by seed; on the real ground one of them, in turn. */
function lossesAt(
  point: number,
  from: { readonly seed: number; readonly isReal: boolean },
): readonly PowerLoss[] {
  const seed = (from.seed ^ Math.imul(point, 0x9e3779b1)) & 0x7fffffff
  const losses: readonly PowerLoss[] = [
    { writes: 'lost', names: 'lost', seed },
    { seed },
    { writes: 'kept', names: 'kept', seed },
  ]
  return from.isReal ? losses.filter((_, index) => index === point % losses.length) : losses
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

function seedOf(history: History, seed: number): number {
  let mixed = seed
  for (const character of history.join()) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193)
  return mixed & 0x7fffffff
}
