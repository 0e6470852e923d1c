import { join } from 'node:path'
import {
  type Archive,
  archiveError,
  type ArchiveStore,
  createArchive,
  memoryStore,
  type RetentionPromise,
  verifyArchive,
} from '@timberline/archive'
import { describe, expect, test } from 'vitest'
import { describeLoss, drill, expire, formatDrill, ledgerOf, planFor, recover } from '../src/index.ts'
import { backupInto, contentOf, Environment, scratchFolder, ship } from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly archive: Archive
  readonly store: ArchiveStore
}

/** Records 1 to 18, ten microseconds apart; backups after 4, 8, 12 and 16, each of which begins a segment. */
async function scene(store = memoryStore()): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(store, { environmentId: env.identity.environmentId })
  for (const label of ['b04', 'b08', 'b12', 'b16']) {
    await env.writeMany(4)
    await backupInto(env, archive, { label })
  }
  await env.writeMany(2)
  await ship(env, archive)
  await env.close()
  return { folder, env, archive, store }
}

const instants = (instantsUs: number): RetentionPromise => ({ instantsUs, bases: [] })
/** Just after the last commit. */
const now = (env: Environment) => (): number => (env.times[18] ?? 0) + 1
const labels = async (archive: Archive): Promise<string[]> =>
  (await archive.catalogue()).backups.map(({ label }) => label)

async function findings(archive: Archive): Promise<string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(archive, { strays: true })) found.push(`${code} ${name}`)
  return found
}

async function names(store: ArchiveStore): Promise<string[]> {
  const all: string[] = []
  for await (const { name } of store.list('')) all.push(name)
  return all
}

async function copyOf(store: ArchiveStore): Promise<ArchiveStore> {
  const copy = memoryStore()
  for await (const { name } of store.list('')) await copy.put(name, await store.get(name))
  return copy
}

async function replan(archive: Archive, lsn: number): Promise<boolean> {
  return (await planFor({ from: { archive }, target: { type: 'lsn', lsn, edge: 'through' } })).possible
}

describe('expire', () => {
  test('shows what it would do, and does it only when told', async () => {
    const { env, archive, store } = await scene()
    const before = await names(store)
    const promise = instants(100)
    const planned = await expire({ archive, promise, now: now(env) })
    expect(planned.plan.backups.map(({ label }) => label)).toEqual(['b04'])
    expect(planned.outcome).toBeUndefined()
    expect(await names(store)).toEqual(before)
    const { plan, outcome } = await expire({ archive, promise, now: now(env), apply: true })
    expect(plan).toEqual(planned.plan)
    expect(outcome?.undeleted).toEqual([])
    const { segments, backups } = await archive.catalogue()
    expect({ segments, backups }).toEqual({ segments: plan.after.segments, backups: plan.after.backups })
    expect(await findings(archive)).toEqual([])
    expect((await expire({ archive, promise, now: now(env), apply: true })).plan.decision).toBeUndefined()
  })

  test('leaves every promised state recoverable, with the same content', async () => {
    const { folder, env, archive } = await scene()
    await expire({ archive, promise: instants(100), now: now(env), apply: true })
    for (const lsn of [8, 9, 13, 18]) {
      const home = join(folder, `at-${lsn}`)
      await recover({ from: { archive }, home, target: { type: 'lsn', lsn, edge: 'through' }, scratch: true })
      expect(await contentOf(home)).toEqual(env.content(lsn))
    }
    expect(await replan(archive, 7)).toBe(false)
  })

  test('keeps to the promise that the archive records, and lets go less than that only by force', async () => {
    const { env, archive, store } = await scene()
    await expect(expire({ archive, now: now(env) })).rejects.toMatchObject({
      code: 'ARCHIVE_PROMISE_MISSING',
    })
    await archive.appendEvent({ type: 'promise.made', promise: instants(100) })
    const before = await names(store)
    const less = { archive, promise: instants(10), now: now(env), apply: true }
    await expect(expire(less)).rejects.toMatchObject({
      code: 'ARCHIVE_PROMISE_BROKEN',
      details: { lost: ['lsn 8 to 15 of timeline 1'] },
    })
    expect(await names(store)).toEqual(before)
    await expire({ archive, now: now(env), apply: true })
    expect(await labels(archive)).toEqual(['b08', 'b12', 'b16'])
    const { lost } = await expire({ ...less, force: true })
    expect(lost).toMatchObject([{ type: 'states', fromLsn: 8, throughLsn: 15 }])
    expect(await labels(archive)).toEqual(['b16'])
  })

  test('goes by the clock when it is given none, and tells a backup that is lost', async () => {
    const { archive } = await scene()
    const bases = [{ everyUs: 1, spanUs: 1_000_000 * 365 * 86_400 * 100 }]
    await archive.appendEvent({ type: 'promise.made', promise: { instantsUs: 0, bases } })
    const { lost, plan } = await expire({ archive, promise: instants(0), force: true })
    expect(plan.nowUs).toBeGreaterThan(1_700_000_000_000_000)
    expect(lost.map(describeLoss)).toContain('backup b04')
    expect(await labels(archive)).toHaveLength(4)
  })

  test('lets nothing go while something that is to stay is not there', async () => {
    const { env, archive, store } = await scene()
    const { segments, backups } = await archive.catalogue()
    for (const name of [segments.at(-1)?.name ?? '', backups.at(-1)?.name ?? '']) {
      const content = await store.get(name)
      await store.delete(name)
      const before = await names(store)
      await expect(
        expire({ archive, promise: instants(100), now: now(env), apply: true }),
      ).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_MISSING', details: { name } })
      expect(await names(store)).toEqual(before)
      await store.put(name, content)
    }
  })

  test('of a process that dies anywhere leaves a whole archive, which the next run finishes', async () => {
    const { env, store: begun } = await scene()
    const { environmentId } = env.identity
    const promise = instants(100)
    const reference = await copyOf(begun)
    const counted = dying(reference, Infinity)
    const counting = await createArchive(counted.store, { environmentId })
    await expire({ archive: counting, promise, now: now(env), apply: true })
    const left = (await names(reference)).length
    expect(counted.count()).toBeGreaterThan(4)
    for (let at = 0; at < counted.count(); at++) {
      const store = await copyOf(begun)
      const dead = await createArchive(dying(store, at).store, { environmentId })
      const died = expire({ archive: dead, promise, now: now(env), apply: true })
      await expect(died).rejects.toMatchObject({ code: 'ARCHIVE_ABORTED' })
      const archive = await createArchive(store, { environmentId })
      const wrong = (await findings(archive)).filter((finding) => !finding.startsWith('ARCHIVE_STRAY'))
      expect(wrong).toEqual([])
      for (let lsn = 8; lsn <= 18; lsn++) expect(await replan(archive, lsn)).toBe(true)
      await expire({ archive, promise, now: now(env), apply: true })
      expect(await names(store)).toHaveLength(left)
      expect(await findings(archive)).toEqual([])
    }
  })

  test('overlooks no recovery that began a timeline in the same moment', async () => {
    const { env, store, archive } = await scene()
    const other = await createArchive(store, {
      environmentId: env.identity.environmentId,
      // Its clock is that of the archive: the timeline begins within the promise.
      now: now(env),
    })
    const racing: ArchiveStore = {
      ...store,
      async put(name, content) {
        if (name.startsWith('journal/')) await fork()
        return store.put(name, content)
      },
    }
    let isForked = false
    const fork = async (): Promise<void> => {
      if (isForked) return
      isForked = true
      await other.beginTimeline({ timeline: 2, parent: 1, forkLsn: 6 })
    }
    const slow = await createArchive(racing, { environmentId: env.identity.environmentId })
    const { plan } = await expire({ archive: slow, promise: instants(100), now: now(env), apply: true })
    expect(isForked).toBe(true)
    // The state at the fork begins with the oldest backup; what lies before that is of no use to it.
    expect(plan.backups).toEqual([])
    expect(await labels(archive)).toContain('b04')
    expect(await replan(archive, 6)).toBe(true)
  })
})

