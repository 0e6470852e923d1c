/** The parent's side of the application: begins it, asks where it stands, kills it. */
import { fork, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { TimberLevel } from '@timberline/engine'
import { POSITION_KEY } from '../../packages/hotbackup/test/history.ts'
import { testProgram } from '../../tools/test-programs.ts'
import type { Message, Stand } from './application-messages.ts'

export class RunningApplication {
  readonly process: ChildProcess
  #acknowledged = 0

  private constructor(child: ChildProcess) {
    this.process = child
    child.on('message', (message: Message) => {
      if (message.type === 'acknowledged') this.#acknowledged = message.n
    })
  }

  /** Resolves once the home is open. */
  static async begin(home: string): Promise<RunningApplication> {
    const program = fileURLToPath(new URL('./application.ts', import.meta.url))
    const child = fork(testProgram(program), [home], { execArgv: [] })
    const application = new RunningApplication(child)
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`the application ended with ${String(code)} before its home was open`)
    })
    // Losing the race is its usual end.
    failed.catch(() => undefined)
    await Promise.race([once(child, 'message'), failed])
    return application
  }

  /** The highest number whose commit is known to have resolved. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Where it stands, after setting that mark when there is one; it goes on afterwards. */
  stand(mark?: string): Promise<Stand> {
    return new Promise((resolve) => {
      const listen = (message: Message): void => {
        if (message.type !== 'stand') return
        this.process.off('message', listen)
        resolve(message.stand)
      }
      this.process.on('message', listen)
      this.process.send(mark === undefined ? {} : { mark })
    })
  }

  /** Resolves once that many more commits are acknowledged. */
  async goOn(commits: number): Promise<void> {
    const until = this.#acknowledged + commits
    while (this.#acknowledged < until) {
      if (this.process.exitCode !== null) throw new Error('the application has ended')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exit = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exit
  }
}

/** What a home holds, by an ordinary open. */
export interface Content {
  readonly n: number
  readonly state: ReadonlyMap<string, string>
}

export async function contentOf(home: string): Promise<Content> {
  const db = new TimberLevel(home, { createIfMissing: false })
  await db.open()
  try {
    const state = new Map(await db.iterator().all())
    return { n: Number(state.get(POSITION_KEY) ?? '0'), state }
  } finally {
    await db.close()
  }
}

/** The digest of a state, computed from its definition and not by the engine. */
export function digestOf(state: ReadonlyMap<string, string>): string {
  const hash = createHash('sha256')
  const entries = [...state].map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const)
  for (const [key, value] of entries.sort(([a], [b]) => Buffer.compare(a, b))) {
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32LE(key.length, 0)
    lengths.writeUInt32LE(value.length, 4)
    hash.update(lengths).update(key).update(value)
  }
  return hash.digest('hex')
}
