// A decoder that loops for ever holds its thread, so that no timer of the same thread can end it. This one looks on from
// another thread and ends the process, naming the input. It measures nothing: its patience is a thousand times what any input
// needs, so that it speaks only of what would never end.
import { Worker } from 'node:worker_threads'

const PATIENCE_MS = 60_000
const INPUT_BYTES_SHOWN = 4096

const PROGRAM = `
const { workerData } = require('node:worker_threads')
const { writeSync } = require('node:fs')
const { beats, shown, patienceMs } = workerData
let seen = -1
setInterval(() => {
  const now = Atomics.load(beats, 0)
  if (now !== seen || now === 0) { seen = now; return }
  const text = Buffer.from(shown.slice(0, Atomics.load(beats, 1))).toString('latin1')
  writeSync(2, 'a decoder did not come back from: ' + text + '\\n')
  process.kill(process.pid, 'SIGKILL')
}, patienceMs)
`

/** Ends the process when one input takes longer than a minute. */
export class Watchdog {
  readonly #beats = new Int32Array(new SharedArrayBuffer(8))
  readonly #shown = new Uint8Array(new SharedArrayBuffer(INPUT_BYTES_SHOWN))
  readonly #worker: Worker
  #count = 0

  constructor() {
    const workerData = { beats: this.#beats, shown: this.#shown, patienceMs: PATIENCE_MS }
    this.#worker = new Worker(PROGRAM, { eval: true, execArgv: [], workerData })
    this.#worker.unref()
  }

  /** An input begins; `text` is what is printed should it never end. */
  begin(name: string, input: Buffer): void {
    const text = Buffer.from(`${name} ${input.toString('hex', 0, INPUT_BYTES_SHOWN / 4)}`, 'latin1')
    this.#shown.set(text.subarray(0, INPUT_BYTES_SHOWN))
    Atomics.store(this.#beats, 1, Math.min(text.length, INPUT_BYTES_SHOWN))
    this.#count += 1
    Atomics.store(this.#beats, 0, this.#count)
  }

  /** The input ended; from here on nothing is waited for. */
  end(): void {
    Atomics.store(this.#beats, 0, 0)
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
