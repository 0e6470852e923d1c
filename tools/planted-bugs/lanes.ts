import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { RunOutcome, RunRequest } from './test-run.ts'

/** A run that has not ended after this hangs. */
const RUN_MS_MAX = 600_000

/** Runs that belong together, in the order in which one process makes them. */
export type Batch = readonly RunRequest[]

/** What becomes of batches. */
export interface LanesOptions {
  readonly lanesCount: number
  /** Whether outcomes may come from what else its process has run: the batch is then run again in a new one. */
  readonly isDoubtful: (index: number, outcomes: readonly RunOutcome[]) => boolean
  readonly onOutcomes: (index: number, outcomes: readonly RunOutcome[]) => void
}

/** Runs batches in so many processes side by side, and tells the outcomes of each as soon as they are there. */
export async function runInLanes(
  batches: readonly Batch[],
  { lanesCount, isDoubtful, onOutcomes }: LanesOptions,
): Promise<void> {
  const queue = batches.entries()
  const lane = async (): Promise<void> => {
    let child = startLane()
    const outcomesOf = async (batch: Batch): Promise<readonly RunOutcome[]> => {
      const outcomes: RunOutcome[] = []
      for (const request of batch) {
        const outcome = await ask(child, request)
        if (outcome === undefined) child = startLane()
        outcomes.push(outcome ?? { tests: [], broken: ['the run did not end, or ended its process'] })
      }
      return outcomes
    }
    for (const [index, batch] of queue) {
      let outcomes = await outcomesOf(batch)
      if (isDoubtful(index, outcomes)) {
        child.kill()
        child = startLane()
        outcomes = await outcomesOf(batch)
      }
      onOutcomes(index, outcomes)
    }
    child.kill()
  }
  await Promise.all(Array.from({ length: lanesCount }, lane))
}

function startLane(): ChildProcess {
  return fork(join(import.meta.dirname, 'lane.ts'), { execArgv: ['--import', 'tsx'] })
}

/** `undefined` when no answer came; the process is gone then. */
function ask(child: ChildProcess, request: RunRequest): Promise<RunOutcome | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill(), RUN_MS_MAX)
    const end = (outcome: RunOutcome | undefined): void => {
      clearTimeout(timer)
      child.removeAllListeners()
      resolve(outcome)
    }
    child.once('message', (outcome: RunOutcome) => end(outcome))
    child.once('exit', () => end(undefined))
    child.send(request)
  })
}
