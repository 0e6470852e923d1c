/**
 * Both ends of the control socket against a peer that talks nonsense, over real sockets.
 *
 * Fault model: the peer is a program of the same user (the socket has mode 0600) that sends damaged requests or replies, sends
 * without end, or asks without ever reading an answer. The owner of a home must answer each line with one reply, keep no more
 * than a bounded backlog for a peer that does not read, and stay usable for others; the asking side must end in a value or a
 * typed error.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { controlCall, homeLayout } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { afterAll, describe, expect, it } from 'vitest'
import { openControlServer, type ControlHandlers } from '../../packages/engine/src/control/control-server.ts'
import { decodeReply } from '../../packages/engine/src/control/control-protocol.ts'
import { engineDecoders } from './engine-decoders.ts'
import { inputAt } from './harness.ts'

const seed = Number(process.env['SEED'] ?? 1)
const folder = mkdtempSync(join(tmpdir(), 'timberline-fuzz-socket-'))
let homes = 0

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function newHome(): string {
  homes += 1
  const home = join(folder, `home-${String(homes)}`)
  mkdirSync(join(home, 'log'), { recursive: true })
  return home
}

function handlersThat(status: () => object): ControlHandlers {
  return {
    status,
    checkpoint: (options) => Promise.resolve({ lsn: 7, ...options }),
    switchSegment: () => Promise.resolve({}),
    meter: () => () => ({ ms: 1, commitCount: 0, longestWaitMs: 0 }),
    digest: () => Promise.resolve({ hex: '00' }),
    quiesce: () => Promise.resolve({}),
    resume: () => ({}),
    mark: () => Promise.resolve({}),
    prepare: () => Promise.resolve({}),
    isHeld: () => true,
    commit: () => Promise.resolve({}),
  }
}

/** Damaged inputs of a row of the table, as lines. */
async function damaged(name: string, count: number): Promise<Buffer[]> {
  const decoder = engineDecoders.find((each) => each.name === name)
  if (decoder === undefined) throw new Error(`there is no decoder ${name}`)
  const seeds = (await decoder.seeds()).map((each) => Buffer.from(each))
  return Array.from({ length: count }, (_, index) => inputAt(decoder, seeds, { seed, index }))
}

/** The longest line that a server takes, in bytes. */
const LINE_BYTES_MAX = 16 * 1024

/** Sends bytes, and resolves with the lines that came back: as many as were sent, or as came before the connection closed. */
async function exchange(path: string, sent: Buffer): Promise<string[]> {
  const asked = sent.filter((byte) => byte === 0x0a).length
  const socket = createConnection(path)
  const received: Buffer[] = []
  let lines = 0
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk)
    lines += chunk.filter((byte) => byte === 0x0a).length
    if (lines >= asked) socket.end()
  })
  // A server that refuses a line closes while more is sent.
  socket.on('error', () => undefined)
  socket.write(sent)
  await once(socket, 'close')
  return Buffer.concat(received)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

describe('the owner of a home', () => {
  it('answers every line with one reply, whatever the lines are, and goes on', async () => {
    const home = newHome()
    const server = await openControlServer(
      homeLayout(home),
      handlersThat(() => ({ lsn: 7 })),
    )
    const codes = new Map<string, number>()
    let lines = 0
    for (const input of await damaged('control-request', 200)) {
      const path = homeLayout(home).socketPath
      const asked = input.filter((byte) => byte === 0x0a).length + 1
      const replies = (await exchange(path, Buffer.concat([input, Buffer.from('\n')]))).map(decodeReply)
      // A line beyond the limit ends the connection with one refusal.
      const isWhole = input
        .toString('latin1')
        .split('\n')
        .every((line) => line.length <= LINE_BYTES_MAX)
      expect(replies.length === asked || (!isWhole && replies.length < asked)).toBe(true)
      lines += asked
      for (const reply of replies) {
        const code = reply.ok ? 'a result' : reply.error.code
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 7 })
    await server.close()
    const told = [...codes].map(([code, count]) => `${code} ${String(count)}`).join(', ')
    console.log(`fuzz SEED=${String(seed)} | control-server | 200 inputs, ${String(lines)} lines | ${told}`)
    expect([...codes.keys()].toSorted()).toEqual(['ENGINE_CONTROL_REQUEST', 'a result'])
  })

  it('answers no faster than its answers are taken, and loses none of them', async () => {
    const requests = 400
    const answer = 'x'.repeat(64 * 1024)
    let answered = 0
    const home = newHome()
    const server = await openControlServer(
      homeLayout(home),
      handlersThat(() => ({ number: (answered += 1), answer })),
    )
    const socket: Socket = createConnection(homeLayout(home).socketPath)
    await once(socket, 'connect')
    socket.pause()
    socket.write('{"type":"status"}\n'.repeat(requests))
    // Until nothing moves any more; looking too early can only make the count smaller.
    for (let before = -1; before !== answered || answered === 0;) {
      before = answered
      await sleep(100)
    }
    const heldBytes = answered * answer.length
    let receivedBytes = 0
    let receivedLines = 0
    socket.on('data', (chunk: Buffer) => {
      receivedBytes += chunk.length
      receivedLines += chunk.filter((byte) => byte === 0x0a).length
      if (receivedLines === requests) socket.end()
    })
    socket.resume()
    await once(socket, 'close')
    await server.close()
    console.log(
      `control-server | ${String(requests)} requests without reading: ${String(heldBytes)} bytes of answers held, then ${String(receivedBytes)} received`,
    )
    expect(heldBytes).toBeLessThan(8 * 1024 * 1024)
    expect(answered).toBe(requests)
    expect(receivedBytes).toBeGreaterThan(requests * answer.length)
  })
})

describe('who asks the owner', () => {
  it('ends in a value or a typed error, whatever is answered', async () => {
    const home = newHome()
    let reply: Buffer = Buffer.alloc(0)
    const server = await impostor(homeLayout(home).socketPath, () => reply)
    let values = 0
    let errors = 0
    const inputs = await damaged('control-reply', 250)
    // Beyond the limit of a reply, without an end of line.
    for (const input of [...inputs, Buffer.alloc(5 * 1024 * 1024, 0x20)]) {
      reply = Buffer.concat([input, Buffer.from(input.length < 100_000 ? '\n' : '')])
      try {
        await controlCall(home, { type: 'status' }, { timeoutMs: 60_000 })
        values += 1
      } catch (error) {
        if (!(error instanceof TimberlineError)) throw error
        errors += 1
      }
    }
    server.close()
    console.log(
      `fuzz SEED=${String(seed)} | control-client | ${String(values + errors)} inputs | ${String(values)} values | ${String(errors)} typed errors`,
    )
    expect(values).toBeGreaterThan(0)
    expect(errors).toBeGreaterThan(100)
  })
})

/** Somebody who listens in the owner's place and answers whatever is asked with `reply`. */
async function impostor(path: string, reply: () => Buffer): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(reply()))
  })
  server.listen(path)
  await once(server, 'listening')
  return server
}
