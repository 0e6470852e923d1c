import { readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { placeHold, readLog, segmentName, writeConfirmation } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { openCheckpointKeeper } from '../src/checkpoint/checkpoint-keeper.ts'
import type { CheckpointKeeper, KeeperOptions } from '../src/checkpoint/checkpoint-keeper.ts'
import type { CheckpointEvent } from '../src/checkpoint/checkpoint-event.ts'
import { newestCheckpoint } from '../src/checkpoint/checkpoint-manifest.ts'
import { completePolicy, removableBelow } from '../src/checkpoint/checkpoint-policy.ts'
import type { CheckpointPolicy } from '../src/checkpoint/checkpoint-policy.ts'
import { stateDigest } from '../src/tables/digest.ts'
import { decodeNote } from '../src/records/notes.ts'
import { HomeFixture, expectedState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0

class Kept {
  readonly fixture: HomeFixture
  readonly keeper: CheckpointKeeper
  readonly events: CheckpointEvent[]
  /** What the keeper takes for the time, in milliseconds; stands still. */
  readonly clock: { ms: number }

  constructor(parts: Pick<Kept, 'fixture' | 'keeper' | 'events' | 'clock'>) {
    this.fixture = parts.fixture
    this.keeper = parts.keeper
    this.events = parts.events
    this.clock = parts.clock
  }

  static async open(policy: Partial<CheckpointPolicy> = {}, home?: string): Promise<Kept> {
    homes += 1
    const fixture = await HomeFixture.open(home ?? join(folder, `home${homes}`))
    const events: CheckpointEvent[] = []
    const clock = { ms: 0 }
    const options: KeeperOptions = {
      layout: fixture.layout,
      identity: fixture.identity,
      log: fixture.log,
      level: fixture.level,
      appendNote: (payload) => fixture.log.commit(payload, { kind: 'note' }),
      policy: { checkpointBytes: 0, checkpointAgeMs: 0, ...policy },
      onEvent: (event) => events.push(event),
      clock: { wallMs: () => clock.ms, steadyMs: () => clock.ms },
    }
    return new Kept({ fixture, keeper: await openCheckpointKeeper(options), events, clock })
  }

  /** The keeper's own looks, once a second, fall between commits only, however slow the machine is. */
  async commit(count: number): Promise<void> {
    const rest = this.keeper.rest()
    await rest.begun
    await this.fixture.commit(count)
    this.keeper.appended(count * 400)
    rest.end()
  }

  segments(): string[] {
    return readdirSync(this.fixture.layout.logDirectory).filter((name) => name.startsWith('log.'))
  }

  types(): string[] {
    return this.events.map(({ type }) => type)
  }

  async close(): Promise<void> {
    await this.keeper.close()
    await this.fixture.close()
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('it never came to be')
}

describe('the checkpoint keeper', () => {
  test('takes a checkpoint, notes it in the log, and removes the segments below it', async () => {
    const kept = await Kept.open()
    await kept.commit(50)
    const info = await kept.keeper.take()
    expect(info).toMatchObject({ lsn: 50, segmentNumber: 2, created: true })
    expect(kept.segments()).toEqual(['log.0000000002'])
    const notes: unknown[] = []
    for await (const group of readLog({ directory: kept.fixture.layout.logDirectory, fromLsn: 51 })) {
      for (const record of group) notes.push([record.lsn, record.kind, decodeNote(record.payload)])
    }
    expect(notes).toEqual([
      [51, 'note', expect.objectContaining({ type: 'checkpoint', lsn: 50, segmentNumber: 2 })],
    ])
    await kept.close()
  })

  test('takes none when nothing but its own note came since, also after a reopen', async () => {
    const kept = await Kept.open()
    await kept.commit(10)
    await kept.keeper.take()
    expect(await kept.keeper.take()).toMatchObject({ lsn: 10, created: false })
    await kept.close()
    const again = await Kept.open({}, kept.fixture.layout.home)
    expect(again.fixture.report).toMatchObject({ replayed: 1, throughLsn: 11 })
    expect(await again.keeper.take()).toMatchObject({ lsn: 10, created: false })
    await again.fixture.commit(1)
    expect(await again.keeper.take()).toMatchObject({ lsn: 12, created: true })
    await again.close()
  })

  test('takes one by itself after so many bytes', async () => {
    const kept = await Kept.open({ checkpointBytes: 20_000 })
    await kept.commit(40)
    expect(kept.types()).not.toContain('checkpoint.taken')
    await kept.commit(40)
    await until(() => kept.types().includes('checkpoint.taken'))
    expect(kept.keeper.status().checkpoint?.lsn).toBe(80)
    expect(kept.keeper.status().bytesSinceCheckpoint).toBe(0)
    await kept.close()
  })

  test('takes the first one by itself, and one by age only when something was appended', async () => {
    const kept = await Kept.open({ checkpointAgeMs: 200 })
    await until(() => kept.types().includes('checkpoint.taken'))
    expect(kept.events[0]).toMatchObject({ type: 'checkpoint.taken', reason: 'first', lsn: 0 })
    await new Promise((resolve) => setTimeout(resolve, 1300))
    expect(kept.types().filter((type) => type === 'checkpoint.taken')).toHaveLength(1)
    await kept.commit(5)
    await until(() => kept.types().filter((type) => type === 'checkpoint.taken').length === 2)
    expect(kept.events.findLast(({ type }) => type === 'checkpoint.taken')).toMatchObject({ reason: 'age' })
    await kept.close()
  })

  test('keeps segments that an archive has not confirmed or that somebody holds', async () => {
    const kept = await Kept.open()
    const { logDirectory } = kept.fixture.layout
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 0, lsn: 0, timeline: 1 })
    for (let round = 0; round < 3; round += 1) {
      await kept.commit(20)
      await kept.keeper.take()
    }
    expect(kept.segments()).toHaveLength(4)
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 2, lsn: 40, timeline: 1 })
    await kept.keeper.prune()
    expect(kept.segments()).toEqual(['log.0000000003', 'log.0000000004'])
    const hold = await placeHold(logDirectory, { purpose: 'test' })
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 9, lsn: 400, timeline: 1 })
    await kept.keeper.prune()
    expect(kept.segments()).toHaveLength(2)
    await hold.release()
    await kept.keeper.prune()
    expect(kept.segments()).toEqual(['log.0000000004'])
    await kept.close()
  })

  test('stalls at the limit until the archive confirms, and says so', async () => {
    const kept = await Kept.open({ logBytesMax: 60_000, logFullPolicy: 'stall' })
    const { logDirectory } = kept.fixture.layout
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 0, lsn: 0, timeline: 1 })
    await kept.commit(300)
    await until(() => kept.keeper.gate() !== undefined)
    expect(kept.events.find(({ type }) => type === 'log.stalled')).toMatchObject({
      archives: ['offsite'],
      logBytesMax: 60_000,
    })
    let resumed = false
    void kept.keeper.gate()?.then(() => {
      resumed = true
    })
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 1, lsn: 300, timeline: 1 })
    await until(() => resumed)
    expect(kept.keeper.gate()).toBeUndefined()
    expect(kept.types()).toContain('log.resumed')
    await kept.close()
  })

  test('tells once that the log comes near its limit, before the policy acts, and again the next time', async () => {
    const kept = await Kept.open({ logBytesMax: 60_000, logFullPolicy: 'release' })
    const { logDirectory } = kept.fixture.layout
    const filling = (): number => kept.types().filter((type) => type === 'log.filling').length
    const confirm = (segmentNumber: number): Promise<void> =>
      writeConfirmation(logDirectory, 'offsite', { segmentNumber, lsn: 0, timeline: 1 })
    await confirm(0)
    // From here on the first segment is kept for the archive alone.
    await kept.commit(5)
    await kept.keeper.take()
    const grow = async (bytes: number): Promise<void> => {
      while (kept.keeper.status().logBytes < bytes) await kept.commit(1)
      await kept.keeper.prune()
    }
    await grow(40_000)
    expect(filling()).toBe(0)
    await grow(50_000)
    expect(filling()).toBe(1)
    expect(kept.events.find(({ type }) => type === 'log.filling')).toMatchObject({
      archives: ['offsite'],
      logBytesMax: 60_000,
      logFullPolicy: 'release',
    })
    await grow(54_000)
    expect(filling()).toBe(1)
    expect(kept.keeper.status()).toMatchObject({
      fillingFor: ['offsite'],
      logLimits: { logBytesMax: 60_000, logAgeMsMax: 0, logFullPolicy: 'release' },
    })
    expect(kept.types()).not.toContain('log.released')
    // The archive comes and goes while the log stays where it is: nothing new.
    for (let round = 0; round < 3; round += 1) {
      await confirm(9)
      await kept.keeper.prune()
      await confirm(0)
      await kept.keeper.prune()
    }
    expect(filling()).toBe(1)
    await confirm(9)
    await kept.keeper.take()
    await confirm(0)
    await kept.commit(5)
    await kept.keeper.take()
    await grow(50_000)
    expect(filling()).toBe(2)
    await kept.close()
  })

  test('acts at the limit in time, where that is the policy, a fifth of it after it said so', async () => {
    const kept = await Kept.open({ logAgeMsMax: 1000, logFullPolicy: 'release' })
    const { logDirectory } = kept.fixture.layout
    const confirm = (name: string, segmentNumber: number): Promise<void> =>
      writeConfirmation(logDirectory, name, { segmentNumber, lsn: 0, timeline: 1 })
    await confirm('dead', 0)
    await confirm('alive', 0)
    /** A segment that was sealed so long after the clock's beginning. */
    const sealed = async (segmentNumber: number, ms: number): Promise<void> => {
      await kept.commit(5)
      await kept.keeper.take()
      utimesSync(join(logDirectory, segmentName(segmentNumber)), ms / 1000, ms / 1000)
    }
    const told = (): string[] => kept.types().filter((type) => /log\.(filling|released)/.test(type))
    const look = async (ms: number): Promise<string[]> => {
      kept.clock.ms = ms
      await kept.keeper.prune()
      return told()
    }
    await sealed(1, 0)
    await sealed(2, 500)
    await confirm('alive', 1)
    expect(await look(800)).toEqual([])
    expect(await look(801)).toEqual(['log.filling'])
    expect(kept.events.find(({ type }) => type === 'log.filling')).toMatchObject({
      logAgeMs: 801,
      logAgeMsMax: 1000,
      logFullPolicy: 'release',
      archives: ['dead'],
    })
    expect(await look(1000)).toEqual(['log.filling'])
    expect(await look(1001)).toEqual(['log.filling', 'log.released'])
    // The segment that the other archive lacks for the moment is younger, and stays.
    expect(kept.events.find(({ type }) => type === 'log.released')).toMatchObject({
      names: ['log.0000000001'],
      archives: ['dead'],
    })
    expect(kept.segments()).toEqual(['log.0000000002', 'log.0000000003'])
    await kept.close()
  })

  test('gives an archive time to catch up when it opens with everything beyond the limit in time', async () => {
    const kept = await Kept.open({ logAgeMsMax: 1000, logFullPolicy: 'stall' })
    const { logDirectory } = kept.fixture.layout
    await writeConfirmation(logDirectory, 'nas', { segmentNumber: 0, lsn: 0, timeline: 1 })
    await kept.commit(5)
    await kept.keeper.take()
    utimesSync(join(logDirectory, segmentName(1)), 0, 0)
    const look = async (ms: number): Promise<boolean> => {
      kept.clock.ms = ms
      await kept.keeper.prune()
      return kept.keeper.gate() !== undefined
    }
    expect(await look(50_000)).toBe(false)
    expect(kept.types()).toContain('log.filling')
    expect(await look(50_199)).toBe(false)
    expect(await look(50_201)).toBe(true)
    expect(kept.events.find(({ type }) => type === 'log.stalled')).toMatchObject({
      archives: ['nas'],
      logAgeMs: 50_201,
    })
    await writeConfirmation(logDirectory, 'nas', { segmentNumber: 1, lsn: 5, timeline: 1 })
    expect(await look(50_202)).toBe(false)
    expect(kept.types()).toContain('log.resumed')
    await kept.close()
  })

  test('releases what no archive has at the limit, where that is the policy, and names it', async () => {
    const kept = await Kept.open({ logBytesMax: 60_000, logFullPolicy: 'release' })
    const { logDirectory } = kept.fixture.layout
    await writeConfirmation(logDirectory, 'offsite', { segmentNumber: 0, lsn: 0, timeline: 1 })
    await kept.commit(300)
    // The first look announces, the second one acts; the keeper's own looks, once a second, may fall anywhere between.
    await kept.keeper.take()
    await kept.keeper.prune()
    const released = kept.events.filter((event) => event.type === 'log.released')
    expect(released.flatMap(({ names }) => names)).toContain('log.0000000001')
    for (const { archives } of released) expect(archives).toEqual(['offsite'])
    expect(kept.segments()).not.toContain('log.0000000001')
    const [first, ...rest] = kept.types().filter((type) => /log\.(filling|released)/.test(type))
    expect(first).toBe('log.filling')
    expect(rest).toEqual(released.map(() => 'log.released'))
    expect(kept.keeper.gate()).toBeUndefined()
    await kept.close()
  })

  test('hashes each table once, soon after', async () => {
    const kept = await Kept.open()
    // The first one is taken within a second by itself, on a slow machine in the middle of what follows.
    await kept.commit(1)
    await kept.keeper.take({ hashed: true })
    kept.events.length = 0
    await kept.commit(200)
    await kept.keeper.take({ hashed: true })
    const first = await newestCheckpoint(kept.fixture.layout.home)
    expect(first?.tables.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256 ?? ''))).toBe(true)
    await kept.commit(200)
    await kept.keeper.take({ hashed: true })
    const hashed = kept.events.filter((event) => event.type === 'checkpoint.hashed')
    const linked = kept.events.filter((event) => event.type === 'checkpoint.taken')
    expect(hashed.map(({ tables }) => tables)).toEqual(linked.map(({ linkedCount }) => linkedCount))
    await kept.close()
  })

  test('records the digest of just the state of the checkpoint', async () => {
    const kept = await Kept.open()
    await kept.commit(100)
    await kept.keeper.take({ digest: true })
    const digest = (await newestCheckpoint(kept.fixture.layout.home))?.digest
    expect(digest).toEqual(await stateDigest(kept.fixture.level, 100))
    expect(digest?.entries).toBe(expectedState(100).size)
    await kept.close()
  })

  test('replaces a damaged newest checkpoint by itself', async () => {
    const kept = await Kept.open()
    await kept.commit(30)
    await kept.keeper.take()
    await kept.close()
    const { checkpointDirectory, home } = kept.fixture.layout
    const [name = ''] = readdirSync(checkpointDirectory).filter((entry) => entry.endsWith('.json'))
    const path = join(checkpointDirectory, name)
    writeFileSync(path, readFileSync(path).fill(0x20, 10, 40))
    const again = await Kept.open({}, home)
    await until(() => again.types().includes('checkpoint.taken'))
    expect((await newestCheckpoint(home))?.lsn).toBe(31)
    await again.close()
  })

  test('reports a failed automatic checkpoint by its code and goes on', async () => {
    const kept = await Kept.open({ checkpointBytes: 1000 })
    await kept.commit(5)
    await until(() => kept.types().includes('checkpoint.taken'))
    rmSync(kept.fixture.layout.tablesDirectory, { recursive: true })
    writeFileSync(kept.fixture.layout.tablesDirectory, 'in the way')
    await kept.commit(5)
    await until(() => kept.types().includes('checkpoint.failed'))
    const failed = kept.events.find(({ type }) => type === 'checkpoint.failed')
    expect(failed).toMatchObject({ error: { code: 'ENGINE_IO_FAILED', kind: 'unavailable' } })
    expect(kept.keeper.newest?.lsn).toBe(5)
    await kept.close()
  })

  test('serves those who ask at once one after the other', async () => {
    const kept = await Kept.open()
    await kept.commit(40)
    const infos = await Promise.all([kept.keeper.take(), kept.keeper.take(), kept.keeper.take()])
    expect(infos.map(({ created }) => created)).toEqual([true, false, false])
    await kept.close()
    await expect(kept.keeper.take()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })
})

describe('the policy', () => {
  test('removes nothing that an archive, also one of another timeline, does not have', () => {
    const checkpoint = { segmentNumber: 10, timeline: 2 }
    const confirmed = (segmentNumber: number, timeline: number) => ({
      name: 'a',
      segmentNumber,
      timeline,
      lsn: 0,
      confirmedAtMs: 0,
    })
    expect(removableBelow(checkpoint, [])).toBe(10)
    expect(removableBelow(checkpoint, [confirmed(4, 2)])).toBe(5)
    expect(removableBelow(checkpoint, [confirmed(40, 2)])).toBe(10)
    expect(removableBelow(checkpoint, [confirmed(40, 2), confirmed(7, 2)])).toBe(8)
    expect(removableBelow(checkpoint, [confirmed(40, 1)])).toBe(0)
  })

  test('refuses what is out of bounds', () => {
    for (const given of [
      { checkpointBytes: -1 },
      { logBytesMax: 0.5 },
      { logAgeMsMax: -1 },
      { logFullPolicy: 'wait' as 'stall' },
    ]) {
      expect(() => completePolicy(given)).toThrow(expect.objectContaining({ code: 'ENGINE_OPTION_INVALID' }))
    }
  })
})
