// A proxy before an S3 service that does to requests what networks and overloaded services do. Requests pass unchanged, so that
// their signatures hold; which of them meets what is the test's to say.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * `refuse-500`, `refuse-503`: answered without the service; `cut`: ended before it reaches the service; `cut-body`: in the middle of
 * what it sends; `lost-reply`: it takes effect, and its answer is lost; `half-reply`: its answer ends in the middle;
 * `slow`: it waits 300 ms; `trickle`: its answer comes in eight parts, 25 ms apart.
 */
export const FAULTS = [
  'refuse-500',
  'refuse-503',
  'cut',
  'cut-body',
  'lost-reply',
  'half-reply',
  'slow',
  'trickle',
] as const
export type Fault = (typeof FAULTS)[number]

/** A request as the plan of faults sees it. */
export interface Passing {
  readonly method: string
  readonly path: string
  /** Bytes that it sends. */
  readonly bytes: number
}

interface Exchange {
  readonly incoming: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Socket
}

export class FaultProxy {
  /** What each request meets. */
  plan: (passing: Passing) => Fault | undefined = () => undefined
  /** Told of each part of a body on its way to the service. */
  onSent: (passing: Passing, sentBytes: number) => void = () => undefined
  readonly counts = new Map<Fault | 'none', number>()
  readonly #target: URL
  readonly #server: Server

  private constructor(endpoint: string) {
    this.#target = new URL(endpoint)
    this.#server = createServer((incoming, response) => {
      // Whatever breaks on the other side breaks here too. A request that was read to its end has no socket any more.
      const { socket } = incoming
      this.#pass({ incoming, response, socket }).catch(() => socket.destroy())
    })
  }

  static async start(endpoint: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(endpoint)
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve)
    })
    return proxy
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #pass({ incoming, response, socket }: Exchange): Promise<void> {
    const bytes = Number(incoming.headers['content-length'] ?? 0)
    const passing = { method: incoming.method ?? '', path: incoming.url ?? '', bytes }
    const fault = this.plan(passing)
    this.counts.set(fault ?? 'none', (this.counts.get(fault ?? 'none') ?? 0) + 1)
    if (fault === 'cut') return void socket.destroy()
    if (fault === 'refuse-500') return refuse(incoming, response, 500)
    if (fault === 'refuse-503') return refuse(incoming, response, 503)
    if (fault === 'slow') await sleep(300)
    const answer = await this.#forward(incoming, passing, fault === 'cut-body')
    const body = await bodyOf(answer)
    if (fault === 'lost-reply') return void socket.destroy()
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    if (fault === 'half-reply') {
      response.write(body.subarray(0, body.length >> 1), () => socket.destroy())
      return
    }
    if (fault === 'trickle') {
      const step = Math.ceil(body.length / 8)
      for (let at = 0; at < body.length; at += step) {
        response.write(body.subarray(at, at + step))
        await sleep(25)
      }
      return void response.end()
    }
    response.end(body)
  }

  async #forward(incoming: IncomingMessage, passing: Passing, isCut: boolean): Promise<IncomingMessage> {
    const { hostname, port } = this.#target
    const { method, path } = passing
    const outgoing = request({ hostname, port, method, path, headers: incoming.headers, agent: false })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject)
    })
    // Awaited below, and until then nobody else looks at it.
    answered.catch(() => undefined)
    let sent = 0
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      sent += chunk.length
      if (isCut && sent >= passing.bytes / 2) {
        outgoing.write(chunk.subarray(0, chunk.length >> 1), () => outgoing.destroy())
        throw new Error('cut in the middle of the body')
      }
      if (!outgoing.write(chunk) && !outgoing.destroyed) {
        await Promise.race([new Promise((resolve) => outgoing.once('drain', resolve)), answered])
      }
      this.onSent(passing, sent)
    }
    if (isCut) {
      outgoing.destroy()
      throw new Error('cut before the end')
    }
    outgoing.end()
    return answered
  }
}

function refuse(incoming: IncomingMessage, response: ServerResponse, status: number): void {
  incoming.resume()
  const code = status === 503 ? 'SlowDown' : 'InternalError'
  const body = `<Error><Code>${code}</Code><Message>${code}</Message></Error>`
  response.writeHead(status, { 'content-type': 'application/xml' }).end(body)
}

async function bodyOf(answer: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of answer as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts)
}
