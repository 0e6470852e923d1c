// Begins the worker of a spool, in a session of its own: the database ends what it started itself when it shuts down.
import { spawn } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PushErrand } from './push-ahead.ts'
import type { LaunchedWorker } from './push-through-spool.ts'

/** Begins a worker that outlives this process. It has no streams: whoever waits for the end of this one's must not wait for it. */
export function launchWorker({ url, spool, folder, first }: PushErrand): LaunchedWorker {
  // From the sources it is TypeScript, which this process was given the means to run.
  const program = fileURLToPath(new URL(`push-worker${extname(import.meta.url)}`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program, url, spool, folder, first], {
    detached: true,
    stdio: 'ignore',
  })
  let isRunning = true
  const end = (): void => {
    isRunning = false
  }
  child.once('exit', end)
  // It could not even begin; the call archives its file itself and tells what is wrong then.
  child.once('error', end)
  child.unref()
  return { isRunning: () => isRunning }
}
