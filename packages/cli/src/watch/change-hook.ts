// The user's command on a change of health: a mail, a pager, a line in a log. It runs beside the shipper and cannot hold it up.
import { spawn } from 'node:child_process'
import type { Health } from './health.ts'

/** What the command is told, in its environment. */
export interface Change {
  readonly archive: string
  readonly from: Health
  readonly to: Health
  readonly secondsBehind: number
  /** Code of the last error, if there was one. */
  readonly code: string | undefined
}

/** Longer than this a command does not run, in milliseconds. */
const COMMAND_MS_MAX = 60_000

/** Runs a shell command; resolves with what went wrong with it, `undefined` when it ended well. Never rejects. */
export function runHook(command: string, change: Change): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(command, {
      shell: true,
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: COMMAND_MS_MAX,
      env: {
        ...process.env,
        TIMBERLINE_ARCHIVE: change.archive,
        TIMBERLINE_FROM: change.from,
        TIMBERLINE_TO: change.to,
        TIMBERLINE_LAG_SECONDS: change.secondsBehind.toFixed(1),
        TIMBERLINE_ERROR: change.code ?? '',
      },
    })
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => {
      resolve(code === 0 ? undefined : `it ended with ${signal ?? `exit code ${String(code)}`}`)
    })
  })
}
