/**
 * The runner: counts the file operations of a clean run, strikes each with each fault, and holds what is left against the model;
 * then strikes the recovery, and the recovery of that.
 */
import { setImmediate } from 'node:timers/promises'
import {
  FaultFileSystem,
  failAt,
  seededRandom,
  type Fault,
  type InjectedFault,
  type Injector,
  type OperationKind,
} from '@timberline/wal/testing'
import { Row, outcomeOf } from './outcome.ts'
import type { Place } from './place.ts'
import { Promises } from './promises.ts'
import type { Act, Machine, Scenario } from './scenario.ts'

/** How much of the matrix is tried. */
export interface Extent {
  readonly seed: number
  /** Faults in the operation itself; Infinity for all of them. */
  readonly faults: number
  /** Crashes in the recovery of each crash that is followed up; Infinity for every operation of it. */
  readonly crashesAgain: number
  /** Of the crashes at depth 1, every so many is followed up to depth 3. */
  readonly followEvery: number
  /** Outcomes tried of each power loss. */
  readonly states: number
  /** Nothing new is struck after so long; the order is then a random one. Default: all are made, in order. */
  readonly msMax?: number
}

interface Strike {
  readonly index: number
  readonly fault: Fault
  readonly once: boolean
  /** What stands at this index in a clean run. */
  readonly kind: OperationKind
}

/** A place of which it is known what it must hold. */
interface Standing {
  readonly place: Place
  readonly promises: Promises
  /** Which way it came about, for messages. */
  readonly way: string
}

type Kind = Pick<Strike, 'fault' | 'once'>

const CRASHES: readonly Kind[] = [
  { fault: 'crash', once: true },
  { fault: 'crash-after', once: true },
]

const REFUSALS: readonly Kind[] = (['EIO', 'ENOSPC', 'EMFILE', 'short', 'EIO-after'] as const).flatMap(
  (fault) => [
    { fault, once: true },
    { fault, once: false },
  ],
)

/** So long may any step take before it counts as hung: nothing here waits for anything but itself. */
const HANG_MS = 60_000
const DEPTH_MAX = 3
const TURNS_TO_CLOSE = 100
const CLEAN_RUNS = 2

/** What went wrong, in words that say how to have it again. */
export interface Outgrown {
  readonly row: Row
  readonly problems: readonly string[]
}

/** Runs the whole matrix of one scenario over what was prepared. */
export async function runMatrix(
  scenario: Scenario,
  pristine: Standing['place'][],
  extent: Extent,
): Promise<Outgrown> {
  const row = new Row(scenario.name)
  const problems: string[] = []
  const starts: Standing[] = []
  for (const place of pristine) {
    const promises = new Promises()
    await scenario.prepare(healthy(place, promises))
    starts.push({ place, promises, way: '' })
  }
  const trials = new Trials({ scenario, extent, row, problems })
  await trials.runAll(starts)
  return { row, problems }
}

class Trials {
  readonly #scenario: Scenario
  readonly #extent: Extent
  readonly #row: Row
  readonly #problems: string[]
  #crashes = 0
  #endAtMs = Infinity
  #mayFollow = true

  constructor(parts: { scenario: Scenario; extent: Extent; row: Row; problems: string[] }) {
    this.#scenario = parts.scenario
    this.#extent = parts.extent
    this.#row = parts.row
    this.#problems = parts.problems
  }

