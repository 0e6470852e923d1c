/**
 * How a standby ends, how it is refused, and which errors of a store end it: those of the system pass, and those that nobody knows do not.
 */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ArchiveStore, memoryStore } from '@timberline/archive'
import { expect, test } from 'vitest'
import { openStandby } from '../src/index.ts'
import { ship } from './environment.ts'
import { followed, isAt, scene } from './standby-scene.ts'

/** A store that answers nothing but an error once there is one. */
function failing(): { readonly store: ArchiveStore; error: Error | undefined } {
  const inner = memoryStore()
  const made: { readonly store: ArchiveStore; error: Error | undefined } = {
    error: undefined,
    store: {
      ...inner,
      status: (name) => (made.error === undefined ? inner.status(name) : Promise.reject(made.error)),
    },
  }
  return made
}

test.each([9, 3_600_001, 50.5, Number.NaN])(
  'a pause of %d ms is refused before anything is made',
  async (pollMs) => {
    const { open, folder } = await scene()
    const home = join(folder, 'never')
    const refused = { code: 'RECOVERY_OPTION_INVALID', details: { pollMs, min: 10, max: 3_600_000 } }
    await expect(open({ home, pollMs })).rejects.toMatchObject(refused)
    await expect(writeFile(home, 'a file', { flag: 'wx' })).resolves.toBeUndefined()
  },
)

test('a file in the place of the folder is left alone', async () => {
  const { open, folder } = await scene()
  const home = join(folder, 'file')
  await writeFile(home, 'mine')
  await expect(open({ home })).rejects.toMatchObject({
    code: 'RECOVERY_TARGET_NOT_EMPTY',
    message: expect.stringContaining('is a file'),
  })
})

test('a home that remembers nothing of backups is put aside as it is', async () => {
  const { open, env } = await scene()
  await env.close()
  const standby = await open({ home: env.home, rejoin: true })
  await standby.caughtUp()
  expect(await isAt(standby, env, 10)).toBe(true)
  const names = await readdir(standby.status().aside ?? '')
  expect(names).toEqual(expect.arrayContaining(['data', 'log', 'timberline.json']))
  expect(names).not.toContain('backup-due.json')
  expect(names).not.toContain('volumes.json')
})

test('a standby that is opened with a signal that has stopped ends without a look', async () => {
  const { archive, home, env } = await followed()
  await env.writeMany(2)
  await ship(env, archive)
  const standby = await openStandby({ archive, home, signal: AbortSignal.abort() })
  await standby.done
  expect(standby.status()).toMatchObject({ lsn: 10, looks: 0 })
  await expect(standby.caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_CLOSED' })
})

test('whoever waits for a record when the standby is closed is told so; what is in already is answered at once', async () => {
  const { open } = await scene()
  const standby = await open()
  await standby.caughtUp()
  const { looks } = standby.status()
  expect(await standby.caughtUp(10)).toMatchObject({ lsn: 10, looks })
  const closed = { code: 'RECOVERY_STANDBY_CLOSED' }
  await Promise.all([expect(standby.caughtUp(99)).rejects.toMatchObject(closed), standby.close()])
  await expect(standby.caughtUp(99)).rejects.toMatchObject(closed)
})

test("a system's error of a store is waited out", async () => {
  const flaky = failing()
  const { env, archive, open } = await scene(flaky.store)
  let onRetried = (_error: unknown): void => undefined
  const retried = new Promise<unknown>((resolve) => {
    onRetried = resolve
  })
  const standby = await open({
    onEvent: (event) => {
      if (event.type === 'standby.retried') onRetried(event.error)
    },
  })
  await standby.caughtUp()
  await env.writeMany(2)
  await ship(env, archive)
  const error = Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' })
  flaky.error = error
  const waiting = standby.caughtUp(12)
  expect(await retried).toBe(error)
  expect(standby.status()).toMatchObject({ lsn: 10, failure: 'no route' })
  flaky.error = undefined
  expect(await standby.caughtUp()).not.toHaveProperty('failure')
  expect(await waiting).toMatchObject({ lsn: 12 })
  expect(await isAt(standby, env, 12)).toBe(true)
})

test('an error that nobody knows ends the standby, and is what it ends with', async () => {
  const broken = failing()
  const { open } = await scene(broken.store)
  const standby = await open()
  await standby.caughtUp()
  const error = new Error('a mistake in a store')
  broken.error = error
  await expect(standby.caughtUp()).rejects.toBe(error)
  await expect(standby.done).rejects.toBe(error)
  expect(standby.status()).toMatchObject({ lsn: 10, failure: 'a mistake in a store' })
})
