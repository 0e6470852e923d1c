// gzip in a thread of its own: in libuv's pool it would take turns with the log's flushes and raise commit latency.
import { Worker } from 'node:worker_threads'
import { archiveError } from '../errors.ts'

// The program is text, so that it runs from TypeScript sources, from compiled files and from a bundle alike.
const PROGRAM = `
const { parentPort } = require('node:worker_threads')
const { gzipSync } = require('node:zlib')
parentPort.on('message', ({ id, block, level }) => {
  try {
    const made = gzipSync(block, { level })
    const member = new Uint8Array(made.length)
    member.set(made)
    parentPort.postMessage({ id, member }, [member.buffer])
  } catch (error) {
    parentPort.postMessage({ id, problem: String(error) })
  }
})
`

interface Reply {
  readonly id: number
  readonly member?: Uint8Array
  readonly problem?: string
}

interface Waiting {
  readonly resolve: (member: Buffer) => void
  readonly reject: (error: Error) => void
}

/** One worker thread; begun at the first block, and no reason for the process to stay alive while idle. */
export class GzipWorker {
  #worker: Worker | undefined
  #nextId = 1
  readonly #waiting = new Map<number, Waiting>()

  /** One gzip member of a block, whose memory passes to the worker. */
  compress(block: Buffer, level: number): Promise<Buffer> {
    const worker = (this.#worker ??= this.#begin())
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      worker.ref()
      worker.postMessage({ id, block, level }, [block.buffer as ArrayBuffer])
    })
  }

  #begin(): Worker {
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], env: {}, name: 'timberline-gzip' })
    worker.on('message', (reply: Reply) => this.#settle(worker, reply))
    worker.on('error', (error) => this.#end(worker, error))
    worker.on('exit', () => this.#end(worker, new Error('the gzip thread ended')))
    return worker
  }

  #settle(worker: Worker, { id, member, problem }: Reply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) worker.unref()
    if (member === undefined) waiting?.reject(failed(problem))
    else waiting?.resolve(Buffer.from(member.buffer, member.byteOffset, member.byteLength))
  }

  /** The next block begins a new thread. */
  #end(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    for (const { reject } of this.#waiting.values()) reject(failed(cause))
    this.#waiting.clear()
  }
}

function failed(cause: unknown): Error {
  return archiveError('ARCHIVE_STORE_FAILED', 'compressing failed', { cause })
}
