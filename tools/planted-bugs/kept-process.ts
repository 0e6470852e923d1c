/*
 * Runs tests in a process that stays for the next run: to start one and load what comes from node_modules costs more than most tests. Our own
 * modules are evaluated anew for each file, because `isolate` is on. What else a test may leave in a process is told by the run without
 * bugs, which comes last in the same process.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type {
  PoolOptions,
  PoolRunnerInitializer,
  PoolWorker,
  WorkerRequest,
  WorkerResponse,
} from 'vitest/node'

type Listener = (event: unknown) => void

/** The processes, by the project whose tests they run. */
const kept = new Map<string, ChildProcess>()

process.once('exit', () => {
  for (const child of kept.values()) child.kill('SIGKILL')
})

/** The pool for `vitest.config.ts`. */
export function keptProcesses(): PoolRunnerInitializer {
  return { name: 'kept', createPoolWorker: (options) => new KeptProcess(options) }
}

/** One run in the process of its project: for vitest a worker of its own, which is started and stopped. */
class KeptProcess implements PoolWorker {
  readonly name = 'kept'
  /** Modules are handed over as files, as vitest's own processes get them. */
  readonly cacheFs = true
  readonly #options: PoolOptions
  readonly #listeners: { readonly event: string; readonly listener: Listener }[] = []
  #child: ChildProcess | undefined
  #isStarted = false
  #isAtRest = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  start(): Promise<void> {
    const { project, distPath, env, execArgv } = this.#options
    const known = kept.get(project.name)
    this.#isStarted = known?.connected === true
    this.#child =
      known?.connected === true
        ? known
        : fork(join(distPath, 'workers/forks.js'), [], {
            env: { ...process.env, ...env },
            execArgv,
            stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
            serialization: 'advanced',
          })
    kept.set(project.name, this.#child)
    return Promise.resolve()
  }

  on(event: string, listener: Listener): void {
    this.#listeners.push({ event, listener })
    this.#child?.on(event, listener)
  }

  off(event: string, listener: Listener): void {
    this.#child?.off(event, listener)
  }

  send(message: WorkerRequest): void {
    // It is started once, and hears of no stop.
    if (message.type === 'start' && this.#isStarted) this.#answer({ type: 'started' })
    else if (message.type === 'stop') {
      this.#isAtRest = true
      this.#answer({ type: 'stopped' })
    } else this.#child?.send(message)
  }

  deserialize(data: unknown): unknown {
    return data
  }

  /** Ends a process that was not told to stop before, because its run has failed. */
  stop(): Promise<void> {
    for (const { event, listener } of this.#listeners) this.#child?.off(event, listener)
    if (!this.#isAtRest) {
      this.#child?.kill('SIGKILL')
      kept.delete(this.#options.project.name)
    }
    return Promise.resolve()
  }

  #answer(response: Pick<WorkerResponse, 'type'>): void {
    setImmediate(() => {
      for (const { event, listener } of this.#listeners)
        if (event === 'message') listener({ ...response, __vitest_worker_response__: true })
    })
  }
}
