import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { homeOwner, lockHome } from '../src/home/lock.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const CHILD = fileURLToPath(new URL('support/lock-child.ts', import.meta.url))
const children: ChildProcess[] = []
let homes = 0

function newHome(): string {
  homes += 1
  return join(folder, `home${homes}`)
}

/** A process of its own that holds the home once this resolves. */
async function holderOf(home: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [testProgram(CHILD), home], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  children.push(child)
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', () => reject(new Error('the child ended early')))
  })
  return child
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) await killed(child)
})

describe('the lock of a home', () => {
  test('keeps out a second open in the same process, and does not lose itself by it', async () => {
    const home = newHome()
    const lock = await lockHome(home)
    for (let tries = 0; tries < 3; tries += 1) {
      await expect(lockHome(home)).rejects.toMatchObject({
        code: 'ENGINE_HOME_LOCKED',
        details: { pid: process.pid },
        cause: { code: 'LEVEL_LOCKED' },
      })
    }
    // The kernel's lock still stands: another process is refused too.
    await expect(holderOf(home)).rejects.toThrow('ended early')
    await lock.release()
    await (await lockHome(home)).release()
  })

  test('knows the home by any name', async () => {
    const home = newHome()
    const lock = await lockHome(home)
    const alias = `${home}.alias`
    symlinkSync(home, alias)
    await expect(lockHome(alias)).rejects.toMatchObject({ code: 'ENGINE_HOME_LOCKED' })
    await lock.release()
  })

  test('of two that come at once, one gets it', async () => {
    const home = newHome()
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockHome(home)))
    const held = results.filter((result) => result.status === 'fulfilled')
    expect(held).toHaveLength(1)
    for (const result of held) await result.value.release()
  })

  test('names the process that holds it', async () => {
    const home = newHome()
    const child = await holderOf(home)
    await expect(lockHome(home)).rejects.toMatchObject({
      code: 'ENGINE_HOME_LOCKED',
      details: { pid: child.pid },
      cause: { code: 'LEVEL_LOCKED' },
    })
    expect(await homeOwner(home)).toEqual({ pid: child.pid })
  })

  test('dies with its process, however that ends', async () => {
    const home = newHome()
    await killed(await holderOf(home))
    expect(existsSync(homeLayout(home).ownerPath)).toBe(true)
    expect(await homeOwner(home)).toBeUndefined()
    const lock = await lockHome(home)
    expect(await homeOwner(home)).toEqual({ pid: process.pid })
    await lock.release()
    expect(await homeOwner(home)).toBeUndefined()
  })

  test('waits for as long as it is told', async () => {
    const home = newHome()
    const lock = await lockHome(home)
    const beganAtMs = performance.now()
    await expect(lockHome(home, { busyTimeoutMs: 150 })).rejects.toMatchObject({ code: 'ENGINE_HOME_LOCKED' })
    expect(performance.now() - beganAtMs).toBeGreaterThanOrEqual(150)
    const waiting = lockHome(home, { busyTimeoutMs: 10_000 })
    setTimeout(() => void lock.release(), 50)
    await (await waiting).release()
  })

  test('is had again when its own little database is damaged', async () => {
    const home = newHome()
    await (await lockHome(home)).release()
    writeFileSync(join(homeLayout(home).lockDirectory, 'CURRENT'), 'nonsense')
    await (await lockHome(home)).release()
    writeFileSync(homeLayout(home).ownerPath, '{"pid":')
    const lock = await lockHome(home)
    expect(await homeOwner(home)).toEqual({ pid: process.pid })
    await lock.release()
  })

  test('is not believed to be held by a process that only has the pid of the former holder', async () => {
    const home = newHome()
    const lock = await lockHome(home)
    const owner = JSON.parse(readFileSync(homeLayout(home).ownerPath, 'utf8')) as { startedAt: string }
    await lock.release()
    writeFileSync(homeLayout(home).ownerPath, JSON.stringify({ ...owner, startedAt: '1' }))
    expect(await homeOwner(home)).toBeUndefined()
    await (await lockHome(home)).release()
  })
})
