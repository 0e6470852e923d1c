/** The parent's side of a process that is going to be killed. It is started ahead of its time, since that takes longest. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { testProgram } from '../../tools/test-programs.ts'
import type { Way } from './kill-steps.ts'

/** What a victim is to do. */
export interface Order {
  readonly role: 'writer' | 'shipper' | 'backup'
  readonly home: string
  readonly archive: string
  readonly target: string
  readonly way: Way
  /** The number of the last step that is there. */
  readonly after: number
}

/** When it is killed: so long after its order, or after so many lines of its report and a little later. */
export type Moment = { readonly afterMs: number } | { readonly afterLines: number; readonly thenMs: number }

const PROGRAM = fileURLToPath(new URL('./victim-program.ts', import.meta.url))
/** A busy machine is no failure: whoever has not got so far by then is killed where it is, and counted. */
const PATIENCE_MS = 60_000

export class Victim {
  /** What it has told, in order: `opened`, then a number for each acknowledged step or finished backup. */
  readonly lines: string[] = []
  /** Its moment did not come in time. */
  isLate = false
  readonly #process: ChildProcess
  readonly #ready: Promise<unknown>
  readonly #ended: Promise<unknown>
  #onLine: () => void = () => undefined

  /** @param place - a writer, or something that runs beside one */
  constructor(place: 'writer' | 'beside') {
    this.#process = spawn(process.execPath, [testProgram(PROGRAM), place], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const { stdout } = this.#process
    if (stdout === null) throw new Error('the victim has no output')
    const reader = createInterface({ input: stdout })
    this.#ready = once(reader, 'line')
    // What it wrote before it died is still in the pipe; the reader ends after all of it.
    this.#ended = Promise.all([once(reader, 'close'), once(this.#process, 'exit')])
    reader.once('line', () => {
      reader.on('line', (line) => {
        this.lines.push(line)
        this.#onLine()
      })
    })
  }

  /** The highest number that it has told. */
  get told(): number {
    return this.lines.reduce((most, line) => Math.max(most, Number.parseInt(line, 10) || 0), 0)
  }

  /** Gives it its order, kills it at its moment, and resolves when all that it told has been read. */
  async liveUntil(order: Order, moment: Moment): Promise<void> {
    await this.#ready
    const reached = 'afterLines' in moment ? this.#linesReached(moment.afterLines) : Promise.resolve()
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`)
    await Promise.race([reached, this.#ended])
    const pauseMs = 'afterLines' in moment ? moment.thenMs : moment.afterMs
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
    await this.kill()
  }

  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) {
      throw new Error(`the victim ended by itself: ${String(exitCode ?? signalCode)}`)
    }
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  #linesReached(count: number): Promise<void> {
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.isLate = true
        resolve()
      }, PATIENCE_MS)
      this.#onLine = () => {
        if (this.lines.length < count) return
        clearTimeout(late)
        resolve()
      }
    })
  }
}
