import { chmod, rename } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'
import { TimberlineError, nodeFileSystem, placeHold, removeIfPresent } from '@timberline/wal'
import type { Hold } from '@timberline/wal'
import type { Barrier } from './barrier-member.ts'
import { withSocketPath } from './control-path.ts'
import { LineSplitter, REQUEST_BYTES_MAX, decodeRequest } from './control-protocol.ts'
import type { ControlReply, ControlRequest } from './control-protocol.ts'
import { engineError } from '../errors.ts'
import type { HomeLayout } from '../home/home-layout.ts'

/** What the owner of a home answers with; results must be JSON-safe. */
export interface ControlHandlers {
  status(): Promise<object> | object
  checkpoint(options: { readonly digest?: boolean; readonly hashed?: boolean }): Promise<object>
  switchSegment(): Promise<object>
  /** Meters commits until aborted, which is when who asked is gone; the result tells how it stands. */
  meter(signal: AbortSignal): () => object
  digest(): Promise<object>
  /** The signal, if there is one, is aborted when who asked is gone. */
  quiesce(options: { readonly maxMs?: number; readonly signal?: AbortSignal }): Promise<object>
  resume(id?: string): Promise<object> | object
  mark(name: string): Promise<object>
  /** The signal is aborted when who asked is gone. */
  prepare(barrier: Barrier, signal: AbortSignal): Promise<object>
  isHeld(barrierId: string): boolean
  commit(barrier: Pick<Barrier, 'id' | 'name'>): Promise<object>
  /** Only a standby has it: lets go of the folder, soon. */
  leave?(): object
}

/** The listening socket of a home, or the reason why there is none. */
export interface ControlServer {
  /** Absent while the socket works. */
  readonly offReason?: string
  /** Idempotent; removes the socket and lets go of the holds that were placed through it. */
  close(): Promise<void>
}

const CONNECTIONS_MAX = 64
const HOLDS_MAX = 256
const IDLE_MS_MAX = 600_000

/**
 * Listens on the home's control socket, mode 0600. The caller holds the home's lock, so a socket that is already there
 * belongs to nobody. Never fails: a socket that cannot be had is a reason in the result, not an error of the open.
 */
export async function openControlServer(
  layout: HomeLayout,
  handlers: ControlHandlers,
): Promise<ControlServer> {
  const server = new SocketServer(layout, handlers)
  try {
    await server.listen()
    return server
  } catch (error) {
    await server.close()
    return {
      offReason: error instanceof Error ? error.message : String(error),
      close: () => Promise.resolve(),
    }
  }
}

/** Who asks. */
interface Peer {
  readonly socket: Socket
  /** Aborted when the connection is closed. */
  readonly gone: AbortController
  /** What is metered for it. */
  metered?: () => object
}

class SocketServer implements ControlServer {
  readonly #layout: HomeLayout
  readonly #handlers: ControlHandlers
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #holds = new Map<string, Hold>()
  #closing: Promise<void> | undefined

  constructor(layout: HomeLayout, handlers: ControlHandlers) {
    this.#layout = layout
    this.#handlers = handlers
    this.#server = createServer((socket) => this.#serve(socket))
    this.#server.maxConnections = CONNECTIONS_MAX
    // The database must not keep its process alive for a socket.
    this.#server.unref()
  }

