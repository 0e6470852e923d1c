import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { liveHolds } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { controlCall } from '../src/control/control-call.ts'
import { LineSplitter, decodeRequest } from '../src/control/control-protocol.ts'
import { openControlServer } from '../src/control/control-server.ts'
import type { ControlHandlers, ControlServer } from '../src/control/control-server.ts'
import { engineError } from '../src/errors.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0

const handlers: ControlHandlers = {
  status: () => ({ lsn: 7 }),
  checkpoint: (options) => Promise.resolve({ lsn: 7, ...options }),
  switchSegment: () => Promise.reject(engineError('ENGINE_CLOSED', 'closed')),
  meter: () => () => ({ ms: 1, commitCount: 0, longestWaitMs: 0 }),
  digest: () => Promise.resolve({ hex: '00' }),
  quiesce: (options) => Promise.resolve(options),
  resume: (id) => ({ id }),
  mark: (name) => Promise.resolve({ name }),
  prepare: (barrier) => Promise.resolve(barrier),
  isHeld: () => true,
  commit: (barrier) => Promise.resolve(barrier),
}

async function serve(name = ''): Promise<{ home: string; server: ControlServer }> {
  homes += 1
  const home = join(folder, `home${homes}${name}`)
  mkdirSync(join(home, 'log'), { recursive: true })
  return { home, server: await openControlServer(homeLayout(home), handlers) }
}

function rawExchange(path: string, sent: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    let received = ''
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString()
      if (received.endsWith('\n')) socket.end()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(received))
    socket.write(sent)
  })
}

describe('the control socket', () => {
  test('answers, and only for the owner of the home', async () => {
    const { home, server } = await serve()
    expect(server.offReason).toBeUndefined()
    expect(statSync(homeLayout(home).socketPath).mode & 0o777).toBe(0o600)
    expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 7 })
    expect(await controlCall(home, { type: 'checkpoint', digest: true })).toEqual({ lsn: 7, digest: true })
    expect(await controlCall(home, { type: 'digest' })).toEqual({ hex: '00' })
    await server.close()
    expect(readdirSync(home)).toEqual(['log'])
  })

  test('passes the owner’s errors on under their own code', async () => {
    const { home, server } = await serve()
    await expect(controlCall(home, { type: 'switch' })).rejects.toMatchObject({
      code: 'ENGINE_CLOSED',
      kind: 'closed',
    })
    await server.close()
  })

  test('says when nobody listens', async () => {
    const { home, server } = await serve()
    await server.close()
    await expect(controlCall(home, { type: 'status' })).rejects.toMatchObject({ code: 'ENGINE_NOT_RUNNING' })
    await expect(controlCall(join(folder, 'nowhere'), { type: 'status' })).rejects.toMatchObject({
      code: 'ENGINE_NOT_RUNNING',
    })
  })

  test('replaces what a dead owner left', async () => {
    const { home, server } = await serve()
    await server.close()
    writeFileSync(homeLayout(home).socketPath, 'stale')
    const again = await openControlServer(homeLayout(home), handlers)
    expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 7 })
    await again.close()
  })

  test('works in a home whose path is longer than the kernel allows for sockets', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('tl-')).length
    const { home, server } = await serve('/deep'.padEnd(150, 'x'))
    expect(Buffer.byteLength(homeLayout(home).socketPath)).toBeGreaterThan(150)
    expect(server.offReason).toBeUndefined()
    expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 7 })
    await server.close()
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('tl-'))).toHaveLength(before)
  })

  test('that cannot be made is a reason, not an error', async () => {
    const server = await openControlServer(homeLayout(join(folder, 'missing')), handlers)
    expect(server.offReason).toContain('')
    expect(server.offReason).toBeDefined()
    await server.close()
  })

  test('places holds for the process that asks, and lets them go', async () => {
    const { home, server } = await serve()
    const { logDirectory } = homeLayout(home)
    const held = (await controlCall(home, { type: 'hold', purpose: 'copy', pid: process.ppid })) as {
      id: string
    }
    expect(await liveHolds(logDirectory)).toMatchObject([{ id: held.id, pid: process.ppid, purpose: 'copy' }])
    expect(await controlCall(home, { type: 'release', id: held.id })).toEqual({ released: true })
    expect(await controlCall(home, { type: 'release', id: held.id })).toEqual({ released: false })
    await controlCall(home, { type: 'hold', purpose: 'copy', pid: process.pid })
    await server.close()
    expect(await liveHolds(logDirectory)).toEqual([])
  })

  test('answers several requests of one connection in their order, and nonsense by an error', async () => {
    const { home, server } = await serve()
    const path = homeLayout(home).socketPath
    const reply = await rawExchange(path, '{"type":"status"}\nnonsense\n{"type":"reboot"}\n')
    const lines = reply.trim().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(1)
    expect(JSON.parse(lines[0] ?? '')).toEqual({ ok: true, result: { lsn: 7 } })
    expect(JSON.parse(await rawExchange(path, 'nonsense\n'))).toMatchObject({
      error: { code: 'ENGINE_CONTROL_REQUEST' },
    })
    expect(JSON.parse(await rawExchange(path, '{"type":"status","more":1}\n'))).toMatchObject({ ok: false })
    expect(JSON.parse(await rawExchange(path, 'x'.repeat(100_000)))).toMatchObject({
      error: { code: 'ENGINE_CONTROL_REQUEST' },
    })
    expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 7 })
    await server.close()
  })

  test('gives up on an owner that does not answer', async () => {
    homes += 1
    const home = join(folder, `home${homes}`)
    mkdirSync(join(home, 'log'), { recursive: true })
    const never = { ...handlers, status: () => new Promise<object>(() => undefined) }
    const server = await openControlServer(homeLayout(home), never)
    await expect(controlCall(home, { type: 'status' }, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ENGINE_CONTROL_FAILED',
    })
    await server.close()
  })

  test('a closing owner ends the calls in progress', async () => {
    homes += 1
    const home = join(folder, `home${homes}`)
    mkdirSync(join(home, 'log'), { recursive: true })
    const never = { ...handlers, status: () => new Promise<object>(() => undefined) }
    const server = await openControlServer(homeLayout(home), never)
    const call = controlCall(home, { type: 'status' }).catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await server.close()
    expect(await call).toMatchObject({ code: 'ENGINE_CONTROL_FAILED' })
  })
})

describe('the control protocol', () => {
  test('cuts lines the same however the bytes arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 20 })), fc.array(fc.nat({ max: 10 })), (texts, cuts) => {
        const lines = texts.map((text) => text.replaceAll('\n', ' '))
        const whole = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const splitter = new LineSplitter(1000)
        const found: string[] = []
        let from = 0
        for (const cut of cuts) {
          found.push(...splitter.push(whole.subarray(from, from + cut)))
          from = Math.min(from + cut, whole.length)
        }
        found.push(...splitter.push(whole.subarray(from)))
        expect(found).toEqual(lines)
      }),
      { numRuns: 200 },
    )
  })

  test('refuses any other JSON by name', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => decodeRequest(json)).toThrow(expect.objectContaining({ code: 'ENGINE_CONTROL_REQUEST' }))
      }),
    )
  })
})
