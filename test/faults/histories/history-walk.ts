/**
 * All histories up to a length at once, as a tree: a step is lived once, whatever comes after it. The disk after a step is frozen, with
 * all that is not durable on it, together with what the model knows; each continuation thaws it, opens the home, and takes one step
 * more, which is struck. A history of length n is struck in its last step alone, since the one of length n - 1 was struck before. A
 * step that does nothing leads to the state that it came from: what may follow it follows there, and is counted, not lived.
 *
 * What is lost against a history that is lived by one process: the engine is opened anew before each step, as after a SIGKILL. So the
 * state is brought up from checkpoint and log each time, the log goes on in a file that was found and not in one that is open, and
 * nothing that an engine keeps in memory (its memtable, an open file, a cache, a timer that runs) reaches from one step into another.
 * Whatever does, is lived in the histories that share nothing: all of two and of three steps, and samples beyond. What is
 * not lost: the disk with each unsynced write and name, hence every crash state that an earlier step prepared.
 *
 * Disks of both models are walked; which one a history meets, its first two steps and the seed say.
 */
import { CrashFileSystem, isMutation, type CrashModel } from '@timberline/wal/testing'
import { RealDisk, SimulatedDisk, type FrozenDisk } from './history-disk.ts'
import { Findings } from './history-findings.ts'
import { Life } from './history-life.ts'
import { seedOf } from './history-run.ts'
import { NAMES, needsReal, runStep, type History, type StepName } from './history-steps.ts'
import { captured, checkAll, type HistoryCounts, type RunOptions, type Struck } from './history-strike.ts'

export interface WalkOptions extends RunOptions {
  /** Steps of the longest histories, at least two. */
  readonly length: number
}

/** A tree begins on a ground, on a disk of a model. */
interface Ground {
  readonly isReal: boolean
  readonly model: CrashModel
}

interface Way {
  readonly history: History
  readonly ground: Ground
}

/** What a step led to, or where it came from, when it did nothing. */
type Place = { readonly disk: FrozenDisk; readonly life: Life } | 'same'

/** All histories that begin with two steps, on one ground. */
export interface Branch {
  readonly first: StepName
  readonly second: StepName
  readonly ground: Ground
}

export class HistoryWalk {
  readonly #options: WalkOptions
  readonly #counts: HistoryCounts
  readonly #findings: Findings
  readonly #begun = new Map<string, Promise<Place>>()

  constructor(options: WalkOptions, counts: HistoryCounts) {
    this.#options = options
    this.#counts = counts
    this.#findings = new Findings(counts)
  }

  /** Every branch, those without LevelDB first. */
  get branches(): readonly Branch[] {
    return [false, true].flatMap((isReal) =>
      stepsOn(isReal).flatMap((first) =>
        stepsOn(isReal).map((second): Branch => {
          const model = seedOf([first, second], this.#options.seed) % 2 === 0 ? 'posix' : 'ext4'
          return { first, second, ground: { isReal, model } }
        }),
      ),
    )
  }

  /** Lives all histories of a branch. */
  async walk({ first, second, ground }: Branch): Promise<void> {
    const key = `${first} ${JSON.stringify(ground)}`
    const begun = this.#begun.get(key) ?? this.#begin(first, ground)
    this.#begun.set(key, begun)
    await this.#goOn(await begun, { history: [first], ground }, second)
  }

  async #begin(first: StepName, ground: Ground): Promise<Place> {
    const { scratch, seed } = this.#options
    const { isReal, model } = ground
    const disk = isReal
      ? await RealDisk.begin(scratch, model)
      : new SimulatedDisk(new CrashFileSystem({ seed, model }))
    return this.#live({ history: [first], ground }, new Life(disk))
  }

  /** One step more, then all that may follow it. */
  async #goOn(from: Place, { history: before, ground }: Way, step: StepName): Promise<void> {
    const way = { history: [...before, step], ground }
    const { isReal } = ground
    const isLast = way.history.length === this.#options.length
    if (isLast && isReal && !needsReal(way.history)) return
    if (from === 'same') this.#counts.sameHistories += isReal && !needsReal(way.history) ? 0 : 1
    const place = from === 'same' ? from : await this.#live(way, from.life.fork(from.disk.thaw()))
    if (isLast) return
    for (const next of stepsOn(isReal)) await this.#goOn(place, way, next)
  }

  async #live(way: Way, life: Life): Promise<Place> {
    const { seed } = this.#options
    try {
      return await this.#lived(way, life)
    } catch (error) {
      const title = `${way.history.join(' → ')} (${way.ground.model}, SEED=${String(seed)}, opened before each step)`
      throw new Error(`history ${title}`, { cause: error })
    }
  }

  /** Opens, takes the last step and strikes it; returns where that leads. */
  async #lived({ history, ground }: Way, life: Life): Promise<Place> {
    const counts = this.#counts
    const seed = seedOf(history, this.#options.seed)
    // What was lost of earlier steps is drawn in two ways for all that may follow them, so that it is the same state, known already.
    const before = seedOf(history.slice(0, -1), this.#options.seed)
    const lossSeed = (point: number): number => before + (Math.floor(point / 3) % 2)
    const strike = { options: this.#options, counts, findings: this.#findings, seed, lossSeed }
    const step = history.at(-1) ?? 'put'
    // The same on the simulated disk is struck there.
    const isStruck = !ground.isReal || needsReal(history)
    let states: readonly Struck[] = []
    let place: Place = 'same'
    try {
      await life.open()
      const { stepCount, disk } = life
      const begun = disk.fileSystem.operations.length
      if (isStruck) states = await captured(life, strike, () => runStep(life, step))
      else await runStep(life, step)
      const isSame = stepCount === life.stepCount && !disk.fileSystem.operations.slice(begun).some(isMutation)
      if (step === 'crash') {
        // What the disk kept of it is what the model knows from then on.
        await checkAll(states, strike)
        states = []
        await life.restart(seed)
      }
      if (!isSame) place = { life, disk: await life.disk.freeze() }
    } finally {
      await life.abandon()
      life.disk.end()
    }
    await checkAll(states, strike)
    counts.letGo += life.letGoCount
    if (isStruck) counts.histories += 1
    if (isStruck && ground.isReal) counts.realHistories += 1
    return place
  }
}

function stepsOn(isReal: boolean): readonly StepName[] {
  return isReal ? NAMES : NAMES.filter((name) => !needsReal([name]))
}
