/**
 * The main line on one piece of string: an application under constant writes, its log shipped, copied hot into an archive and into a
 * folder, killed, its home deleted; then recovered to every kind of target. Each state is compared with one computed anew from
 * the history, and each digest with one computed from its definition.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, directoryStore, runShipper, type Archive } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover, type Target } from '@timberline/recovery'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Model } from '../packages/hotbackup/test/history.ts'
import { shape, type Stand } from './support/application-messages.ts'
import { contentOf, digestOf, RunningApplication } from './support/running-application.ts'

let folder = ''
let archive: Archive
let backup = ''
let acknowledgedBeforeBackup = 0
let acknowledged = 0
let first: Stand
let marked: Stand
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-main-line-'))
  const home = join(folder, 'home')
  backup = join(folder, 'backup')
  const application = await RunningApplication.begin(home)
  const identity = await readHomeIdentity(home)
  archive = await createArchive(directoryStore(join(folder, 'archive')), identity)
  const stop = new AbortController()
  const { logDirectory } = homeLayout(home)
  const shipper = runShipper({
    logDirectory,
    archive,
    identity,
    name: 'main',
    intervalMs: 200,
    signal: stop.signal,
  })
  await application.goOn(200)
  await hotbackup({ home, target: { archive } })
  await application.goOn(200)
  first = await application.stand()
  await application.goOn(200)
  marked = await application.stand('before the import')
  await application.goOn(200)
  acknowledgedBeforeBackup = application.acknowledged
  await hotbackup({ home, target: backup })
  await application.goOn(200)
  await application.kill()
  acknowledged = application.acknowledged
  await shipper.flush()
  stop.abort()
  await shipper.done.catch(() => undefined)
  await rm(home, { recursive: true })
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function recovered(from: { archive: Archive } | { backup: string }, target?: Target) {
  const home = join(folder, `recovered-${String((count += 1))}`)
  const report = await recover({ from, home, ...(target === undefined ? {} : { target }) })
  const { n, state } = await contentOf(home)
  const expected = new Model(shape).at(n)
  expect(state).toEqual(expected)
  expect(report.digest?.hex).toBe(digestOf(expected))
  return { n, report }
}

test('latest holds everything that was acknowledged', async () => {
  const { n, report } = await recovered({ archive })
  expect(n).toBeGreaterThanOrEqual(acknowledged)
  expect(report.firstDropped).toBeUndefined()
})

test('the folder of a hot backup alone holds all that was acknowledged when it began', async () => {
  const { n } = await recovered({ backup })
  expect(n).toBeGreaterThanOrEqual(acknowledgedBeforeBackup)
  expect(n).toBeLessThan(acknowledged)
})

test('through and before an LSN are exact', async () => {
  const through = await recovered({ archive }, { type: 'lsn', lsn: first.lsn, edge: 'through' })
  expect(through.n).toBe(first.n)
  expect(through.report.digest?.hex).toBe(first.digest)
  const before = await recovered({ archive }, { type: 'lsn', lsn: first.lsn, edge: 'before' })
  expect(before.n).toBe(first.n - 1)
  expect(before.report.firstDropped?.lsn).toBe(first.lsn)
})

test('through and before an instant are exact', async () => {
  for (const edge of ['through', 'before'] as const) {
    const { n, report } = await recovered({ archive }, { type: 'time', atUs: first.atUs, edge })
    expect(n).toBe(first.n)
    expect(report.digest?.hex).toBe(first.digest)
  }
})

test('through and before a mark are exact', async () => {
  for (const edge of ['through', 'before'] as const) {
    const { n, report } = await recovered({ archive }, { type: 'mark', name: 'before the import', edge })
    expect(n).toBe(marked.n)
    expect(report.digest?.hex).toBe(marked.digest)
    expect(report.lsn).toBe(edge === 'through' ? marked.lsn : marked.lsn - 1)
  }
})
