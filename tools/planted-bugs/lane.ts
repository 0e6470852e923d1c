/* Runs in a process of its own: tests, as its parent asks, one request after the other. */
import { resolve } from 'node:path'
import { openTestRuns, type RunOutcome, type RunRequest } from './test-run.ts'

const runs = openTestRuns(resolve(import.meta.dirname, '../..'))

// An ordinary end, so that the processes of its tests end with it.
process.once('SIGTERM', () => process.exit())

process.on('message', (request: RunRequest) => {
  void run(request).then((outcome) => process.send?.(outcome))
})

async function run(request: RunRequest): Promise<RunOutcome> {
  try {
    return await (await runs).run(request)
  } catch (error) {
    return { tests: [], broken: [String(error)] }
  }
}
