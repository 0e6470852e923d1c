import { createConnection } from 'node:net'
import { TimberlineError } from '@timberline/wal'
import type { ErrorKind } from '@timberline/wal'
import { withSocketPath } from './control-path.ts'
import { LineSplitter, REPLY_BYTES_MAX, decodeReply } from './control-protocol.ts'
import type { ControlReply, ControlRequest } from './control-protocol.ts'
import { codeOf, engineError } from './errors.ts'
import { homeLayout } from './home-layout.ts'

/** Options of {@link controlCall}. */
export interface ControlCallOptions {
  /** How long to wait for the reply, in milliseconds; default 60,000. */
  readonly timeoutMs?: number
}

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

/**
 * Asks the process that has a home open; resolves with its result.
 *
 * @throws ENGINE_NOT_RUNNING when nobody listens, ENGINE_CONTROL_FAILED when no proper answer came in time, and whatever
 * error the owner replied with, under its own code
 */
export async function controlCall(
  home: string,
  request: ControlRequest,
  options: ControlCallOptions = {},
): Promise<unknown> {
  const reply = await withSocketPath(homeLayout(home).socketPath, (path) =>
    exchange(path, request, { home, timeoutMs: options.timeoutMs ?? TIMEOUT_MS }),
  )
  if (reply.ok) return reply.result
  const { code, kind, message, hint } = reply.error
  throw new TimberlineError(message, { code, kind: isKind(kind) ? kind : 'unavailable', hint, details: {} })
}

function exchange(
  path: string,
  request: ControlRequest,
  call: { home: string; timeoutMs: number },
): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path)
    const lines = new LineSplitter(REPLY_BYTES_MAX)
    const timer = setTimeout(
      () => socket.destroy(new Error(`no reply within ${call.timeoutMs} ms`)),
      call.timeoutMs,
    )
    socket.on('error', (cause) => reject(failed(cause, call.home)))
    socket.on('close', () => {
      clearTimeout(timer)
      reject(failed(new Error('the connection was closed before the reply'), call.home))
    })
    socket.on('data', (chunk: Buffer) => {
      try {
        const [line] = lines.push(chunk)
        if (line === undefined) return
        resolve(decodeReply(line))
        socket.end()
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    socket.write(`${JSON.stringify(request)}\n`)
  })
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
