/**
 * Runs asynchronous work to its end in an order that depends on nothing but the work: between turns of the loop only what is
 * ready runs, and time moves, to the next timer, only when nothing is ready any more. What is ready shows in operations of
 * the simulated disks; a chain without any takes fewer turns than are waited here.
 */
import { VirtualClock } from './virtual-clock.ts'

export type Outcome<Result> =
  | { readonly type: 'done'; readonly value: Result }
  | { readonly type: 'failed'; readonly error: unknown }
  /** It waits for something that did not come within the virtual time given. */
  | { readonly type: 'pending' }

const QUIET_TURNS = 10
const LIMIT_MS = 60_000

export class Scheduler {
  readonly clock = new VirtualClock()
  readonly #operationCount: () => number

  /** @param operationCount - changes whenever work goes on */
  constructor(operationCount: () => number) {
    this.#operationCount = operationCount
  }

  /** Waits until the work has ended and all that it left behind is quiet. */
  async drive<Result>(work: Promise<Result>, limitMs: number = LIMIT_MS): Promise<Outcome<Result>> {
    let outcome: Outcome<Result> | undefined
    work.then(
      (value) => (outcome = { type: 'done', value }),
      (error: unknown) => (outcome = { type: 'failed', error }),
    )
    const endMs = this.clock.ms + limitMs
    for (;;) {
      await this.quiet()
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- it is set by the callbacks above
      if (outcome !== undefined) return outcome
      if (!this.clock.advance(endMs)) return { type: 'pending' }
    }
  }

  /** Lets time pass, with everything that timers do in it. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.ms + ms
    await this.quiet()
    while (this.clock.advance(endMs)) await this.quiet()
  }

  /** Waits until nothing is ready any more. */
  async quiet(): Promise<void> {
    for (let turns = 0, count = this.#operationCount(); turns < QUIET_TURNS; turns += 1) {
      await new Promise(setImmediate)
      if (count === this.#operationCount()) continue
      count = this.#operationCount()
      turns = -1
    }
  }

  /** Runs work on real files, in real time; the simulated world stands still meanwhile. */
  async really<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.quiet()
    this.clock.uninstall()
    try {
      return await work()
    } finally {
      this.clock.install()
    }
  }
}
