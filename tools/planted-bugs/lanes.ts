import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { RunOutcome, RunRequest } from './test-run.ts'

/** A run that has not ended after this hangs. */
const RUN_MS_MAX = 600_000

/** Runs requests in so many processes side by side, and tells the outcome of each as soon as it is there. */
export async function runInLanes(
  requests: readonly RunRequest[],
  lanesCount: number,
  onOutcome: (index: number, outcome: RunOutcome) => void,
): Promise<void> {
  const queue = requests.entries()
  const lane = async (): Promise<void> => {
    let child = startLane()
    for (const [index, request] of queue) {
      const outcome = await ask(child, request)
      if (outcome === undefined) child = startLane()
      onOutcome(index, outcome ?? { tests: [], broken: ['the run did not end, or ended its process'] })
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
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS_MAX)
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
