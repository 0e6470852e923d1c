/**
 * A standby: what it holds is at every moment the state after one record of the line that is shipped, whatever it is interrupted by.
 * The writer's model knows the content after each record. No test waits: each asks the standby to look.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { archiveError, type ArchiveStore, createArchive, memoryStore } from '@timberline/archive'
import { BULK_LOAD_MARK, TimberLevel } from '@timberline/engine'
import { describe, expect, test } from 'vitest'
import { openStandby, recover, type StandbyEvent } from '../src/index.ts'
import { Environment, ship } from './environment.ts'
import { isAt, scene, shipAdopted, shipperOf } from './standby-scene.ts'

describe('a standby', () => {
  test('begins with a backup and holds what is archived after it, record by record as it comes', async () => {
    const { env, archive, home, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    expect(await isAt(standby, env, 10)).toBe(true)
    for (let round = 0; round < 4; round++) {
      await env.writeMany(3)
      // Whole segments, pieces, and pieces that a segment replaces.
      if (round % 2 === 1) await env.log.roll()
      await ship(env, archive)
      await standby.caughtUp()
      expect(await isAt(standby, env, env.lsn)).toBe(true)
      // Of what it fetched, the segment that may grow on is kept and no other.
      expect((await readdir(join(home, 'spool'))).length).toBeLessThanOrEqual(1)
    }
  })

  test('goes on where it was, without the backup and the log before', async () => {
    const { env, archive, store, open } = await scene()
    const first = await open()
    await first.caughtUp()
    await first.close()
    await env.writeMany(3)
    await env.log.roll()
    await env.writeMany(3)
    await ship(env, archive)
    for await (const { name } of store.list('backup/')) await store.delete(name)
    const events: StandbyEvent[] = []
    const second = await open({ onEvent: (event) => events.push(event) })
    await second.caughtUp()
    expect(events).toEqual([
      { type: 'standby.began', timeline: 1, lsn: 10, isNew: false },
      { type: 'standby.applied', timeline: 1, lsn: 16, records: 6 },
    ])
    expect(await isAt(second, env, 16)).toBe(true)
  })

  test('restores anew what was damaged', async () => {
    const { env, home, open } = await scene()
    const first = await open()
    await first.caughtUp()
    await first.close()
    await rm(join(home, 'data', 'CURRENT'))
    const second = await open()
    await second.caughtUp()
    expect(await isAt(second, env, 10)).toBe(true)
  })

  test('is read at one LSN however far it has moved meanwhile', async () => {
    const { env, archive, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    const snapshot = standby.level.snapshot()
    await env.writeMany(5)
    await ship(env, archive)
    await standby.caughtUp(15)
    expect(standby.lsnOf(snapshot)).toBe(10)
    const encoding = { keyEncoding: 'utf8', valueEncoding: 'utf8' } as const
    const then = await standby.level.iterator<string, string>({ snapshot, ...encoding }).all()
    expect(new Map(then)).toEqual(env.content(10))
    await snapshot.close()
    const now = await standby.level.iterator<string, string>(encoding).all()
    expect(new Map(now)).toEqual(env.content(15))
  })

  test('refuses to be written to', async () => {
    const { env, open } = await scene()
    const { level } = await open()
    const [key, value] = [Buffer.from('a'), Buffer.from('b')]
    const refused = { code: 'ENGINE_READ_ONLY' }
    await expect(level.put(key, value)).rejects.toMatchObject(refused)
    await expect(level.del(key)).rejects.toMatchObject(refused)
    await expect(level.batch([{ type: 'put', key, value }])).rejects.toMatchObject(refused)
    await expect(level.clear()).rejects.toMatchObject(refused)
    expect(() => level.batch()).toThrow(expect.objectContaining(refused))
    expect(env.lsn).toBe(10)
  })

  test('does not open as a database, nor as the target of a recovery, and never takes a folder of others', async () => {
    const { archive, home, env, folder, open } = await scene()
    const standby = await open()
    const db = new TimberLevel(home)
    await expect(openStandby({ archive, home })).rejects.toMatchObject({ code: 'ENGINE_HOME_LOCKED' })
    await standby.close()
    await expect(db.open()).rejects.toMatchObject({ cause: { code: 'ENGINE_HOME_STANDBY' } })
    await expect(recover({ from: { archive }, home })).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_NOT_EMPTY',
    })
    await expect(openStandby({ archive, home: env.home })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_IS_HOME',
    })
    await expect(openStandby({ archive, home: folder })).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_NOT_EMPTY',
    })
    const other = await createArchive(memoryStore(), { environmentId: 'f'.repeat(32) })
    await expect(openStandby({ archive: other, home })).rejects.toMatchObject({
      code: 'RECOVERY_ENVIRONMENT_MISMATCH',
    })
  })

  test('tells how far it is behind: since when it has all that the archive held', async () => {
    const { env, archive, open } = await scene()
    let nowUs = 5_000_000
    const standby = await open({ now: () => nowUs })
    expect(await standby.caughtUp()).toMatchObject({ lsn: 10, knownLsn: 10, asOfUs: 5_000_000, lagMs: 0 })
    nowUs += 250_000
    expect(standby.status()).toMatchObject({ asOfUs: 5_000_000, lagMs: 250 })
    await env.writeMany(1)
    await ship(env, archive)
    expect(await standby.caughtUp()).toMatchObject({ lsn: 11, asOfUs: 5_250_000, lagMs: 0 })
    expect(() => JSON.stringify(standby.status())).not.toThrow()
  })

  test('waits for a store that is away, and says so', async () => {
    const store = memoryStore()
    let isAway = false
    const flaky: ArchiveStore = {
      ...store,
      status: (name) =>
        isAway ? Promise.reject(archiveError('ARCHIVE_STORE_FAILED', 'away')) : store.status(name),
    }
    const { env, archive, open } = await scene(flaky)
    let onRetried = (): void => undefined
    const retried = new Promise<void>((resolve) => {
      onRetried = resolve
    })
    const standby = await open({
      pollMs: 10,
      onEvent: ({ type }) => {
        if (type === 'standby.retried') onRetried()
      },
    })
    await standby.caughtUp()
    isAway = true
    await retried
    expect(standby.status()).toMatchObject({ failure: 'away', lsn: 10 })
    isAway = false
    await env.writeMany(2)
    await ship(env, archive)
    await standby.caughtUp(12)
    expect(await isAt(standby, env, 12)).toBe(true)
  })

  test('that was off for longer than the archive keeps log is told to begin anew', async () => {
    const { env, archive, open } = await scene()
    const first = await open()
    await first.caughtUp()
    await first.close()
    await env.log.roll()
    await env.writeMany(4)
    await env.log.roll()
    await env.writeMany(2)
    await env.log.roll()
    await ship(env, archive, { only: (number) => number > 3 })
    const late = await open()
    await expect(late.caughtUp(16)).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_BEHIND' })
    await expect(late.done).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_BEHIND',
      details: { missingFromLsn: 11 },
    })
  })

  test('waits for the rest of a segment that is under way, though pieces of the next one are there', async () => {
    const { env, archive, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    await env.writeMany(2)
    await env.log.roll()
    await env.writeMany(2)
    const active = env.log.activeSegment
    await ship(env, archive, { only: (number) => number === active })
    for (let looks = 0; looks < 5; looks++) await standby.caughtUp()
    expect(standby.status()).toMatchObject({ lsn: 10, knownLsn: 14 })
    await ship(env, archive)
    await standby.caughtUp(14)
    expect(await isAt(standby, env, 14)).toBe(true)
  })

  test('follows a primary that writes, rolls and ships as fast as it can', async () => {
    const { env, archive, open } = await scene()
    const standby = await open()
    const stop = new AbortController()
    const shipper = shipperOf(env, archive, stop.signal)
    let isOver = false
    const load = (async () => {
      while (!isOver) {
        await env.writeMany(1)
        if (env.lsn % 7 === 0) await env.log.roll()
      }
    })()
    try {
      // Each look meets pieces and segments under way, and holes that are none.
      for (let round = 0; round < 5; round++) {
        const lsn = await shipper.flush()
        await standby.caughtUp(lsn)
      }
    } finally {
      isOver = true
      await load
    }
    const lsn = await shipper.flush()
    await standby.caughtUp(lsn)
    expect(standby.status()).toMatchObject({ lsn: env.lsn })
    expect(await isAt(standby, env, env.lsn)).toBe(true)
    stop.abort()
    await shipper.done
  })

  test('stops before data that came in beside the log, each time that it is started', async () => {
    const { env, archive, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    await env.writeMany(1)
    await env.mark(BULK_LOAD_MARK)
    await env.writeMany(1)
    await ship(env, archive)
    await expect(standby.caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
    await expect(standby.done).rejects.toMatchObject({ details: { lsn: 12 } })
    await standby.close()
    const again = await open()
    await expect(again.done).rejects.toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
  })

  test('never applies damaged log, and goes on where it was once the archive is mended', async () => {
    const { env, archive, store, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    await env.writeMany(3)
    await env.log.roll()
    await ship(env, archive)
    const [segment] = (await archive.catalogue()).segments.slice(-1)
    const { name = '' } = segment ?? {}
    const whole = await store.get(name)
    const damaged = Buffer.from(whole)
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 20) ^ 1, damaged.length - 20)
    await store.delete(name)
    await store.put(name, damaged)
    await expect(standby.caughtUp()).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
    await store.delete(name)
    await store.put(name, whole)
    const again = await open()
    expect(again.status()).toMatchObject({ lsn: 10 })
    await again.caughtUp()
    expect(await isAt(again, env, 13)).toBe(true)
  })

  test('applies no piece while it is not decided whether it counts', async () => {
    const { env, archive, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    await env.writeMany(3)
    await ship(env, archive)
    const epoch = ((await archive.catalogue()).owner?.epoch ?? 0) + 1
    const ownerId = 'a'.repeat(32)
    await archive.appendEvent({ type: 'owner.claimed', epoch, ownerId, description: 'next', timeline: 1 })
    await standby.caughtUp()
    expect(await isAt(standby, env, 10)).toBe(true)
    const [last] = (await env.segments()).slice(-1)
    const { segmentNumber = 0 } = last?.header ?? {}
    await archive.appendEvent({ type: 'owner.adopted', epoch, segmentNumber, endPosition: last?.bytes ?? 0 })
    await standby.caughtUp()
    expect(await isAt(standby, env, 13)).toBe(true)
  })

  test('goes over to the line that is shipped, and stops where that leads elsewhere', async () => {
    const { folder, env, archive, home, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    const at = { type: 'lsn', edge: 'through' } as const
    await recover({ from: { archive }, home: join(folder, 'at-10'), target: { ...at, lsn: 10 } })
    const second = await Environment.recovered(join(folder, 'at-10'), env)
    await second.writeMany(3)
    await shipAdopted(second, archive)
    await standby.caughtUp(14)
    expect(standby.status()).toMatchObject({ timeline: 2, lsn: 14 })
    expect(await isAt(standby, second, 14)).toBe(true)
    await recover({ from: { archive }, home: join(folder, 'at-8'), target: { ...at, lsn: 8 }, timeline: 2 })
    const third = await Environment.recovered(join(folder, 'at-8'), env)
    await third.writeMany(1)
    await shipAdopted(third, archive)
    await expect(standby.caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_DIVERGED' })
    const pinned = await open({ home, timeline: 2 })
    await pinned.caughtUp()
    expect(await isAt(pinned, second, 14)).toBe(true)
    await Promise.all([second.close(), third.close()])
  })

  test('asks an idle archive for a listing and for the next event, and reads of a growing segment what it lacks', async () => {
    const asked: string[] = []
    const store = memoryStore()
    const note = <Result>(what: string, result: Result): Result => {
      asked.push(what)
      return result
    }
    const counted: ArchiveStore = {
      ...store,
      get: (name, options) => note(`get ${name}`, store.get(name, options)),
      getStream: (name) => note(`get ${name}`, store.getStream(name)),
      status: (name) => note(`status ${name}`, store.status(name)),
      list: (prefix, options) => note(`list ${prefix}`, store.list(prefix, options)),
    }
    const { env, archive, open } = await scene(counted)
    const standby = await open()
    await standby.caughtUp()
    asked.length = 0
    await standby.caughtUp()
    const next = String((await archive.catalogue()).sequence + 1).padStart(16, '0')
    expect(asked.slice(0, 2)).toEqual(['list piece/00000001/', `status journal/${next}.json`])
    const before = await archive.listPieces()
    await env.writeMany(3)
    await ship(env, archive)
    const old = before.map(({ name }) => `get ${name}`)
    asked.length = 0
    await standby.caughtUp(13)
    expect(asked.filter((what) => what.startsWith('get piece/')).length).toBeGreaterThan(0)
    expect(asked.filter((what) => old.includes(what))).toEqual([])
  })
})
