import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { TimberlineError } from '@timberline/wal'
import type { ErrorKind } from '@timberline/wal'
import { withSocketPath } from './control-path.ts'
import { LineSplitter, REPLY_BYTES_MAX, decodeReply } from './control-protocol.ts'
import type { ControlReply, ControlRequest } from './control-protocol.ts'
import { codeOf, engineError } from '../errors.ts'
import { homeLayout } from '../home/home-layout.ts'

const TIMEOUT_MS = 60_000
const NOBODY: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR'])
const KINDS: ReadonlySet<string> = new Set<ErrorKind>([
  'corruption',
  'gap',
  'unavailable',
  'invalid',
  'conflict',
  'closed',
  'aborted',
])

interface Waiting {
  readonly resolve: (reply: ControlReply) => void
  readonly reject: (error: Error) => void
}

/**
 * A connection to the process that has a home open. What is bound to it, such as a pause, ends with it: also when this process
 * dies.
 */
export class ControlConnection {
  readonly #socket: Socket
  readonly #home: string
  readonly #lines = new LineSplitter(REPLY_BYTES_MAX)
  readonly #waiting: Waiting[] = []
  #cause = new Error('the connection was closed before the reply')
  #isClosed = false

  private constructor(socket: Socket, home: string) {
    this.#socket = socket
    this.#home = home
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (cause) => {
      this.#cause = cause
    })
    socket.on('close', () => this.#end())
  }

  /** @throws ENGINE_NOT_RUNNING when nobody listens, ENGINE_CONTROL_FAILED when the connection cannot be made */
  static open(home: string): Promise<ControlConnection> {
    return withSocketPath(
      homeLayout(home).socketPath,
      (path) =>
        new Promise((resolve, reject) => {
          const socket = createConnection(path)
          const refuse = (cause: Error): void => reject(failed(cause, home))
          socket.once('error', refuse)
          socket.once('connect', () => {
            socket.off('error', refuse)
            resolve(new ControlConnection(socket, home))
          })
        }),
    )
  }

  /**
   * Asks, and resolves with the result; replies come in the order of requests.
   *
   * @throws ENGINE_CONTROL_FAILED when no proper answer came in time, and whatever error the owner replied with, under its own code
   */
  async call(request: ControlRequest, timeoutMs: number = TIMEOUT_MS): Promise<unknown> {
    const timer = setTimeout(() => {
      this.#socket.destroy(new Error(`no reply within ${timeoutMs} ms`))
    }, timeoutMs)
    try {
      const reply = await this.#exchange(request)
      if (reply.ok) return reply.result
      const { code, kind, message, hint } = reply.error
      throw new TimberlineError(message, {
        code,
        kind: isKind(kind) ? kind : 'unavailable',
        hint,
        details: {},
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Idempotent. */
  close(): void {
    this.#socket.end()
  }

  #exchange(request: ControlRequest): Promise<ControlReply> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(failed(this.#cause, this.#home))
        return
      }
      this.#waiting.push({ resolve, reject })
      this.#socket.write(`${JSON.stringify(request)}\n`)
    })
  }

  #take(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) {
        const reply = decodeReply(line)
        this.#waiting.shift()?.resolve(reply)
      }
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #end(): void {
    this.#isClosed = true
    for (const { reject } of this.#waiting.splice(0)) reject(failed(this.#cause, this.#home))
  }
}

function failed(cause: Error, home: string): Error {
  if (NOBODY.has(codeOf(cause) ?? '')) {
    return engineError('ENGINE_NOT_RUNNING', 'nobody has the home open, or its control socket is off', {
      details: { home },
      cause,
    })
  }
  return engineError('ENGINE_CONTROL_FAILED', 'the owner of the home did not answer', {
    details: { home },
    cause,
  })
}

function isKind(kind: string): kind is ErrorKind {
  return KINDS.has(kind)
}
