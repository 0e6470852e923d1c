/*
 * Runs beside the tests while a bug is planted: says of each test how much it had looked at when it ended. A crash is one
 * outcome of a power loss on the simulated disk; a fault is one that struck an operation; a check is one call of `expect`.
 */
import { afterEach, beforeEach, expect } from 'vitest'

/** What a test had looked at when it ended. */
export interface StateCounts {
  crashes: number
  faults: number
  checks: number
}

declare module 'vitest' {
  interface TaskMeta {
    plantedBug?: StateCounts
  }
}

declare global {
  var plantedBugCounts: StateCounts
}

globalThis.plantedBugCounts = { crashes: 0, faults: 0, checks: 0 }

beforeEach(() => {
  globalThis.plantedBugCounts = { crashes: 0, faults: 0, checks: 0 }
})

afterEach(({ task }) => {
  task.meta.plantedBug = { ...globalThis.plantedBugCounts, checks: expect.getState().assertionCalls }
})