  async runAll(starts: readonly Standing[]): Promise<void> {
    const operations = await this.#cleanRun(starts)
    this.#row.operations = operations.length
    this.#row.possible = [...CRASHES, ...REFUSALS].flatMap((kind) => strikesOf(kind, operations)).length
    const { faults, seed, msMax } = this.#extent
    const strikes = this.#inTurn(sampleOf(operations, faults, seed))
    const beganAtMs = performance.now()
    if (msMax === undefined) return this.#tryAll(starts, strikes)
    // One crash followed up at every operation costs as much as a thousand others: those have half of the time for themselves.
    this.#mayFollow = false
    this.#endAtMs = beganAtMs + msMax / 2
    await this.#tryAll(starts, strikes)
    this.#mayFollow = true
    this.#endAtMs = beganAtMs + msMax
    await this.#tryAll(
      starts,
      strikes.filter(({ fault }) => fault.startsWith('crash')),
    )
  }

  async #tryAll(starts: readonly Standing[], strikes: readonly Strike[]): Promise<void> {
    const chosen = strikes.entries()
    const lane = async (): Promise<void> => {
      for (const [number, strike] of chosen) {
        if (this.#isLate) return
        const start = starts[number % starts.length]
        if (start !== undefined) await this.#trial(start, strike)
      }
    }
    await Promise.all(Array.from({ length: this.#scenario.lanes ?? 1 }, lane))
  }

  /** Where the time may end before the items do, their order must not decide which are tried. */
  #inTurn<Item>(items: readonly Item[]): readonly Item[] {
    return this.#extent.msMax === undefined ? items : shuffled(items, this.#extent.seed)
  }

  get #isLate(): boolean {
    return performance.now() > this.#endAtMs
  }

  /** The operations of a run without faults, which must succeed and hold. */
  async #cleanRun(starts: readonly Standing[]): Promise<readonly OperationKind[]> {
    let most: readonly OperationKind[] = []
    for (let run = 0; run < CLEAN_RUNS; run += 1) {
      for (const start of starts) {
        const place = await start.place.copy()
        const promises = start.promises.copy()
        const run = await this.#strike({ place, promises, way: 'clean run' }, undefined)
        const { error, operations, leftOpen } = run
        if (error !== undefined) throw error
        if (leftOpen.length > 0) throw leftOpenError(leftOpen)
        if (operations.length > most.length) most = operations
        await this.#scenario.check(healthy(place, promises))
        await place.remove()
      }
    }
    return most
  }

  async #trial(start: Standing, strike: Strike): Promise<void> {
    const place = await start.place.copy()
    const promises = start.promises.copy()
    const way = `${strike.fault}${strike.once ? '' : ' for good'} at ${strike.index}`
    const standing = { place, promises, way }
    const done = await this.#strike(standing, strike)
    this.#count(done, 1, way)
    await this.#aftermath(standing, strike)
    await place.remove()
  }

  async #aftermath(standing: Standing, { index, fault }: Strike): Promise<void> {
    const { seed, followEvery, states } = this.#extent
    const isCrash = fault.startsWith('crash')
    if (isCrash) this.#crashes += 1
    const isFollowed = this.#mayFollow && isCrash && this.#crashes % followEvery === 1 % followEvery
    // A fault that was survived may be followed by a loss of power too; without one, the place stays as it is.
    const afterPower = await standing.place.afterCrash(seed + index, isCrash ? states : 1)
    const places = isCrash ? afterPower : [...new Set([...afterPower, standing.place])]
    for (const [number, place] of places.entries()) {
      const state = { ...standing, place, way: `${standing.way}, state ${number}` }
      if (isFollowed && number === 0) await this.#recoverStruck(state, 2)
      await this.#recoverAndCheck(state)
    }
  }

  /** Crashes the recovery at its operations, and the recovery of that. */
  async #recoverStruck(standing: Standing, depth: number): Promise<void> {
    const clean = await standing.place.copy()
    const { operations, error } = await this.#strikeAgain(
      { ...standing, place: clean, promises: standing.promises.copy() },
      undefined,
    )
    await clean.remove()
    // The plain recovery of the same state is about to tell the same as a problem.
    if (error !== undefined) return
    const all = operations.map((_, at) => at + 1)
    const { crashesAgain, seed } = this.#extent
    for (const index of this.#inTurn(spread(all, crashesAgain, seed + depth))) {
      if (this.#isLate) return
      const place = await standing.place.copy()
      const promises = standing.promises.copy()
      const way = `${standing.way}, then crash at ${index} of the recovery`
      const struck = { place, promises, way }
      const kind = operations[index - 1] ?? 'read'
      const done = await this.#strikeAgain(struck, { index, fault: 'crash', once: true, kind })
      this.#count(done, depth, way)
      for (const after of await place.afterCrash(seed + index, 1)) {
        const state = { ...struck, place: after }
        if (depth < DEPTH_MAX) await this.#recoverStruck(state, depth + 1)
        await this.#recoverAndCheck(state)
      }
      await place.remove()
    }
  }

  async #recoverAndCheck({ place, promises, way }: Standing): Promise<void> {
    const machine = healthy(place, promises.copy())
    this.#row.states += 1
    try {
      const act = this.#scenario.again(machine)
      try {
        await hangless(act.run(), 'recovery')
      } finally {
        await act.abandon()
      }
      await hangless(this.#scenario.check(machine), 'check')
    } catch (error) {
      this.#problem(way, error)
    }
  }

  /** Counts a fault by its outcome. */
  #count({ error, struck, leftOpen }: Struck, depth: number, way: string): void {
    if (leftOpen.length > 0) this.#problem(way, leftOpenError(leftOpen))
    if (struck === undefined) {
      this.#row.missed += 1
      return
    }
    // Readers ask again. A typed error would do no harm, but this one could only be a wrong one: nothing is damaged.
    const isShortRead = struck.fault === 'short' && struck.operation.kind === 'read'
    if (isShortRead && error !== undefined) this.#problem(`${way}: a short read`, error)
    const outcome = outcomeOf(error)
    if (outcome === undefined) this.#problem(`${way}: untyped`, error)
    else this.#row.note(depth, outcome, error)
  }

  #problem(way: string, error: unknown): void {
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#problems.push(`${this.#scenario.name}: ${way}: ${words}`)
  }

  async #strike(standing: Standing, strike: Strike | undefined): Promise<Struck> {
    return struckRun(standing, strike, (machine) => this.#scenario.begin(machine))
  }

  async #strikeAgain(standing: Standing, strike: Strike | undefined): Promise<Struck> {
    return struckRun(standing, strike, (machine) => Promise.resolve(this.#scenario.again(machine)))
  }
}

