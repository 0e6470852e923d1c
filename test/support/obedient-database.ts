/** A database in a process of its own, which puts what it is told and says when that is acknowledged; and its parent's side. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { TimberLevel } from '@timberline/engine'

const self = fileURLToPath(import.meta.url)

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
    const child = fork(self, [home], { execArgv: ['--import', import.meta.resolve('tsx')] })
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
      this.process.send(key)
    })
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await ended
  }
}

if (process.argv[1] === self && process.send !== undefined) {
  const db = new TimberLevel(process.argv[2] ?? '')
  await db.open()
  process.on('message', (key: string) => {
    void db.put(key, '').then(() => process.send?.(key))
  })
  process.send('open')
}
