/**
 * One log, three archives: one is down from the start, one is always a round behind, one is healthy. Expected: the healthy one has
 * everything at the end of each round; the log waits for the dead one up to the limit of the home and not beyond it; that is announced
 * before it happens, and what goes then is missing in the dead archive alone. Fault model: a store that refuses, a store that waits.
 * Nothing waits for a clock: a round ends when the archives have what they are to have.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  archiveError,
  type ArchiveStore,
  createArchive,
  type FleetMember,
  memoryStore,
  runShippers,
} from '@timberline/archive'
import { type EngineEvent, homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { expect, onTestFinished, test } from 'vitest'

const LOG_BYTES_MAX = 200_000
const ROUND_BYTES = 20_000
const ROUNDS_MAX = 60

/** A store whose content comes only while it is let. */
class SlowStore {
  readonly #store = memoryStore()
  #isOpen = false
  #waiting: (() => void)[] = []

  get store(): ArchiveStore {
    const inner = this.#store
    return {
      ...inner,
      put: async (name, content) => {
        if (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
        return inner.put(name, content)
      },
    }
  }

  open(): void {
    this.#isOpen = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  shut(): void {
    this.#isOpen = false
  }
}

test('the log waits for a dead archive up to the limit, is released as announced, and the others miss nothing', async () => {
  const home = await mkdtemp(join(tmpdir(), 'timberline-late-'))
  const events: EngineEvent[] = []
  const db = new TimberLevel(home, {
    checkpoint: {
      checkpointBytes: 0,
      checkpointAgeMs: 0,
      logBytesMax: LOG_BYTES_MAX,
      logFullPolicy: 'release',
    },
    log: { preallocateBytes: 0 },
    onEvent: (event) => events.push(event),
  })
  await db.open()
  const identity = await readHomeIdentity(home)
  const { logDirectory } = homeLayout(home)
  const archives = new Map<string, Archive>()
  const slow = new SlowStore()
  let isDead = true
  const stop = new AbortController()
  const target = (name: string, store: ArchiveStore) => ({
    name,
    open: async () => {
      if (name === 'dead' && isDead) throw archiveError('ARCHIVE_STORE_FAILED', 'the store is away')
      const archive = await createArchive(store, { environmentId: identity.environmentId })
      archives.set(name, archive)
      return archive
    },
  })
  const fleet = runShippers({
    logDirectory,
    identity,
    targets: [target('dead', memoryStore()), target('slow', slow.store), target('healthy', memoryStore())],
    intervalMs: 20,
    retryMs: { first: 5, max: 20 },
    signal: stop.signal,
  })
  onTestFinished(async () => {
    stop.abort()
    slow.open()
    await fleet.done
    await db.close()
    await rm(home, { recursive: true, force: true })
  })
  const member = memberOf(fleet.members)

  const filling = () => events.filter((event) => event.type === 'log.filling')
  const released = () => events.filter((event) => event.type === 'log.released')
  for (let round = 1; released().length === 0; round++) {
    expect(round, 'the policy never acted').toBeLessThan(ROUNDS_MAX)
    // The slow one gets what was there before this round, and nothing of it.
    slow.open()
    await member('slow').flushWhole()
    slow.shut()
    for (let index = 0; index < 10; index++) {
      await db.put(`${String(round)}/${String(index)}`, 'x'.repeat(ROUND_BYTES / 10))
    }
    await db.checkpoint()
    const lsn = await member('healthy').flushWhole()
    expect(member('healthy').status()).toMatchObject({ shippedLsn: lsn, state: 'running' })
    expect(await logBytes(logDirectory)).toBeLessThan(LOG_BYTES_MAX + 2 * ROUND_BYTES)
    expect(member('dead').status()).toMatchObject({ shippedLsn: 0, state: 'retrying' })
  }
  // Announced once, for the one that holds the log back, and before anything went that it lacks.
  expect(filling()).toMatchObject([
    { archives: ['dead'], logBytesMax: LOG_BYTES_MAX, logFullPolicy: 'release' },
  ])
  expect(events.findIndex(({ type }) => type === 'log.filling')).toBeLessThan(
    events.findIndex(({ type }) => type === 'log.released'),
  )
  expect(filling()[0]?.logBytes).toBeLessThan(LOG_BYTES_MAX)
  const names = released()[0]?.names ?? []
  expect(released()).toMatchObject([
    { archives: ['dead'], names: expect.arrayContaining(['log.0000000001']) },
  ])

  slow.open()
  isDead = false
  const lsn = await member('healthy').flushWhole()
  for (const name of ['slow', 'dead']) expect(await member(name).flushWhole()).toBe(lsn)
  const segmentsOf = async (name: string): Promise<number[]> =>
    ((await archives.get(name)?.catalogue())?.segments ?? []).map(({ segmentNumber }) => segmentNumber)
  const all = await segmentsOf('healthy')
  expect(all).toEqual(Array.from({ length: all.length }, (_, index) => index + 1))
  expect(await segmentsOf('slow')).toEqual(all)
  // It begins with what was left, and says so itself: its catalogue names no segment before.
  expect(await segmentsOf('dead')).toEqual(all.slice(names.length))
})

function memberOf(members: readonly FleetMember[]): (name: string) => FleetMember {
  return (name) => {
    const member = members.find((one) => one.name === name)
    if (member === undefined) throw new Error(`no member is called ${name}`)
    return member
  }
}

async function logBytes(directory: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(directory)) {
    if (name.startsWith('log.')) bytes += (await stat(join(directory, name)).catch(() => ({ size: 0 }))).size
  }
  return bytes
}
