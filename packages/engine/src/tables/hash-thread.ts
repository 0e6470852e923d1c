/**
 * Hashing on a thread of its own, beside the one that gathers entries out of tables: two thirds of a digest are left there, and where a second
 * processor is free the hashes cost nothing. Only for digests that take longer than a thread takes to begin.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type Bytes, bytesOf } from '../byte-copy.ts'
import type { HashSink } from './digest-hash.ts'

/** The program is text, so that it runs from TypeScript sources, from compiled files and from a bundle alike. */
const PROGRAM = `
const { createHash } = require('node:crypto')
const { parentPort } = require('node:worker_threads')
const hashes = new Map()
parentPort.on('message', ({ id, memory, count }) => {
  if (!hashes.has(id)) hashes.set(id, createHash('sha256'))
  const hash = hashes.get(id)
  if (memory === undefined) parentPort.postMessage({ id, hex: hash.digest('hex') })
  else {
    hash.update(new Uint8Array(memory, 0, count))
    parentPort.postMessage({ id, memory })
  }
})
`

/** A thread begins in some fifteen milliseconds, in which this much is hashed. */
const WORTH_BYTES = 32 * 1024 * 1024
const BUFFER_BYTES = 512 * 1024
/** Whoever gathers waits when this much was not hashed; what is gathered before it asks comes on top. */
const BUFFERS_MAX = 16

/** What the thread says: a buffer is free again, or a hash is done. */
interface Reply {
  readonly id: number
  readonly memory?: SharedArrayBuffer
  readonly hex?: string
}

interface Asker {
  readonly resolve: (hex: string) => void
  readonly reject: (error: unknown) => void
}

/** Whether so much is hashed sooner with a thread. */
export function isWorthThread(bytes: number, processors: number = availableParallelism()): boolean {
  return bytes >= WORTH_BYTES && processors > 1
}

/** The thread was lost, with all that it had hashed. */
export class HashThreadLost extends Error {}

/** One thread for several hashes; whoever opens it closes it. */
export class HashThread {
  readonly #worker: Worker
  readonly #free: Bytes[] = []
  readonly #askers = new Map<number, Asker>()
  #hashes = 0
  #waiting = 0
  #loss: HashThreadLost | undefined
  #wake: () => void = () => undefined

  constructor() {
    this.#worker = new Worker(PROGRAM, { eval: true, execArgv: [], env: {}, name: 'timberline-hash' })
    this.#worker.on('message', (reply: Reply) => this.#settle(reply))
    this.#worker.on('error', (cause) => this.#lose(cause))
    this.#worker.on('exit', () => this.#lose(undefined))
  }

  /** A hash of its own. Buffers are handed over by `take` without a copy. */
  sink(): HashSink {
    const id = this.#hashes
    this.#hashes += 1
    return {
      begin: () => this.#buffer(),
      take: (buffer, count) => {
        this.#waiting += 1
        this.#worker.postMessage({ id, memory: buffer.bytes.buffer, count })
        return this.#buffer()
      },
      end: () =>
        new Promise((resolve, reject) => {
          if (this.#loss !== undefined) reject(this.#loss)
          this.#askers.set(id, { resolve, reject })
          this.#worker.postMessage({ id })
        }),
    }
  }

  /**
   * Resolves when little enough is waiting to be hashed.
   *
   * @throws HashThreadLost
   */
  async room(): Promise<void> {
    while (this.#waiting > BUFFERS_MAX && this.#loss === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#loss !== undefined) throw this.#loss
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #buffer(): Bytes {
    return this.#free.pop() ?? bytesOf(Buffer.from(new SharedArrayBuffer(BUFFER_BYTES)))
  }

  #settle({ id, memory, hex }: Reply): void {
    if (memory !== undefined) {
      this.#waiting -= 1
      this.#free.push(bytesOf(Buffer.from(memory)))
      this.#wake()
    }
    if (hex !== undefined) this.#askers.get(id)?.resolve(hex)
  }

  #lose(cause: unknown): void {
    this.#loss ??= new HashThreadLost('the thread that hashes ended', { cause })
    for (const { reject } of this.#askers.values()) reject(this.#loss)
    this.#wake()
  }
}