function healthy({ fileSystem, root }: Place, promises: Promises): Machine {
  return { fileSystem, beneath: fileSystem, root, promises }
}

interface Struck {
  readonly error: unknown
  /** Operations since the faults were let loose. */
  readonly operations: readonly OperationKind[]
  /** The first fault that struck, if one did. */
  readonly struck: InjectedFault | undefined
  /** Files that a process which lives on would have open for ever. */
  readonly leftOpen: readonly string[]
}

function leftOpenError(paths: readonly string[]): Error {
  return new Error(`left open: ${paths.join(', ')}`)
}

async function struckRun(
  { place, promises, way }: Standing,
  strike: Strike | undefined,
  begin: (machine: Machine) => Promise<Act>,
): Promise<Struck> {
  const faulty = new FaultFileSystem(place.fileSystem)
  const act = await begin({ ...healthy(place, promises), fileSystem: faulty })
  const before = faulty.operations.length
  if (strike !== undefined) faulty.inject(injectorOf(strike, before))
  const error = await hangless(act.run(), way).then(
    () => undefined,
    (thrown: unknown) => thrown ?? new Error('nothing was thrown'),
  )
  const operations = faulty.operations.slice(before).map(({ kind }) => kind)
  // What a dying process still tries to tidy up may fail, and is nobody's answer.
  await hangless(act.abandon(), `${way}, giving up`).catch((reason: unknown) => {
    if (reason instanceof Hung) throw reason
  })
  const leftOpen = await leftOpenBy(faulty)
  await faulty.releaseHandles()
  return { error, operations, struck: faulty.injected[0], leftOpen }
}

/**
 * The end of the machine closes all. What the system refuses to close is left open, and so is what it opens and says that it has not.
 * What nobody waits for has a few turns to be closed in.
 */
async function leftOpenBy(faulty: FaultFileSystem): Promise<readonly string[]> {
  const isSystems = faulty.injected.some(
    ({ operation: { kind }, fault }) => kind === 'close' || (kind === 'open' && fault === 'EIO-after'),
  )
  if (faulty.isCrashed || isSystems) return []
  for (let turn = 0; turn < TURNS_TO_CLOSE && faulty.openPaths.length > 0; turn += 1) await setImmediate()
  return faulty.openPaths
}

class Hung extends Error {}

async function hangless<Result>(work: Promise<Result>, what: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Hung(`hung: ${what}`)), HANG_MS)
  })
  try {
    return await Promise.race([work, hung])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The strikes of a sample: a third are crashes, because each is followed by several states and by recoveries that crash; the others
 * have all kinds of refusals in equal parts, as far as they suffice; and one reads everything in halves, so that every reader is seen to ask again.
 */
function sampleOf(operations: readonly OperationKind[], faults: number, seed: number): readonly Strike[] {
  const crashes = CRASHES.flatMap((kind) => strikesOf(kind, operations))
  const refusalCount = Math.ceil((faults * 2) / 3)
  // Where there are fewer than kinds, those of one scenario are not those of another.
  const kinds = spread(REFUSALS, refusalCount, seed + operations.length)
  const refusals = kinds.map((kind) => strikesOf(kind, operations))
  const each = Math.ceil(refusalCount / kinds.length)
  const firstRead = operations.indexOf('read') + 1
  const halves: readonly Strike[] =
    firstRead > 0 ? [{ index: firstRead, fault: 'short', once: false, kind: 'read' }] : []
  return [
    ...halves,
    ...spread(crashes, Math.ceil(faults / 3), seed),
    ...refusals.flatMap((strikes, at) => spread(strikes, each, seed + at)),
  ]
}

/** A short answer is a matter of reads and writes; to all else it would be one more ENOSPC. */
function strikesOf({ fault, once }: Kind, operations: readonly OperationKind[]): readonly Strike[] {
  return operations
    .map((kind, at) => ({ index: at + 1, fault, once, kind }))
    .filter(({ kind }) => fault !== 'short' || kind === 'read' || kind.startsWith('write'))
}

/** Faults count from where they were let loose; a short answer for good is one to all later calls of its kind. */
function injectorOf({ index, fault, once, kind }: Strike, before: number): Injector {
  const strike = failAt(before + index, fault, { once })
  if (fault !== 'short' || once) return strike
  return (operation) => (operation.kind === kind ? strike(operation) : undefined)
}

/** So many of the items, one at random out of each of as many equal stretches; all when there are not more. */
function spread<Item>(items: readonly Item[], count: number, seed: number): readonly Item[] {
  if (items.length <= count) return items
  const random = seededRandom(seed)
  const stretch = items.length / count
  return Array.from(
    { length: count },
    (_, index) => items[Math.floor((index + random.next()) * stretch)],
  ).filter((item) => item !== undefined)
}

function shuffled<Item>(items: readonly Item[], seed: number): readonly Item[] {
  const random = seededRandom(seed)
  return items
    .map((item) => ({ item, rank: random.next() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}
