/**
 * Fault model: the application is killed (SIGKILL) at a random moment, its home stays. Expected each time: everything acknowledged is
 * there, the state is a whole prefix of the history, and the digest is the one of its definition.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Model } from '../../packages/hotbackup/test/history.ts'
import { contentOf, RunningApplication, shape } from '../support/running-application.ts'

const KILLS = 300

test(`${String(KILLS)} kills of a real writer lose nothing that was acknowledged`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-kill-writer-'))
  const model = new Model(shape)
  let last = 0
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const application = await RunningApplication.begin(join(folder, 'home'))
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 300))
    await application.kill()
    const { n, state } = await contentOf(join(folder, 'home'))
    expect(n, `kill ${String(kill)}`).toBeGreaterThanOrEqual(Math.max(application.acknowledged, last))
    expect(state, `kill ${String(kill)}`).toEqual(model.at(n))
    last = n
  }
  expect(last).toBeGreaterThan(KILLS)
  await rm(folder, { recursive: true })
})
