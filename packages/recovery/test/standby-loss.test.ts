/** A standby, and its promotion, where something that was there is not: a base, the state, log, or the end of a piece. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Archive,
  archiveError,
  type ArchiveStore,
  createArchive,
  memoryStore,
  openArchive,
} from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openStandby, promote, recover } from '../src/index.ts'
import { readStandbyLabel, type StandbyLabel } from '../src/standby/standby-label.ts'
import { backupInto, contentOf, Environment, scratchFolder, ship } from './environment.ts'
import { elsewhere, followed, isAt, scene, shipAdopted, type Scene } from './standby-scene.ts'

interface Primary {
  readonly env: Environment
  readonly archive: Archive
  readonly home: string
}

/** A home that has written nothing, and an empty archive. */
async function untouched(): Promise<Primary> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  onTestFinished(() => env.close())
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  return { env, archive, home: join(folder, 'standby') }
}

/** A promotion that has begun and reached no store any more. */
async function begunPromotion({ store, home }: Scene): Promise<StandbyLabel> {
  const away: ArchiveStore = {
    ...store,
    put: () => Promise.reject(archiveError('ARCHIVE_STORE_FAILED', 'away')),
  }
  await expect(promote({ archive: await openArchive(away), home })).rejects.toBeInstanceOf(Error)
  const label = await readStandbyLabel(home, nodeFileSystem)
  if (label?.phase !== 'promote') throw new Error('a promotion that has not begun')
  return label
}

async function isUndisturbed(archive: Archive): Promise<boolean> {
  const { timelines, owner } = await archive.catalogue()
  return owner?.description === 'test' && timelines.every(({ ended }) => ended === undefined)
}

/** The archive, of which each piece comes without its last bytes. */
function shortened(archive: Archive): Archive {
  const fetchPiece: Archive['fetchPiece'] = async function* (piece) {
    for await (const chunk of archive.fetchPiece(piece)) yield chunk.subarray(0, -8)
  }
  return new Proxy(archive, {
    get(target, key): unknown {
      if (key === 'fetchPiece') return fetchPiece
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

describe('a standby', () => {
  test('does not begin without a backup, whatever log there is', async () => {
    const { env, archive, home } = await untouched()
    await env.writeMany(3)
    await ship(env, archive)
    await expect(openStandby({ archive, home })).rejects.toMatchObject({
      code: 'RECOVERY_NO_BASE',
      details: { timeline: 1 },
    })
    await backupInto(env, archive, { label: 'b03' })
    const standby = await openStandby({ archive, home })
    onTestFinished(() => standby.close())
    expect(await isAt(standby, env, 3)).toBe(true)
  })

  test('stops at a piece that is shorter than its name says, and applies nothing of it', async () => {
    const made = await followed()
    const { env, archive } = made
    await env.writeMany(3)
    await ship(env, archive)
    const standby = await made.open({ archive: shortened(archive) })
    await expect(standby.caughtUp()).rejects.toMatchObject({ code: 'RECOVERY_LOG_DAMAGED' })
    await expect(standby.done).rejects.toMatchObject({
      details: { name: expect.stringMatching(/^piece\//), endPosition: expect.any(Number) },
    })
    await standby.close()
    const again = await made.open()
    expect(again.status()).toMatchObject({ lsn: 10 })
    await again.caughtUp()
    expect(await isAt(again, env, 13)).toBe(true)
  })

  test('follows a line whose parent was archived beyond the fork', async () => {
    const { folder, env, archive, open } = await scene()
    await env.writeMany(10)
    await env.log.roll()
    await ship(env, archive)
    const target = { type: 'lsn', edge: 'through', lsn: 12 } as const
    await recover({ from: { archive }, home: join(folder, 'at-12'), target })
    const second = await Environment.recovered(join(folder, 'at-12'), env)
    onTestFinished(() => second.close())
    await second.writeMany(1)
    await shipAdopted(second, archive)
    const standby = await open()
    for (let looks = 0; looks < 5; looks++) await standby.caughtUp()
    expect(standby.status()).toMatchObject({ timeline: 2, lsn: 14 })
    expect(await isAt(standby, second, 14)).toBe(true)
  })
})

describe('a promotion', () => {
  test('of a database that was never written to makes a home that says since when it was taken over', async () => {
    const { env, archive, home } = await untouched()
    await backupInto(env, archive, { label: 'b00' })
    await ship(env, archive)
    const standby = await openStandby({ archive, home })
    await standby.close()
    expect(await promote({ archive, home })).toMatchObject({
      parent: { timeline: 1, forkLsn: 0 },
      records: 0,
    })
    const identity = await readHomeIdentity(home)
    expect(identity.adoptedAtUs).toBe(identity.createdAtUs)
    expect(await contentOf(home)).toEqual(new Map())
  })

  test('that died is finished from a backup when the state was damaged meanwhile', async () => {
    const made = await followed()
    const { env, archive, home } = made
    await begunPromotion(made)
    await env.writeMany(2)
    await ship(env, archive)
    await rm(join(home, 'data', 'CURRENT'))
    expect(await promote({ archive: await elsewhere(made), home })).toMatchObject({
      timeline: 2,
      parent: { timeline: 1, forkLsn: 12 },
      records: 6,
    })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('names the log before a backup that nobody archived', async () => {
    const { env, archive, home } = await followed()
    await env.writeMany(2)
    await backupInto(env, archive, { label: 'b12' })
    await expect(promote({ archive, home })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_BACKUP_AHEAD',
      details: { missingFromLsn: 11 },
    })
    expect(await isUndisturbed(archive)).toBe(true)
    await ship(env, archive)
    await promote({ archive, home })
    expect(await contentOf(home)).toEqual(env.content(12))
  })

  test('that finds its line ended before what it has applied makes no home', async () => {
    const made = await followed()
    const { archive, home } = made
    const { ownerId = '' } = await begunPromotion(made)
    const epoch = ((await archive.catalogue()).owner?.epoch ?? 0) + 1
    await archive.appendEvent({
      type: 'owner.claimed',
      epoch,
      ownerId,
      description: 'promotion',
      timeline: 1,
    })
    await archive.appendEvent({ type: 'timeline.ended', epoch, timeline: 1, lsn: 8, successor: 2 })
    await expect(promote({ archive, home })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_DIVERGED',
      details: { appliedLsn: 10, archivedLsn: 8 },
    })
    expect(await readStandbyLabel(home, nodeFileSystem)).toMatchObject({ phase: 'promote', ownerId })
  })

  test('that died is not finished on another line, though the state has to be restored', async () => {
    const made = await followed()
    const { archive, home, folder } = made
    const other = join(folder, 'other')
    await cp(home, other, { recursive: true })
    await begunPromotion(made)
    await promote({ archive: await elsewhere(made), home: other })
    await rm(join(home, 'data', 'CURRENT'))
    await expect(promote({ archive, home })).rejects.toMatchObject({
      code: 'ARCHIVE_TIMELINE_ENDED',
      details: { timeline: 1, endedAfterLsn: 10, successor: 2 },
    })
    expect(await readStandbyLabel(home, nodeFileSystem)).toMatchObject({ phase: 'promote', timeline: 1 })
  })
})
