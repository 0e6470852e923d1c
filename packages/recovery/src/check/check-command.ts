import { spawn } from 'node:child_process'

/** How a user's own check of a recovered home went. */
export interface CheckResult {
  readonly command: string
  /** Absent when a signal ended it. */
  readonly exitCode?: number
  readonly endedBy?: string
  readonly ms: number
  /** The end of what it printed. */
  readonly output: string
}

/** Enough for a stack trace; what comes before is dropped. */
const outputBytesMax = 64 * 1024

/** Runs a command through the shell with `TIMBERLINE_HOME` and `TIMBERLINE_LSN` set; ends it when it takes too long. */
export function runCheck(
  command: string,
  options: {
    readonly home: string
    readonly lsn: number
    readonly timeoutMs: number
    readonly signal?: AbortSignal | undefined
  },
): Promise<CheckResult> {
  const beganAt = performance.now()
  const child = spawn(command, {
    shell: true,
    env: { ...process.env, TIMBERLINE_HOME: options.home, TIMBERLINE_LSN: String(options.lsn) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  let output = Buffer.alloc(0)
  const keep = (chunk: Buffer): void => {
    output = Buffer.concat([output, chunk])
    if (output.length > outputBytesMax) output = output.subarray(output.length - outputBytesMax)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode, endedBy) => {
      resolve({
        command,
        ...(exitCode === null ? {} : { exitCode }),
        ...(endedBy === null ? {} : { endedBy }),
        ms: performance.now() - beganAt,
        output: output.toString('utf8'),
      })
    })
  })
}
