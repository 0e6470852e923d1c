/** The parent's side of `obedient-program.ts`, a database in a process of its own. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { testProgram } from '../../tools/test-programs.ts'

const PROGRAM = fileURLToPath(new URL('./obedient-program.ts', import.meta.url))

/** The parent's side. */
export class ObedientDatabase {
  readonly process: ChildProcess
  readonly #waiting = new Map<string, { resolve: () => void; reject: (error: Error) => void }>()

  private constructor(child: ChildProcess) {
    this.process = child
    child.on('message', (key: string) => {
      this.#waiting.get(key)?.resolve()
      this.#waiting.delete(key)
    })
    child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the database died'))
    })
  }

  /** Resolves once the home is open. */
  static async begin(home: string): Promise<ObedientDatabase> {
    const child = fork(testProgram(PROGRAM), [home], { execArgv: [] })
    await once(child, 'message')
    return new ObedientDatabase(child)
  }

  /** Puts a key that was never put; rejects when the process dies before it is acknowledged. */
  put(key: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        reject(new Error('the database is dead'))
        return
      }
      this.#waiting.set(key, { resolve, reject })
      // It may have died just now, of which its exit has not told yet.
      this.process.send(key, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await ended
  }
}