  async listen(): Promise<void> {
    // Made under another name and renamed when only the owner may use it: nobody can slip in before.
    const making = join(this.#layout.home, 'control.new')
    await removeIfPresent(making, nodeFileSystem)
    await withSocketPath(making, (path) => this.#bind(path))
    await chmod(making, 0o600)
    await rename(making, this.#layout.socketPath)
    this.#server.on('error', () => this.#server.close())
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  #bind(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  async #close(): Promise<void> {
    await removeIfPresent(this.#layout.socketPath, nodeFileSystem)
    if (this.#server.listening) {
      const closed = new Promise((resolve) => {
        this.#server.close(resolve)
      })
      for (const socket of this.#sockets) socket.destroy()
      await closed
    }
    for (const hold of this.#holds.values()) await hold.release()
    this.#holds.clear()
  }

  #serve(socket: Socket): void {
    const lines = new LineSplitter(REQUEST_BYTES_MAX)
    const peer: Peer = { socket, gone: new AbortController() }
    let answering = Promise.resolve()
    this.#sockets.add(socket)
    socket.unref()
    socket.setTimeout(IDLE_MS_MAX, () => socket.destroy())
    socket.on('close', () => {
      this.#sockets.delete(socket)
      peer.gone.abort()
    })
    // A client that went away is no concern of the database.
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      let whole: string[]
      try {
        whole = lines.push(chunk)
      } catch (error) {
        socket.end(`${JSON.stringify(failure(error))}\n`)
        return
      }
      // Nothing more is read until all of it is answered and the answers are taken: who asks without reading must not make
      // the owner hold what it would have read.
      socket.pause()
      answering = answering
        .then(() => this.#answerAll(whole, peer))
        .then(() => {
          socket.resume()
        })
    })
  }

  /** One after the other: replies come in the order of requests. */
  async #answerAll(lines: readonly string[], peer: Peer): Promise<void> {
    const { socket } = peer
    for (const line of lines) {
      const reply = await this.#answer(line, peer)
      if (!socket.writable) return
      if (!socket.write(`${JSON.stringify(reply)}\n`)) await drained(socket)
    }
  }

  async #answer(line: string, peer: Peer): Promise<ControlReply> {
    try {
      return { ok: true, result: await this.#do(decodeRequest(line), peer) }
    } catch (error) {
      return failure(error)
    }
  }

  async #do(request: ControlRequest, peer: Peer): Promise<unknown> {
    switch (request.type) {
      case 'status':
        return this.#handlers.status()
      case 'checkpoint': {
        const { digest, hashed } = request
        return this.#handlers.checkpoint({
          ...(digest === undefined ? {} : { digest }),
          ...(hashed === undefined ? {} : { hashed }),
        })
      }
      case 'switch':
        return this.#handlers.switchSegment()
      case 'meter':
        return this.#meter(peer)
      case 'metered':
        return metered(peer)
      case 'digest':
        return this.#handlers.digest()
      case 'hold':
        return this.#hold(request.purpose, request.pid)
      case 'release':
        return this.#release(request.id)
      case 'quiesce':
        return this.#quiesce(request, peer)
      case 'resume':
        return this.#handlers.resume(request.id)
      case 'mark':
        return this.#handlers.mark(request.name)
      case 'prepare':
        return this.#handlers.prepare({ ...request, id: request.barrier }, peer.gone.signal)
      case 'held':
        return { held: this.#handlers.isHeld(request.barrier) }
      case 'commit':
        return this.#handlers.commit({ id: request.barrier, name: request.name })
      case 'leave':
        return this.#leave()
    }
  }

  #leave(): object {
    const left = this.#handlers.leave?.()
    if (left !== undefined) return left
    throw engineError('ENGINE_CONTROL_REQUEST', 'only a standby lets go of its folder')
  }

  /** A second one on the same connection changes nothing: what it asks for is under way. */
  #meter(peer: Peer): object {
    peer.metered ??= this.#handlers.meter(peer.gone.signal)
    // Who copies for an hour is silent for an hour.
    peer.socket.setTimeout(0)
    return {}
  }

  #quiesce({ maxMs, connected }: ControlRequest & { type: 'quiesce' }, peer: Peer): Promise<object> {
    const bound = maxMs === undefined ? {} : { maxMs }
    if (connected !== true) return this.#handlers.quiesce(bound)
    // The pause has a bound of its own, which may be longer than a connection may be idle.
    peer.socket.setTimeout(0)
    return this.#handlers.quiesce({ ...bound, signal: peer.gone.signal })
  }

  async #hold(purpose: string, pid: number): Promise<{ id: string }> {
    if (this.#holds.size >= HOLDS_MAX) {
      throw engineError('ENGINE_CONTROL_REQUEST', 'there are too many holds', {
        details: { holds: HOLDS_MAX },
      })
    }
    // It dies with the asking process, not with ours.
    const hold = await placeHold(this.#layout.logDirectory, { purpose, pid })
    this.#holds.set(hold.id, hold)
    return { id: hold.id }
  }

  async #release(id: string): Promise<{ released: boolean }> {
    const hold = this.#holds.get(id)
    this.#holds.delete(id)
    await hold?.release()
    return { released: hold !== undefined }
  }
}

function metered({ metered: report }: Peer): object {
  if (report === undefined) {
    throw engineError('ENGINE_CONTROL_REQUEST', 'nothing is metered for this connection')
  }
  return report()
}

/** Resolves when the other side has taken what was written, or is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      socket.off('drain', end)
      socket.off('close', end)
      resolve()
    }
    socket.on('drain', end)
    socket.on('close', end)
  })
}

function failure(error: unknown): ControlReply {
  if (error instanceof TimberlineError) {
    const { code, kind, message, hint } = error
    return { ok: false, error: { code, kind, message, hint } }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { ok: false, error: { code: 'ENGINE_CONTROL_FAILED', kind: 'unavailable', message, hint: '' } }
}
