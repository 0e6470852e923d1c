/**
 * A standby that begins anew in its own folder. What it held can be read and promoted until the newer base is whole, whatever dies
 * meanwhile: the process ends before any single operation on a file.
 */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { BULK_LOAD_MARK, homeLayout, openState } from '@timberline/engine'
import { type FileSystem } from '@timberline/wal'
import { crashAt, FaultFileSystem, isMutation, immediateFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { openStandby, promote } from '../src/index.ts'
import { backupInto, ship } from './environment.ts'
import { followed, isAt, scene, type Scene } from './standby-scene.ts'

/** One that holds record 10 and cannot go on: data came in beside the log after it, and a backup has that. */
async function loaded(): Promise<Scene> {
  const made = await followed()
  const { env, archive } = made
  await env.checkpoint()
  await env.mark(BULK_LOAD_MARK)
  // No replay leads past a load: the home's own data has it already.
  const state = await openState(homeLayout(env.home).dataDirectory, { createIfMissing: false })
  await state.level.operationBatch().write({ lsn: 11, committedAtUs: env.times[11] ?? 0 })
  await env.log.roll()
  const segmentAfter = (): Promise<number> => Promise.resolve(env.log.activeSegment)
  await state.checkpoint({ layout: homeLayout(env.home), identity: env.identity, segmentAfter })
  await state.close()
  await env.writeMany(2)
  await backupInto(env, archive, { label: 'b13' })
  await env.writeMany(1)
  await ship(env, archive)
  return made
}

describe('a standby that begins anew', () => {
  test('after data came in beside the log goes on with the backup that has it', async () => {
    const { env, open } = await loaded()
    const before = await open()
    await expect(before.done).rejects.toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
    const standby = await open({ anew: true })
    await standby.caughtUp()
    expect(await isAt(standby, env, 14)).toBe(true)
    await standby.close()
    const after = await open()
    await after.caughtUp()
    expect(await isAt(after, env, 14)).toBe(true)
  })

  test('after log went from the archive goes on with a newer backup', async () => {
    const { env, archive, open } = await followed()
    await env.log.roll()
    await env.writeMany(4)
    await env.log.roll()
    await env.writeMany(2)
    const checkpoint = await env.checkpoint()
    await ship(env, archive, { only: (number) => number > 3 })
    await expect((await open()).done).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_BEHIND' })
    // A base that leads no further is none: what is there stays.
    await expect(open({ anew: true })).rejects.toMatchObject({ code: 'RECOVERY_STANDBY_BEHIND' })
    await backupInto(env, archive, { checkpoint, label: 'b16' })
    const standby = await open({ anew: true })
    await standby.caughtUp()
    expect(await isAt(standby, env, 16)).toBe(true)
  })

  test('keeps what it has while the new base cannot be had', async () => {
    const { env, store, open } = await loaded()
    const { name = '' } = (await store.list('backup/b13/')[Symbol.asyncIterator]().next()).value ?? {}
    await store.delete(name)
    await expect(open({ anew: true })).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_MISSING' })
    const standby = await open()
    expect(standby.status()).toMatchObject({ lsn: 10 })
    expect(await isAt(standby, env, 10)).toBe(true)
  })

  test('can die before any change of a name and any sync: it holds the old state or the new one', async () => {
    const { env, archive, folder, home } = await loaded()
    const begin = async (name: string, fileSystem: FileSystem): Promise<string> => {
      const copy = join(folder, name)
      await cp(home, copy, { recursive: true })
      const anew = { archive, home: copy, anew: true, pollMs: 3_600_000, fileSystem }
      await (await openStandby(anew)).close()
      return copy
    }
    const counting = new FaultFileSystem(immediateFileSystem)
    await begin('clean', counting)
    // What is written before a sync is in the folder that nobody looks into yet.
    const moments = counting.operations.filter((one) => isMutation(one) && one.kind !== 'write')
    const seen = new Map<number, number>()
    for (const { index } of moments) {
      const faulty = new FaultFileSystem(immediateFileSystem, crashAt(index))
      const name = `died-${index}`
      await begin(name, faulty).catch(() => undefined)
      await faulty.releaseHandles()
      expect(faulty.injected, name).toHaveLength(1)
      const standby = await openStandby({ archive, home: join(folder, name), pollMs: 3_600_000 })
      const { lsn } = standby.status()
      seen.set(lsn, (seen.get(lsn) ?? 0) + 1)
      expect(await isAt(standby, env, lsn), name).toBe(true)
      await standby.close()
    }
    expect(new Set(seen.keys())).toEqual(new Set([10, 13]))
  })
})

describe('a promotion of a standby that is behind a backup', () => {
  test('says that the backup has more, and is done once the standby began with that', async () => {
    const { env, archive, home, open } = await scene()
    const standby = await open()
    await standby.caughtUp()
    await standby.close()
    await env.log.roll()
    await env.writeMany(3)
    await backupInto(env, archive, { label: 'b13' })
    await expect(promote({ archive, home })).rejects.toMatchObject({
      code: 'RECOVERY_STANDBY_BACKUP_AHEAD',
      details: { missingFromLsn: 11 },
    })
    const anew = await open({ anew: true })
    await anew.close()
    expect(await promote({ archive, home })).toMatchObject({ parent: { timeline: 1, forkLsn: 13 } })
  })
})
