// A standby is asked as a home is; what only a database can do it refuses by name, and a database does not let go.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { controlCall, homeLayout, openStandbyControl, TimberLevel } from '../src/index.ts'

async function scratchHome(): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'timberline-standby-control-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  return home
}

test('a standby tells how it stands, lets go when asked, and refuses what only a database can do', async () => {
  const home = await scratchHome()
  let onLeft = (): void => undefined
  const left = new Promise<void>((resolve) => {
    onLeft = resolve
  })
  const server = await openStandbyControl(homeLayout(home), { status: () => ({ lsn: 3 }), leave: onLeft })
  expect(await controlCall(home, { type: 'status' })).toEqual({ lsn: 3 })
  const refused = { code: 'ENGINE_HOME_STANDBY' }
  await expect(controlCall(home, { type: 'checkpoint' })).rejects.toMatchObject(refused)
  await expect(controlCall(home, { type: 'mark', name: 'm' })).rejects.toMatchObject(refused)
  await expect(controlCall(home, { type: 'held', barrier: 'b' })).rejects.toMatchObject(refused)
  expect(await controlCall(home, { type: 'leave' })).toEqual({})
  await left
  await server.close()
})

test('a database is never let go of by a question', async () => {
  const home = await scratchHome()
  const db = new TimberLevel(home)
  await db.put('a', 'b')
  await expect(controlCall(home, { type: 'leave' })).rejects.toMatchObject({ code: 'ENGINE_CONTROL_REQUEST' })
  expect(await db.get('a')).toBe('b')
  await db.close()
})
