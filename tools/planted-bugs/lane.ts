/* Runs in a process of its own: tests, as its parent asks, one request after the other. */
import { resolve } from 'node:path'
import { runTests, type RunOutcome, type RunRequest } from './test-run.ts'

const root = resolve(import.meta.dirname, '../..')

process.on('message', (request: RunRequest) => {
  void run(request).then((outcome) => process.send?.(outcome))
})

async function run(request: RunRequest): Promise<RunOutcome> {
  try {
    return await runTests(root, request)
  } catch (error) {
    return { tests: [], broken: [String(error)] }
  }
}