describe('the ledger', () => {
  test('predicts by the pace of the newest proof, which a drill records', async () => {
    const { folder, env, archive } = await scene()
    await archive.appendEvent({ type: 'promise.made', promise: instants(100) })
    const before = ledgerOf(await archive.catalogue(), now(env)())
    expect(before).toMatchObject({
      timeline: 1,
      newest: { lsn: 18, committedAtUs: env.times[18] },
      base: { backup: { label: 'b16' }, ageUs: now(env)() - (env.times[16] ?? 0) },
      predicted: { records: 2 },
      promise: { gaps: [], isFull: true },
    })
    expect(before.predicted).not.toHaveProperty('ms')
    expect(before.proof).toBeUndefined()
    const report = await drill({ archive, scratch: join(folder, 'scratch') })
    expect(report).toMatchObject({ passed: true })
    const { proof, predicted } = ledgerOf(await archive.catalogue(), now(env)())
    expect(proof).toMatchObject({ timeline: 1, lsn: 18, records: 2 })
    // The same work again takes the same time.
    expect((predicted?.ms ?? 0) / (report.rtoMs ?? 0)).toBeGreaterThan(0.5)
    expect((predicted?.ms ?? 0) / (report.rtoMs ?? 0)).toBeLessThan(2)
  })

  test('scales each part of a proof by what grew', async () => {
    const { env, archive } = await scene()
    const { backups } = await archive.catalogue()
    const baseBytes = backups.at(-1)?.bytes ?? 0
    const proof = {
      timeline: 1,
      lsn: 16,
      committedAtUs: 1,
      provedAtUs: 2,
      totalUs: 9000,
      restoreUs: 3000,
      replayUs: 5000,
      baseBytes: baseBytes / 2,
      logBytes: 1,
      records: 1,
    }
    await archive.appendEvent({ type: 'recovery.proved', proof: { ...proof, baseBytes } })
    expect(ledgerOf(await archive.catalogue(), now(env)()).predicted?.ms).toBeCloseTo(3 + 2 * 5 + 1)
  })

  test('is recorded by no drill that may only read, which says so and passes', async () => {
    const { folder, archive, store, env } = await scene()
    const readOnly: ArchiveStore = {
      ...store,
      put: () => Promise.reject(archiveError('ARCHIVE_STORE_FAILED', 'the store refused')),
    }
    const reader = await createArchive(readOnly, { environmentId: env.identity.environmentId })
    const report = await drill({ archive: reader, scratch: join(folder, 'scratch') })
    expect(report).toMatchObject({ passed: true, unrecorded: 'ARCHIVE_STORE_FAILED the store refused' })
    expect(formatDrill(report)).toContain(
      'not recorded in the archive: ARCHIVE_STORE_FAILED the store refused',
    )
    expect((await archive.catalogue()).proof).toBeUndefined()
  })
})

/** A store that does no more changes from the one of this index on: its process is dead. */
function dying(
  inner: ArchiveStore,
  atIndex: number,
): { readonly store: ArchiveStore; readonly count: () => number } {
  let index = 0
  const alive = (): void => {
    if (index >= atIndex) throw archiveError('ARCHIVE_ABORTED', 'the process is dead')
    index++
  }
  return {
    count: () => index,
    store: {
      ...inner,
      async put(...args) {
        alive()
        return inner.put(...args)
      },
      async delete(name) {
        alive()
        await inner.delete(name)
      },
    },
  }
}
