/**
 * Thrown by every operation on a machine that has lost its power. Not a `TimberlineError`, so that no code under test can
 * take it for an answer of the disk: a real process would not have seen anything any more.
 */
export class SimulatedCrash extends Error {
  readonly code = 'SIMULATED_CRASH'

  constructor(doing: string) {
    super(`the simulated machine has crashed: ${doing}`)
    this.name = 'SimulatedCrash'
  }
}
